from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from intrada.core.config.classes import (
    CITYSCAPES_11,
    CITYSCAPES_13,
    CITYSCAPES_16,
    CITYSCAPES_19,
    CITYSCAPES_IDS,
    IGNORE,
    MAX_CLASSES,
    class_set,
    published_subsets,
)
from intrada.core.errors import UserError

# The official label id of each train id 0..18.
TRAIN_IDS = [7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33]


def own(count: int) -> list[dict[str, Any]]:
    return [{"name": f"class {i}", "color": [i, 0, 1]} for i in range(count)]


def test_the_19_classes_are_the_official_train_ids_in_order() -> None:
    assert [CITYSCAPES_IDS[raw].name for raw in TRAIN_IDS] == list(CITYSCAPES_19)
    table = class_set(CITYSCAPES_19).table({raw: entry.name for raw, entry in CITYSCAPES_IDS.items()})
    expected = np.full(256, IGNORE, np.uint8)
    expected[TRAIN_IDS] = range(19)
    assert table.dtype == np.uint8 and np.array_equal(table, expected)


def test_the_subsets_have_the_classes_of_the_papers() -> None:
    assert sorted(CITYSCAPES_IDS) == list(range(34))
    assert (len(CITYSCAPES_19), len(CITYSCAPES_16), len(CITYSCAPES_13), len(CITYSCAPES_11)) == (
        19,
        16,
        13,
        11,
    )
    assert set(CITYSCAPES_19) - set(CITYSCAPES_16) == {"terrain", "truck", "train"}
    assert set(CITYSCAPES_16) - set(CITYSCAPES_13) == {"wall", "fence", "pole"}
    assert set(CITYSCAPES_11) < set(CITYSCAPES_19)


@pytest.mark.parametrize("subset", [CITYSCAPES_19, CITYSCAPES_16, CITYSCAPES_13, CITYSCAPES_11])
def test_every_subset_makes_a_class_set_with_the_official_colours(subset: tuple[str, ...]) -> None:
    classes = class_set(subset)
    palette = np.array(classes.palette()).reshape(256, 3)
    assert classes.names == list(subset) and len(classes) == len(subset)
    assert palette[classes.index("road")].tolist() == [128, 64, 128]
    assert palette[classes.index("bicycle")].tolist() == [119, 11, 32]
    assert not palette[len(subset) :].any()


def test_own_and_official_classes_can_be_mixed_and_official_ones_recoloured() -> None:
    classes = class_set(
        ["road", {"name": "solar panel", "color": [1, 2, 3]}, {"name": "sky", "color": [9, 9, 9]}]
    )
    assert classes.palette()[:9] == [128, 64, 128, 1, 2, 3, 9, 9, 9]
    assert classes.table({5: "solar panel", 6: "sky"})[[0, 5, 6]].tolist() == [IGNORE, 1, 2]


def test_ids_above_255_make_a_table_of_16_bits() -> None:
    table = class_set(["road", "sky"]).table({26001: "sky", 2: "road"})
    assert table.shape == (65536,) and table[26001] == 1 and table[2] == 0 and table[3] == IGNORE


def test_several_ids_may_map_to_one_class() -> None:
    assert class_set(["road", "sky"]).table({1: "sky", 2: "sky"})[:3].tolist() == [IGNORE, 1, 1]


def test_the_maximum_number_of_classes_leaves_indices_254_and_255_free() -> None:
    classes = class_set(own(MAX_CLASSES))
    assert classes.table({0: f"class {MAX_CLASSES - 1}"})[0] == 253
    assert len(classes.palette()) == 768


@pytest.mark.parametrize(
    "entries, found",
    [
        (["road"], "1 entries"),
        (own(255), "255 entries"),
        ("road", "not a list"),
        ({"name": "a", "color": [0, 0, 0]}, "not a list"),
        (["road", "road"], "the name road twice"),
        (["road", {"name": "a", "color": [128, 64, 128]}], r"the colour \(128, 64, 128\) twice"),
        (["road", "Traffic Sing"], "unknown class 'Traffic Sing'[^$]*did you mean 'traffic sign'"),
        (["road", 7], "7"),
        (["road", {"name": "a"}], "{'name': 'a'}"),
        (["road", {"name": "a", "color": [0, 0, 0], "id": 3}], "'id': 3"),
        (["road", {"name": " a", "color": [0, 0, 0]}], "the name ' a'"),
        (["road", {"name": "a\nb", "color": [0, 0, 0]}], "the name"),
        (["road", {"name": "", "color": [0, 0, 0]}], "the name ''"),
        (["road", {"name": "a", "color": [0, 0, 256]}], r"the colour \[0, 0, 256\]"),
        (["road", {"name": "a", "color": [0, 0]}], r"the colour \[0, 0\]"),
        (["road", {"name": "a", "color": [0, 0, True]}], "the colour"),
        (["road", {"name": "a", "color": "red"}], "the colour 'red'"),
    ],
)
def test_a_wrong_entry_is_named(entries: Any, found: str) -> None:
    with pytest.raises(UserError, match=f"^classes: .*{found}"):
        class_set(entries)


def test_a_misspelt_name_is_refused_with_the_nearest_name() -> None:
    classes = class_set(["road", {"name": "solar panel", "color": [1, 2, 3]}])
    with pytest.raises(UserError, match=r"'solar pannel'[^$]*did you mean 'solar panel'"):
        classes.table({1: "solar pannel"})
    with pytest.raises(UserError, match=r"'skye'[^$]*did you mean 'sky'"):
        classes.table({1: "skye"})
    with pytest.raises(UserError, match="unknown class 'roda'"):
        classes.index("roda")


@pytest.mark.parametrize(
    "names, counts",
    [(CITYSCAPES_19, [19, 16, 13]), (CITYSCAPES_16, [16, 13]), (CITYSCAPES_13, [13]), (CITYSCAPES_11, [])],
)
def test_the_published_subsets_of_a_class_set_are_found(names: tuple[str, ...], counts: list[int]) -> None:
    classes = class_set(names[::-1])
    subsets = published_subsets(classes)
    assert list(subsets) == counts
    for count, indices in subsets.items():
        expected = {19: CITYSCAPES_19, 16: CITYSCAPES_16, 13: CITYSCAPES_13}[count]
        assert [classes.names[index] for index in indices] == list(expected)
