"""How fast the package is here, against plain twins: ``make bench``.

Reads the paper's recipes, no data; leaves ``reports/benchmarks``. No stage of the pipeline.
"""
