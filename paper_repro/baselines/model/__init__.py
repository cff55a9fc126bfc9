"""Recipes, layers and chains of Table 1's other models.

Each module reads a recipe and parameters, and leaves a Markov chain as a sampler (section 5, table
2). How they are trained lies one folder up.
"""
