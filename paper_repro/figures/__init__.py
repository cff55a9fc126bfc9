"""Figures 1, 2 and 3 of the paper, the forest plot, curves, section 4, audit and ablations.

Reads trained runs and prepared data; leaves a PNG each, a PDF too if it is no grid of images, with
its numbers as JSON beside it. All drawing of the package is here.
"""
