"""What a repro is about to do, and how long it will take.

Reads DVC's status, the parameters and checkpoints; leaves a line on the screen.
"""
