"""Figure 1's game in one dimension: densities, the optimal D, both players.

Reads the group ``theory`` of the parameters and no data; leaves nothing: `figures` writes and draws
what it finds.
"""
