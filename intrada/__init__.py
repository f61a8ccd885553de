"""IntraDA: unsupervised intra-domain adaptation for semantic segmentation (CVPR 2020)."""
