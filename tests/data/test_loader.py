from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from intrada.core import files
from intrada.core.config.augment_blocks import Augment
from intrada.core.distributed.launcher import SINGLE_RANK, Rank
from intrada.core.errors import UserError
from intrada.data import augmentation, loader, mixing, tables
from intrada.data.batch import Batch
from intrada.data.loader import InfiniteShuffledDataset
from intrada.data.prefetching import Threads

PLAIN = Augment(flip=False, jitter=0.0)
FLIP = Augment(flip=True, jitter=0.0)
BOTH = Augment(flip=True, jitter=0.2)
COLOURS = Augment.model_validate(
    {
        "flip": True,
        "jitter": 0.0,
        "colour": {"brightness": 0.2, "contrast": 0.2, "saturation": 0.2, "hue": 0.2, "probability": 0.8},
        "gamma": {"exponent": [0.5, 2.0], "probability": 0.5},
        "channel_gain": {"gain": 0.2, "probability": 0.5},
        "blur": {"sigma": [0.15, 1.15], "probability": 0.5},
        "jpeg": {"quality": [10, 90], "probability": 0.5},
        "invert": {"probability": 0.5},
    }
)
CROP = Augment.model_validate(
    COLOURS.model_dump()
    | {"scale": [0.5, 2.0], "crop": {"size": [40, 32], "cat_max_ratio": 0.3, "tries": 10}}
)
COUNT, HEIGHT, WIDTH = 5, 2, 3


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write(name: str, height: int = HEIGHT, width: int = WIDTH, labelled: bool = True) -> tuple[object, ...]:
    """Write an image and its label; return their row of an index.

    The pixel (y, x) of image n is (100 + 10 n + x, y, n), and its label is x.
    """
    rows, columns = np.mgrid[:height, :width].astype(np.uint8)
    number = np.full_like(rows, int(name))
    files.write_image(Path(f"{name}.png"), np.dstack([100 + 10 * number + columns, rows, number]))
    if labelled:
        files.write_label(Path(f"{name}_label.png"), columns, [])
    return name, f"{name}.png", f"{name}_label.png" if labelled else "", width, height


