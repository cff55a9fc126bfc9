"""What every other folder stands on: parameters, runs, prepared data, files, random streams.

Reads ``params.yaml`` and the profiles' own, and ``data/processed``; leaves ``runs.yaml``, DVC's
lists of runs. It imports no other folder, and every stage imports it.
"""
