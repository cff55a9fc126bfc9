"""What texts call the data sets, and which are not of pixels in [0, 1]."""

TITLES = {"mnist": "MNIST", "tfd": "TFD", "cifar10": "CIFAR-10"}  # else by their own names
NORMALISED = {"cifar10"}  # what the networks see contrast-normalised; the others in [0, 1]


def title(dataset: str) -> str:
    """Return a data set's name as texts and figures write it."""
    return TITLES.get(dataset, dataset)