def frame(rows: list[tuple[object, ...]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=tables.INDEX_COLUMNS)


@pytest.fixture
def index() -> pd.DataFrame:
    return frame([write(str(number)) for number in range(COUNT)])


def same(left: tuple[object, ...], right: tuple[object, ...]) -> bool:
    """Return whether two samples or batches are bit-identical."""
    pairs = zip(left, right, strict=True)
    return all(torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b for a, b in pairs)


def test_a_sample_has_an_image_and_its_label(index: pd.DataFrame) -> None:
    sample = InfiniteShuffledDataset(index, 1, "labelled", PLAIN, 1)[0]
    number = int(sample.id)
    assert (sample.image.shape, sample.image.dtype) == ((3, HEIGHT, WIDTH), torch.uint8)
    assert (sample.label.shape, sample.label.dtype) == ((HEIGHT, WIDTH), torch.uint8)
    assert stream(index, 0, 1)[0].label.dtype == torch.int64  # the losses need int64
    assert sample.image[:, 1, 2].tolist() == [100 + 10 * number + 2, 1, number]
    assert sample.label.tolist() == [[0, 1, 2], [0, 1, 2]]


@pytest.mark.parametrize("augment", [BOTH, COLOURS])
def test_a_sample_depends_only_on_its_position(index: pd.DataFrame, augment: Augment) -> None:
    forwards = InfiniteShuffledDataset(index, 1, "labelled", augment, 4 * COUNT)
    backwards = InfiniteShuffledDataset(index, 1, "labelled", augment, 10**9)
    expected = [forwards[p] for p in range(4 * COUNT)]
    assert all(same(backwards[p], expected[p]) for p in reversed(range(4 * COUNT)))
    assert all(
        same(InfiniteShuffledDataset(index, 1, "labelled", augment, p + 1)[p], expected[p])
        for p in (0, 7, 19)
    )


def test_colour_changes_leave_the_flips_and_the_labels_as_they_are(index: pd.DataFrame) -> None:
    flips = InfiniteShuffledDataset(index, 1, "labelled", FLIP, 40)
    colours = InfiniteShuffledDataset(index, 1, "labelled", COLOURS, 40)
    pairs = [(flips[p], colours[p]) for p in range(40)]
    assert all(torch.equal(plain.label, changed.label) for plain, changed in pairs)
    assert sum(not torch.equal(plain.image, changed.image) for plain, changed in pairs) > 35


@pytest.mark.parametrize("seed, name", [(2, "labelled"), (1, "target")])
def test_another_seed_or_stream_gives_other_samples(index: pd.DataFrame, seed: int, name: str) -> None:
    expected, other = (
        InfiniteShuffledDataset(index, 1, "labelled", BOTH, 20),
        InfiniteShuffledDataset(index, seed, name, BOTH, 20),
    )
    assert sum(same(expected[p], other[p]) for p in range(20)) < 5


def test_every_pass_has_each_image_once_and_another_order(index: pd.DataFrame) -> None:
    data = InfiniteShuffledDataset(index, 1, "labelled", BOTH, 8 * COUNT)
    passes = [tuple(data[COUNT * epoch + i].id for i in range(COUNT)) for epoch in range(8)]
    assert all(sorted(order) == list("01234") for order in passes)
    assert len(set(passes)) > 5


def stream(
    index: pd.DataFrame,
    start: int,
    stop: int,
    size: int = 2,
    augment: Augment = BOTH,
    rank: Rank = SINGLE_RANK,
) -> list[Batch]:
    return list(loader.training_stream(index, 1, "labelled", augment, size, start, stop, rank))


@pytest.mark.parametrize("augment", [BOTH, COLOURS])
def test_a_stream_started_in_the_middle_has_the_same_batches(index: pd.DataFrame, augment: Augment) -> None:
    whole = stream(index, 0, 9, augment=augment)
    assert len(whole) == 9
    assert whole[0].image.shape == (2, 3, HEIGHT, WIDTH)
    for start in (0, 1, 4, 8, 9):
        rest = stream(index, start, 9, augment=augment)
        assert len(rest) == 9 - start
        assert all(map(same, rest, whole[start:]))


def test_crops_depend_on_the_position_only_and_leave_the_flips() -> None:
    rows = frame([write(str(number), height=40, width=50) for number in range(COUNT)])
    whole = stream(rows, 0, 9, augment=CROP)
    assert whole[0].image.shape == (2, 3, 32, 40) and whole[0].label.shape == (2, 32, 40)
    for start in (1, 8):
        assert all(map(same, stream(rows, start, 9, augment=CROP), whole[start:]))
    flips = stream(rows, 0, 9, augment=FLIP)
    assert [batch.ids for batch in flips] == [batch.ids for batch in whole]
    for flip, crop in zip(flips, whole, strict=True):
        for plain, cut in zip(flip.label, crop.label, strict=True):
            falls, fell = (bool(label[0, 0] > label[0, 20]) for label in (plain, cut))
            assert falls == fell  # the label of a column is its number, mirrored by a flip


@pytest.mark.parametrize("augment", [COLOURS, CROP])
def test_the_images_of_all_processes_together_are_those_of_one(augment: Augment) -> None:
    index = frame([write(str(number), height=40, width=50) for number in range(COUNT)])
    whole = stream(index, 0, 4, size=4, augment=augment)
    parts = zip(*(stream(index, 0, 4, 4, augment, Rank(rank, 2)) for rank in (0, 1)), strict=True)
    for batch, (first, second) in zip(whole, parts, strict=True):
        assert batch.ids == first.ids + second.ids
        assert torch.equal(batch.image, torch.cat([first.image, second.image]))


def test_the_order_of_samples_does_not_depend_on_the_batch_size(index: pd.DataFrame) -> None:
    single = [name for batch in stream(index, 0, 12, size=1) for name in batch.ids]
    assert [name for batch in stream(index, 0, 4, size=3) for name in batch.ids] == single


@pytest.mark.parametrize("count", [1, 3, 8])
def test_threads_give_the_same_batches_over_several_passes(count: int) -> None:
    rows = frame([write(str(number), height=40, width=50) for number in range(COUNT)])
    mixed = rows.assign(**{mixing.DATASET: ["a", "b", "b", "a", "a"], "weight": [1, 3, 3, 1, 1]})
    for index in (rows, mixed):
        expected = stream(index, 3, 20, augment=CROP)
        with ThreadPoolExecutor(count) as pool:
            threads = Threads(pool, count)
            found = list(loader.training_stream(index, 1, "labelled", CROP, 2, 3, 20, SINGLE_RANK, threads))
        assert len(found) == 17 and all(map(same, found, expected))


def test_an_error_of_a_thread_is_raised_at_its_batch() -> None:
    rows = frame([write(str(number)) for number in range(COUNT)])
    order = [name for batch in stream(rows, 0, COUNT, size=1) for name in batch.ids]
    Path(f"{order[3]}.png").unlink()
    with ThreadPoolExecutor(4) as pool:
        threads = Threads(pool, 4)
        found = loader.training_stream(rows, 1, "labelled", BOTH, 1, 0, COUNT, SINGLE_RANK, threads)
        assert [next(found).ids for _ in range(3)] == [[name] for name in order[:3]]
        with pytest.raises(UserError, match=f"{order[3]}.png"):
            next(found)


def test_a_random_crop_reads_its_image_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Though up to ten places are drawn, and the image is resized."""
    rows, read = frame([write(str(number), height=40, width=50) for number in range(COUNT)]), list[Path]()
    original = files.read_image
    monkeypatch.setattr(files, "read_image", lambda path: read.append(path) or original(path))
    stream(rows, 0, 2 * COUNT, size=1, augment=CROP)
    assert len(read) == 2 * COUNT


def test_a_stream_does_not_use_torchs_global_generator(index: pd.DataFrame) -> None:
    before = torch.get_rng_state()
    stream(index, 0, 3)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_flip_mirrors_image_and_label_with_probability_one_half(index: pd.DataFrame) -> None:
    data = InfiniteShuffledDataset(index, 1, "labelled", FLIP, 200)
    samples = [data[p] for p in range(200)]
    for sample in samples:
        columns = sample.image[0].long() - 100 - 10 * int(sample.id)
        assert torch.equal(columns, sample.label)
        assert torch.equal(sample.image[1], torch.tensor([[0] * WIDTH, [1] * WIDTH]))
    flipped = sum(sample.label[0].tolist() == [2, 1, 0] for sample in samples)
    assert sum(sample.label[0].tolist() == [0, 1, 2] for sample in samples) == 200 - flipped
    assert 75 < flipped < 125


@pytest.mark.parametrize("value", [0, 1, 100, 254, 255])
def test_jitter_of_a_flat_image_stays_in_its_range(value: int) -> None:
    flat, label = np.full((2, 2, 3), value, np.uint8), np.zeros((2, 2), np.uint8)
    drawn = []
    for number in range(100):
        random = np.random.default_rng(number)
        image, _ = augmentation.augmented(flat, label, Augment(flip=False, jitter=0.2), random)
        assert image.dtype == np.uint8 and len(np.unique(image)) == 1
        drawn.append(int(image[0, 0, 0]))
    assert round(value * 0.8) <= min(drawn) and max(drawn) <= min(255, round(value * 1.2))
    assert value < 2 or max(drawn) - min(drawn) > 0.15 * value


def test_jitter_scales_the_contrast_around_the_mean() -> None:
    image, label = np.full((2, 2, 3), 100, np.uint8), np.zeros((2, 2), np.uint8)
    image[0] = 140
    spreads, means = [], []
    for number in range(200):
        random = np.random.default_rng(number)
        jittered, same_label = augmentation.augmented(image, label, Augment(flip=False, jitter=0.5), random)
        spreads.append(int(jittered[0, 0, 0]) - int(jittered[1, 0, 0]))
        means.append(jittered.mean())
        assert same_label is label
    assert 19 <= min(spreads) < 23 and 57 < max(spreads) <= 61  # 40 * (1 -+ 0.5), rounded
    assert 59 <= min(means) < 66 and 174 < max(means) <= 181  # 120 * (1 -+ 0.5)


def test_without_augmentation_the_label_is_unchanged(index: pd.DataFrame) -> None:
    data = InfiniteShuffledDataset(index, 1, "labelled", PLAIN, COUNT)
    assert all(torch.equal(data[p].label[0], torch.arange(WIDTH)) for p in range(COUNT))


def test_the_label_of_an_unlabelled_image_is_255_everywhere() -> None:
    sample = InfiniteShuffledDataset(frame([write("3", labelled=False)]), 1, "target", BOTH, 1)[0]
    assert sample.label.unique().tolist() == [255]


def test_an_empty_index_is_refused() -> None:
    with pytest.raises(UserError, match="index of the target images: no image"):
        loader.training_stream(frame([]), 1, "target", PLAIN, 1, 0, 1)


def test_a_label_of_another_size_is_refused() -> None:
    row = write("1")
    files.write_label(Path("1_label.png"), np.zeros((HEIGHT, WIDTH + 1), np.uint8), [])
    with pytest.raises(UserError, match="1_label.png: 4x2 pixels, its image has 3x2"):
        InfiniteShuffledDataset(frame([row]), 1, "labelled", PLAIN, 1)[0]


def test_the_error_for_two_sizes_in_a_training_batch_lists_the_images() -> None:
    rows = frame([write("1"), write("2", width=4)])
    with pytest.raises(UserError, match="images (1, 2|2, 1): sizes"):
        stream(rows, 0, 1)


def test_inference_batches_have_every_image_once_in_order_and_no_label(index: pd.DataFrame) -> None:
    for path in index["label"]:
        Path(path).unlink()
    batches = list(loader.inference_batches(index, 2))
    assert [batch.ids for batch in batches] == [["0", "1"], ["2", "3"], ["4"]]
    assert all(batch.label.unique().tolist() == [255] for batch in batches)
    assert batches[1].image[1, 2].unique().tolist() == [3]


def test_the_images_of_an_inference_batch_have_the_same_size() -> None:
    rows = frame([write("0"), write("1", width=4), write("2"), write("3", height=4), write("4", width=4)])
    batches = list(loader.inference_batches(rows, 2))
    assert [batch.ids for batch in batches] == [["0", "2"], ["1", "4"], ["3"]]
