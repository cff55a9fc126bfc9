"""The paper's game: objectives, Algorithm 1 and the released code's joint update, SGD, the loop.

Reads ``data/processed``, a recipe and checkpoints; leaves ``models/``, and beside the report each
run's ``training.json``, ``curve.csv`` and ``validation.csv``. What the two players are made of is in
``model/``, all that a later stage reads of this folder.
"""
