"""Table 1's number: a trained run measured on the test set.

Reads a run's model, its ``training.json`` and the prepared data; leaves ``evaluation.json`` and
``metrics.json``. `trained_run` opens a run for every later stage.
"""
