"""What a likelihood does not tell: copies, correlation, jumps, and how far to trust the measure.

Works on a sampler and prepared images; leaves ``sample_checks.json``. The rest is called by
`figures`: the audit of the measure (section 5), figure 2's neighbours, figure 3's digits.
"""
