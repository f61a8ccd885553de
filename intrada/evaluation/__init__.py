"""Evaluation: confusion matrices, IoU, selection of snapshots, and the report."""
