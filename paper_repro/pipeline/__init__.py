"""What DVC is told of a profile: its runs, spelled out; which are looked at, published and judged.

Reads the parameters; leaves ``runs.yaml`` and a copy of ``dvc.yaml`` for each profile. No training
depends on this folder.
"""
