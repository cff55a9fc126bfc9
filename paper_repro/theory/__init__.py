"""Section 4 in one dimension: the propositions, theorem 1 and figure 1's game, as numbers.

Reads the group ``theory`` of the parameters and no data; leaves nothing: `figures` writes and draws
what it finds.
"""
