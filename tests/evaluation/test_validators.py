from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from intrada.evaluation.validators import CRITERIA, RULES, best, choose, even_sample

NAN = math.nan


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


def test_a_low_entropy_is_good_and_all_other_criteria_are_to_be_high() -> None:
    table = pd.DataFrame({name: [0.2, 0.1, 0.3, 0.1, 0.3, 0.2] for name in CRITERIA})
    chosen = {criterion: best(table, criterion) for criterion in CRITERIA}
    assert chosen.pop("mean_entropy") == 3 and set(chosen.values()) == {4}
    assert best(table.assign(mean_entropy=NAN), "mean_entropy") == -1


@pytest.mark.parametrize(
    "count, limit, rows",
    [(10, 3, [0, 4, 9]), (3, 5, [0, 1, 2]), (5, 5, [0, 1, 2, 3, 4]), (1, 4, [0]), (7, 1, [0])],
)
def test_an_even_sample_is_spread_over_all_rows(count: int, limit: int, rows: list[int]) -> None:
    assert even_sample(count, limit).tolist() == rows
