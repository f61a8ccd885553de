"""The pipeline: running one stage, provenance, and the bridge between DVC and Snakemake."""
