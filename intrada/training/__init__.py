"""Training: the loop, optimizers, checkpoints, snapshots, logged metrics and the cost estimate."""
