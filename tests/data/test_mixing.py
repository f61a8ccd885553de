"""Several data sets as one index, and in which order their images are drawn."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intrada.core.config.augment_blocks import Augment
from intrada.core.distributed.launcher import Rank
from intrada.core.errors import UserError
from intrada.data import loader, mixing, tables
from intrada.data.batch import Batch
from tests.data.test_loader import frame, same, write

BOTH = Augment(flip=True, jitter=0.2)
WEIGHTS = st.lists(st.floats(0.01, 100), min_size=1, max_size=5)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    "weights, expected",
    [
        # times 1/w, 3/w, 5/w, ...: a 1 3 5 7; b 1 3 5 7
        ([1, 1], "ab ab ab ab"),
        # a 1/2 3/2 5/2 7/2; b 1 3 5 7
        ([2, 1], "aba aba aba"),
        # a 1/3 1 5/3 7/3 3; b 1 3
        ([3, 1], "aaba aaba"),
        # a 1 3 5 7 9; b 1/0.4 = 2.5, 7.5
        ([1, 0.4], "abaaaba abaaaba"),
        # a 1 3; b 1/2 3/2 5/2; c 1 3
        ([1, 2, 1], "bacb bacb"),
        ([0.25], "aaaaa"),
    ],
)
def test_the_order_worked_by_hand(weights: list[float], expected: str) -> None:
    drawn, order = Counter[str](), ""
    for position in range(len(expected.replace(" ", ""))):
        which, number = mixing.draw(position, weights)
        assert mixing.counts(position, weights) == [drawn["abc"[i]] for i in range(len(weights))]
        assert number == drawn["abc"[which]]  # the images of each data set one after another
        drawn["abc"[which]] += 1
        order += "abc"[which]
    assert order == expected.replace(" ", "")


@settings(max_examples=60)
@given(WEIGHTS, st.integers(0, 10**7))
def test_any_stretch_has_the_shares_of_the_weights(weights: list[float], position: int) -> None:
    before, after = mixing.counts(position, weights), mixing.counts(position + 100, weights)
    assert sum(before) == position and sum(after) == position + 100
    drawn = Counter(mixing.draw(number, weights)[0] for number in range(position, position + 100))
    assert [after[i] - before[i] for i in range(len(weights))] == [drawn[i] for i in range(len(weights))]
    for number, weight in zip(before, weights, strict=True):
        assert abs(number - position * weight / sum(weights)) <= len(weights)


@pytest.fixture
def index() -> pd.DataFrame:
    """Five images of the source, three of the data set more with weight 0.5, two of few with weight 2."""
    source, more, few = (frame([write(str(i)) for i in numbers]) for numbers in ("01234", "567", "89"))
    return mixing.joined({"source": (source, 1.0), "more": (more, 0.5), "few": (few, 2.0)})


def stream(index: pd.DataFrame, start: int, stop: int, rank: Rank = Rank(), size: int = 4) -> list[Batch]:  # noqa: B008
    return list(loader.training_stream(index, 1, "labelled", BOTH, size, start, stop, rank))


def test_a_mixed_batch_says_where_its_images_come_from(index: pd.DataFrame) -> None:
    sets = Counter(name.split("/")[0] for batch in stream(index, 0, 14) for name in batch.ids)
    assert sets == {"source": 16, "more": 8, "few": 32}


def test_each_data_set_has_the_stream_that_it_would_have_alone(index: pd.DataFrame) -> None:
    alone = loader.InfiniteShuffledDataset(mixing.split(index)["source"], 1, "labelled", BOTH, 99)
    mixed = loader.MixedDataset(index, 1, "labelled", BOTH, 99)
    of_source = [sample for sample in (mixed[p] for p in range(56)) if sample.id.startswith("source/")]
    assert len(of_source) == 16
    assert all(same(sample, alone[number]) for number, sample in enumerate(of_source))
    passes = [sample.id for sample in of_source][:5]
    assert sorted(passes) == [f"source/{number}" for number in range(5)]


def test_a_mixed_stream_started_in_the_middle_has_the_same_batches(index: pd.DataFrame) -> None:
    whole = stream(index, 0, 9)
    for start in (1, 4, 8):
        assert all(map(same, stream(index, start, 9), whole[start:]))


def test_two_processes_get_the_images_of_one(index: pd.DataFrame) -> None:
    whole = stream(index, 0, 6)
    halves = [stream(index, 0, 6, Rank(number, 2)) for number in (0, 1)]
    for batch, first, second in zip(whole, *halves, strict=True):
        assert batch.ids == first.ids + second.ids
        assert (batch.image == batch.image.new_tensor([*first.image.tolist(), *second.image.tolist()])).all()


def table(*rows: tuple[str, float, str]) -> Path:
    path = Path("sets.csv")
    columns = list(tables.SETS.columns)
    tables.write(
        path, pd.DataFrame([(*row[:2], 1, row[2], "0" * 32) for row in rows], columns=columns), tables.SETS
    )
    return path


def test_without_further_data_sets_the_index_is_unchanged() -> None:
    first = frame([write("0"), write("1")])
    tables.write(Path("first.csv"), first, tables.INDEX)
    assert mixing.read(table(), Path("first.csv")).equals(first)
    assert mixing.read_sets(table()) is None
    assert mixing.weights(first) == [1]


def test_further_data_sets_are_joined_in_the_order_of_the_table() -> None:
    for name in "012":
        tables.write(Path(f"{name}.csv"), frame([write(name)]), tables.INDEX)
    joined = mixing.read(table(("z", 2, "2.csv"), ("a", 0.5, "1.csv")), Path("0.csv"))
    assert joined["id"].tolist() == ["source/0", "z/2", "a/1"]
    assert mixing.weights(joined) == [1, 2, 0.5]


def test_an_index_without_any_label_is_refused() -> None:
    """`preprocess --domain target` writes such an index: a training on it would have a loss of 0."""
    sets = Path("sets.csv")
    tables.write(sets, pd.DataFrame(columns=[*tables.SETS.columns]), tables.SETS)
    rows = [
        {"id": name, "image": f"{name}.png", "label": label, "width": 8, "height": 8}
        for name, label in (("a", ""), ("b", "b_label.png"))
    ]
    tables.write(Path("index.csv"), pd.DataFrame(rows), tables.INDEX)
    assert len(mixing.read(sets, Path("index.csv"))) == 2  # one label is enough
    tables.write(Path("index.csv"), pd.DataFrame(rows[:1]), tables.INDEX)
    with pytest.raises(UserError, match="index.csv: none of its 1 images has a label"):
        mixing.read(sets, Path("index.csv"))
    further = {"dataset": "b", "weight": 1.0, "images": 1, "index_csv": "index.csv", "content": "0"}
    tables.write(sets, pd.DataFrame([further]), tables.SETS)
    with pytest.raises(UserError, match="index.csv: none of its 1 images has a label"):
        mixing.read_sets(sets)


def test_a_data_set_without_an_image_is_refused() -> None:
    tables.write(Path("0.csv"), frame([write("0")]), tables.INDEX)
    tables.write(Path("1.csv"), frame([]), tables.INDEX)
    with pytest.raises(UserError, match="1.csv: no image"):
        mixing.read(table(("a", 1, "1.csv")), Path("0.csv"))
