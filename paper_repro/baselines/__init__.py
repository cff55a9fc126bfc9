"""The other models of Table 1 on MNIST: a DBN, a stacked contractive autoencoder, a deep GSN.

Each module reads training images as (n, d) in [0, 1], passes over them once at a time, and leaves a
Markov chain whose states are the samples (section 5, table 2). No stage runs them yet.
"""
