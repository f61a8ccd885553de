"""Criteria of a model that need no label of the target domain.

No published criterion is reliable for all methods (Musgrave et al., "Three New Validators and a Large-Scale
Benchmark Ranking for Unsupervised Domain Adaptation", arXiv 2208.07360). Self-training raises the confidence
by design, and a network that predicts one class everywhere has a low entropy and a perfect agreement.

Each function computes one criterion from sums over pixels. snapshot_stats.py collects the sums.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

TEMPERATURE = 0.05  # of the similarities, as published


def mutual_information(mean_probability: NDArray[np.float64], mean_entropy: float) -> float:
    """Return the mutual information of a pixel and its predicted class, 0..1 (in units of log C).

    `H(mean p) - mean H(p)`: high if each pixel is predicted with high confidence and the predicted classes
    differ. mean_probability: (C,), the mean softmax of all pixels; mean_entropy: their mean entropy, 0..1.
    Source: the objective of information maximisation (Bridle et al., NIPS 1991; Shi and Sha, ICML 2012).
    """
    present = mean_probability[mean_probability > 0]
    marginal = -float((present * np.log(present)).sum()) / math.log(len(mean_probability))
    return max(0.0, marginal - mean_entropy)


def nuclear_norm(gram: NDArray[np.float64], pixels: int) -> float:
    """Return the nuclear norm of the matrix of all probabilities, as a part of its maximum, 0..1.

    gram: (C, C), the sum of `p p^T` over the softmax p of all pixels; pixels: their number. It is high if
    each pixel is predicted with high confidence, and all classes are predicted equally often. The singular
    values of the matrix (pixels, C) are the roots of the eigenvalues of `gram`, and their sum is at most
    sqrt(pixels * C). Source: BNM (Cui et al., CVPR 2020), section 3, there a loss of a batch.
    """
    eigenvalues = np.linalg.eigvalsh(gram / pixels).clip(min=0)  # rounding can make one negative
    return min(1.0, float(np.sqrt(eigenvalues).sum()) / math.sqrt(len(gram)))


def neighbourhood_density(probabilities: NDArray[np.float64]) -> float:
    """Return the mean entropy of the similarities of each pixel to all others, 0..1.

    probabilities: (M, C), the softmax of sampled pixels. The similarity is the softmax of cosines divided by
    TEMPERATURE, without that of a pixel to itself. It is high if each pixel has many near neighbours. The
    published number is in nats, this one in units of log(M - 1). It is 0 if there are less than 3 pixels.
    Source: SND (Saito et al., ICCV 2021, arXiv 2108.10860), section 3.
    """
    if len(probabilities) < 3:
        return 0.0
    units = probabilities / np.linalg.norm(probabilities, axis=1, keepdims=True)
    scaled = (units @ units.T - 1) / TEMPERATURE  # at most 0, so that no exponential overflows
    powers = np.exp(scaled)
    np.fill_diagonal(powers, 0)
    sums = powers.sum(1)
    entropies = np.log(sums) - (powers * scaled).sum(1) / sums
    return float(np.clip(entropies.mean() / math.log(len(units) - 1), 0, 1))


def estimated_accuracy(source: NDArray[np.int64], target: NDArray[np.int64]) -> float:
    """Return an estimate of the share of correct target pixels, 0..1; nan without labelled source pixels.

    source: (L, 2), the labelled source pixels by ascending level of confidence (the softmax maximum): wrong
    ones, correct ones; target: (L,), the target pixels by the same levels. The threshold is the confidence
    that as many source pixels reach as are correct; the estimate is the share of the target pixels that reach
    it. A threshold inside a level takes the same part of its source and of its target pixels.
    Source: ATC (Garg et al., ICLR 2022), section 4, with the maximum confidence as the score.
    """
    counts, total = source.sum(1), int(source.sum())
    if not total or not target.any():
        return math.nan
    correct = int(source[:, 1].sum())
    surest, others = counts[::-1], target[::-1]
    level = int(np.searchsorted(surest.cumsum(), correct))  # of the threshold
    part = (correct - int(surest[:level].sum())) / max(1, int(surest[level]))
    return float((others[:level].sum() + part * others[level]) / target.sum())
