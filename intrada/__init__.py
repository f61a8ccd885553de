"""IntraDA: unsupervised intra-domain adaptation for semantic segmentation (CVPR 2020)."""

__version__ = "0.1.0"
