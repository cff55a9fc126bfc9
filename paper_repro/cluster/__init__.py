"""The trainings of a repro as jobs of Slurm, or side by side on one machine.

Reads DVC's status, the parameters, the queue and the headers of checkpoints; leaves what training
leaves, and a log of each run in ``jobs/``. No stage of the pipeline.
"""
