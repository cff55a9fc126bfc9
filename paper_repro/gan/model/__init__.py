"""The two players of section 3: recipe, layers, networks, noise, and a generator as a sampler.

Reads the recipes in ``params.yaml``; leaves nothing. The layers are those of the released
configuration files (Pylearn2): maxout, ReLU, sigmoid, convolutions.
"""
