"""The measure of section 5: the Gaussian Parzen-window log-likelihood and the choice of its σ.

Works on images and samples that it is given; reads and leaves no file. Training asks it about
validation images, `evaluation` about test images.
"""
