"""Inference: predictions of a trained model, with class, confidence and entropy of each pixel."""
