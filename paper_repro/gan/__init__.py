"""The paper's game: objectives, Algorithm 1 and the released code's joint update, SGD, the loop.

Reads ``data/processed``, a recipe and checkpoints; leaves ``models/``, and beside the report each
run's ``training.json``, ``curve.csv`` and ``validation.csv``. What the two players are made of is
in ``model/``, which later stages read; section 4 reads ``objectives.py`` too.
"""
