from __future__ import annotations

import math

import numpy as np
import pytest

from intrada.evaluation.criteria import (
    estimated_accuracy,
    mutual_information,
    neighbourhood_density,
    nuclear_norm,
)


@pytest.mark.parametrize(
    "mean, entropy, expected",
    [
        ([0.5, 0.5], 0.0, 1.0),  # every pixel is confident, both classes are equally frequent
        ([0.5, 0.5], 1.0, 0.0),  # no pixel is confident
        ([1.0, 0.0], 0.0, 0.0),  # every pixel is confident, always of the same class
        ([0.25, 0.75], 0.3, 0.811278 - 0.3),  # H(1/4) = 2 - 3/4 log2 3
        ([0.5, 0.5, 0.0, 0.0], 0.0, 0.5),  # two of four classes: half of log 4
    ],
)
def test_mutual_information_is_the_entropy_of_the_mean_minus_the_mean_entropy(
    mean: list[float], entropy: float, expected: float
) -> None:
    assert mutual_information(np.array(mean), entropy) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    "probabilities, expected",
    [
        ([[1, 0], [0, 1]], 1.0),  # confident and varied
        ([[1, 0], [1, 0]], math.sqrt(0.5)),  # confident, one class: one singular value, sqrt(2) of 2
        ([[0.5, 0.5]] * 4, 0.5),  # not confident: sqrt(4 / 2) of sqrt(8)
        # singular values 2 and 1, since 4 pixels are of one class and 1 of the other: 3 of sqrt(10)
        ([[1, 0]] * 4 + [[0, 1]], 3 / math.sqrt(10)),
        ([[1, 0, 0], [0, 1, 0]], 2 / math.sqrt(6)),  # two of three classes
    ],
)
def test_the_nuclear_norm_is_high_for_confident_and_varied_predictions(
    probabilities: list[list[float]], expected: float
) -> None:
    matrix = np.array(probabilities, np.float64)
    assert nuclear_norm(matrix.T @ matrix, len(matrix)) == pytest.approx(expected)


def test_the_nuclear_norm_is_that_of_the_matrix_of_all_probabilities() -> None:
    matrix = np.random.default_rng(3).dirichlet([0.3] * 5, 40)
    expected = np.linalg.norm(matrix, "nuc") / math.sqrt(matrix.size)
    assert nuclear_norm(matrix.T @ matrix, len(matrix)) == pytest.approx(expected)


def pair(cosine: float) -> float:
    """The similarity of a pixel to two others is the softmax of 1 / 0.05 and cosine / 0.05; its entropy."""
    share = 1 / (1 + math.exp((cosine - 1) / 0.05))
    return -share * math.log(share) - (1 - share) * math.log(1 - share)


@pytest.mark.parametrize(
    "probabilities, expected",
    [
        ([[0.2, 0.8]] * 5, 1.0),  # all are equally near
        ([[1, 0], [1, 0], [0, 1], [0, 1]], 0.0),  # each has one neighbour of three
        # a, b = a, c with the cosine 0.8 to both: entropies of (1, 0.8), (1, 0.8) and (0.8, 0.8)
        ([[1, 0], [1, 0], [4 / 7, 3 / 7]], (2 * pair(0.8) / math.log(2) + 1) / 3),
        ([[1, 0], [0, 1]], 0.0),  # too few
    ],
)
def test_the_neighbourhood_density_is_the_entropy_of_the_similarities(
    probabilities: list[list[float]], expected: float
) -> None:
    assert neighbourhood_density(np.array(probabilities, np.float64)) == pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize(
    "source, target, expected",
    [
        # 6 of 10 are correct; the 6 surest source pixels are those of the upper two levels
        ([[3, 1], [1, 2], [0, 3]], [2, 1, 1], 0.5),
        # 5 of 10 are correct: the 3 of the highest level, and 2 of the 3 below
        ([[3, 1], [2, 1], [0, 3]], [4, 3, 1], (1 + 2 / 3 * 3) / 8),
        ([[0, 4], [0, 4]], [3, 1], 1.0),  # all are correct
        ([[4, 0], [4, 0]], [3, 1], 0.0),  # none is
        ([[0, 4], [0, 0]], [3, 1], 1.0),  # a level without a source pixel
        ([[0, 0], [0, 0]], [3, 1], math.nan),
    ],
)
def test_the_estimated_accuracy_is_the_share_of_target_pixels_above_the_threshold_of_the_source(
    source: list[list[int]], target: list[int], expected: float
) -> None:
    actual = estimated_accuracy(np.array(source), np.array(target))
    assert actual == pytest.approx(expected, nan_ok=True)


def test_the_estimate_on_the_source_is_its_accuracy() -> None:
    counts = np.random.default_rng(1).integers(0, 50, (20, 2))
    assert estimated_accuracy(counts, counts.sum(1)) == pytest.approx(counts[:, 1].sum() / counts.sum())
