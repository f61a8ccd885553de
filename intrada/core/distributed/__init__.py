"""Processes and devices: worker processes, the data-parallel process group, CUDA devices."""
