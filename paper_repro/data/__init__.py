"""From the data sets' files to the parts that a profile uses (section 5).

Reads the user's own copies, mirrors and public hosts; leaves ``data/raw``, ``data/stand-in`` and
``data/processed``, which later stages read by ``core/dataset.py``.
"""
