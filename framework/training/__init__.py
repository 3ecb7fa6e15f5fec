"""Training: devices, the loop, evaluation, checkpoints, and the run that holds them together."""
