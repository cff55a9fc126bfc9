"""The data sets' names as texts and figures write them."""

TITLES = {"mnist": "MNIST", "tfd": "TFD", "cifar10": "CIFAR-10"}
