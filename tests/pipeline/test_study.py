"""The table of a seed study."""

from __future__ import annotations

import pandas as pd

from intrada.pipeline import study


def test_the_summary_has_mean_and_sample_deviation_of_each_row() -> None:
    table = pd.DataFrame(
        {
            "row": ["a", "b", "a", "a"],
            "run": ["1", "1", "2", "3"],
            "mIoU": [1.0, 7.0, 2.0, 3.0],
            "spearman": [None, -0.5, None, None],
        }
    ).astype({"spearman": float})
    assert study.summary(table).splitlines()[2:] == [
        "| a | 3 | 2.00 ± 1.00 | - |",
        "| b | 1 | 7.00 | -0.50 |",
    ]
