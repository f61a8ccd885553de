"""Inference: predictions of a trained model and what is computed from them per pixel."""
