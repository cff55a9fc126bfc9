"""Section 4 of the paper, checked numerically in one dimension."""
