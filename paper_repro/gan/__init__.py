"""The paper's game: objectives, Algorithm 1 and the released code's joint update, SGD.

Reads a recipe and batches, and leaves updated players; the loop is `training`'s. What the players
are made of is in ``model/``, which later stages read; section 4 reads ``objectives.py`` too.
"""
