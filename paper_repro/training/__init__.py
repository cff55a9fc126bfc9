"""Training of any family of models, from a prepared data set to a model file.

Reads a run's recipe and images; leaves ``models/<run>.safetensors``, curves and ``training.json``.
What an update is lies with the family (`paper_repro.core.families`): Algorithm 1 in ``gan/``.
"""
