"""What a likelihood does not tell: copies, mixing, jumps, and how far to trust the measure.

Works on a sampler and prepared images; leaves ``sample_checks.json``, ``sample_sets.json``,
``walk.json`` and, of the measure (section 5), ``parzen_audit.json``. The rest is called by
`figures`: figure 2's neighbours, figure 3's digits, how chains mix.
"""
