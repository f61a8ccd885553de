"""The target images of a training with a teacher: their margins and the order of a curriculum."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from intrada.core import files
from intrada.core.config.augment_blocks import Augment, Crop
from intrada.core.config.self_training import Margins
from intrada.data import tables
from intrada.data.target_stream import TargetDataset, labelled_area, target_stream

PLAIN = Augment(flip=False, jitter=0)


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """Return the index of ten images of 8 x 4 pixels in the order of a ranking; the first three are easy."""
    folder = tmp_path_factory.mktemp("images")
    rows = []
    for number in range(10):
        path = folder / f"{number}.png"
        files.write_image(path, np.full((4, 8, 3), number, np.uint8))
        rows.append([str(number), str(path), "", 8, 4])
    return pd.DataFrame(rows, columns=tables.INDEX_COLUMNS).assign(easy=[True] * 3 + [False] * 7)


def dataset(index: pd.DataFrame, length: int, first: int | None) -> TargetDataset:
    return TargetDataset(index, 1, "target", PLAIN, length, Margins(), first)


def test_margins_are_parts_of_the_image_rounded_to_pixels() -> None:
    area = labelled_area((4, 10), Margins(top=0.25, left=0.1, right=0.3))
    assert area.tolist() == [[255] * 10] + [[255] + [0] * 6 + [255] * 3] * 3


def test_margins_follow_a_flip(index: pd.DataFrame) -> None:
    flip = Augment(flip=True, jitter=0)
    data = TargetDataset(index, 1, "target", flip, 50, Margins(left=0.25), None)
    sides = {tuple(data[position].label[0].tolist()) for position in range(50)}
    assert sides == {(255, 255, 0, 0, 0, 0, 0, 0), (0, 0, 0, 0, 0, 0, 255, 255)}


def test_margins_follow_a_crop_that_is_lower_than_the_image(tmp_path: Path) -> None:
    """Rows 0 to 7 of 64 are the margin: a crop of 32 rows has as many of them as lie in it."""
    path = tmp_path / "rows.png"
    rows = np.arange(64, dtype=np.uint8)[:, None, None]
    files.write_image(path, np.broadcast_to(rows, (64, 40, 3)).copy())
    index = pd.DataFrame([["0", str(path), "", 40, 64]], columns=tables.INDEX_COLUMNS)
    crop = Augment(flip=False, jitter=0, crop=Crop(size=[32, 32], cat_max_ratio=1.0, tries=1))
    data = TargetDataset(index, 1, "target", crop, 40, Margins(top=0.125), None)
    tops = set()
    for position in range(40):
        sample = data[position]
        assert sample.label.eq(255).equal(sample.image[0] < 8)
        tops.add(int(sample.image[0, 0, 0]))
    assert len(tops) > 5 and min(tops) < 8 < max(tops)


def test_without_a_curriculum_each_pass_has_every_image_once(index: pd.DataFrame) -> None:
    data = dataset(index, 30, None)
    for start in (0, 10, 20):
        assert sorted(data[position].id for position in range(start, start + 10)) == sorted(index["id"])


def test_easy_first_draws_easy_images_then_evenly_more_of_the_hard_ones_by_rank(index: pd.DataFrame) -> None:
    data = dataset(index, 7000, 3)
    rows = np.array([data.row(position) for position in range(7000)])
    # from position 1000 on, one more hard image is drawn; after 6000, nine of ten
    for number in range(7):
        part = rows[1000 * number : 1000 * (number + 1)]
        assert part.max() == 2 + number
        counts = Counter(part.tolist())
        assert len(counts) == 3 + number
        assert min(counts.values()) > 0.6 * 1000 / (3 + number)
    assert data.row(6999) <= 8 and 9 not in rows  # the last opens at the end


def test_images_say_whether_they_are_easy(index: pd.DataFrame) -> None:
    for first in (None, 3):
        batches = target_stream(index, 1, "target", PLAIN, 5, 0, 6, None, first)
        for batch in batches:
            assert list(batch.easy) == [int(name) < 3 for name in batch.ids]


@pytest.mark.parametrize("first", [None, 3])
def test_a_resumed_stream_goes_on_with_the_same_images(index: pd.DataFrame, first: int | None) -> None:
    whole, rest = (
        [batch.ids for batch in target_stream(index, 1, "target", PLAIN, 3, start, 12, None, first)]
        for start in (0, 7)
    )
    assert whole[7:] == rest


def test_labels_of_target_images_are_not_used(index: pd.DataFrame, tmp_path: Path) -> None:
    label = tmp_path / "label.png"
    files.write_label(label, np.full((4, 8), 1, np.uint8), [])
    data = dataset(index.assign(label=str(label)), 10, None)
    assert all(data[position].label.eq(0).all() for position in range(10))
