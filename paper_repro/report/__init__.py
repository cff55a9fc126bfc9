"""From the runs' small files to tables, ledger and page beside the paper's.

Reads ``reports/<profile>/runs``; leaves ``results.json`` and everything made from it. Trains and
measures nothing; `verify` and `weights` are its commands on published generators.
"""
