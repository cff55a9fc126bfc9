"""The other models of Table 1: a DBN, a stacked contractive autoencoder, a deep GSN.

Each module reads training images, (n, d) in [0, 1], and leaves the parameters of a Markov chain
whose states are the samples (section 5, table 2). Families as in `paper_repro.core.families`.
"""
