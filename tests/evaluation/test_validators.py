from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from intrada.evaluation.validators import RULES, choose, even_sample, mutual_information

NAN = math.nan


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
    "information, miou, chosen",
    [
        ([0.1, 0.3, 0.2], [50.0, 40.0, 45.0], (2, 1, 0)),
        ([0.3, 0.3, 0.2], [40.0, 50.0, 50.0], (2, 1, 2)),  # of equal values the last
        ([0.3, 0.1, 0.2], [NAN, NAN, NAN], (2, 0, None)),
        ([0.5], [10.0], (0, 0, 0)),
    ],
)
def test_each_rule_chooses_one_snapshot(
    information: list[float], miou: list[float], chosen: tuple[int | None, ...]
) -> None:
    rows = range(1, len(information) + 1)
    actual = choose(pd.DataFrame({"iteration": rows, "information": information, "mIoU": miou}))
    for rule, row in zip(RULES, chosen, strict=True):
        assert np.flatnonzero(actual[rule]).tolist() == ([] if row is None else [row])


@pytest.mark.parametrize(
    "count, limit, rows",
    [(10, 3, [0, 4, 9]), (3, 5, [0, 1, 2]), (5, 5, [0, 1, 2, 3, 4]), (1, 4, [0]), (7, 1, [0])],
)
def test_an_even_sample_is_spread_over_all_rows(count: int, limit: int, rows: list[int]) -> None:
    assert even_sample(count, limit).tolist() == rows
