"""Two hand-made label maps: where do the models agree?"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from intrada.evaluation import agreement

MAPS = {
    "source": np.array([[0, 0], [1, 1]], np.uint8),
    "inter": np.array([[0, 1], [1, 1]], np.uint8),
    "intra": np.array([[0, 1], [1, 0]], np.uint8),
}


def test_each_model_is_compared_with_the_next_and_the_first_with_the_last() -> None:
    assert agreement.pairs(["source", "inter", "intra"]) == [
        ("source", "inter"), ("inter", "intra"), ("source", "intra"),
    ]  # fmt: skip
    assert agreement.pairs(["source", "inter"]) == [("source", "inter")]
    assert agreement.pairs(["a", "b", "c", "d"])[-1] == ("a", "d")


def test_the_agreement_is_the_share_of_equal_pixels_and_the_iou_of_each_class() -> None:
    compared = agreement.pairs([*MAPS])
    matrices = agreement.joint(MAPS, compared, 3)
    assert agreement.of_image(matrices) == [75, 75, 50]
    # source against intra: both 0 at one of three pixels, both 1 at one of three, class 2 nowhere
    by_class = agreement.by_class(matrices[2])
    assert by_class == pytest.approx([100 / 3, 100 / 3, np.nan], nan_ok=True)


def test_the_images_of_least_agreement_come_first() -> None:
    table = pd.DataFrame({"image": list("abcd"), "source_intra": [90.0, 50.0, 70.0, 50.0]})
    assert agreement.least(table, "source_intra", 3)["image"].tolist() == ["b", "d", "c"]


def test_maps_of_different_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="differ in shape"):
        agreement.joint({"a": MAPS["source"], "b": np.zeros((3, 2), np.uint8)}, [("a", "b")], 2)
