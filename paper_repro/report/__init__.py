"""From the runs' small files to tables, ledger and page beside the paper's.

Reads ``reports/<profile>/``, the list of runs and ``CITATION.cff``; leaves ``results.json`` and
everything made from it, and a page on which a published generator draws. Its stages measure
nothing; the command `verify` measures a published generator again.
"""
