"""Adversarial training: objectives, the update, its schedules, the loop, checkpoints."""
