"""A reproducibility package for "Generative Adversarial Networks" (arXiv:1406.2661)."""
