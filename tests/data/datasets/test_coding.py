from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from intrada.core.config.classes import class_set
from intrada.core.errors import UserError
from intrada.data.datasets.coding import id_coding

CODING = id_coding(class_set(["road", "sky"]), {3: "road", 7: "sky"}, [255], "fix the mapping")


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32])
def test_ids_of_any_width_are_decoded(dtype: type[np.generic]) -> None:
    label = CODING.decode(np.array([[3, 7, 255]], dtype), Path("a.png"))
    assert label.dtype == np.uint8 and label.tolist() == [[0, 1, 255]]


def test_an_id_beyond_the_table_is_not_taken_for_its_last_one() -> None:
    with pytest.raises(
        UserError, match=r"^a\.png: unknown id 300 \(1 pixels\)\n  allowed: the ids 3, 7, 255\n"
    ):
        CODING.decode(np.array([[3, 300, 255]], np.uint16), Path("a.png"))
