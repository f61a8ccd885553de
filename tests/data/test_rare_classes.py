"""Rare class sampling: the probabilities by hand, and which images and crops are drawn."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from intrada.core import files
from intrada.core.config.augment_blocks import Augment, Crop
from intrada.core.config.load import validate
from intrada.core.config.training_blocks import RareClassSampling
from intrada.core.errors import UserError
from intrada.data import mixing, tables
from intrada.data.rare_classes import RareClassDataset, probabilities
from tests.support.tiny_project import PARAMS, SELF_TRAINING, change, run, tree, write_params

PLAIN = Augment(flip=False, jitter=0)
SAMPLING = RareClassSampling(temperature=0.1, min_share=0.1, tries=10)


def test_the_probability_of_a_class_grows_with_its_rarity() -> None:
    """Shares 0.7, 0.2, 0.1 and T = 0.1: exp(3), exp(8), exp(9)."""
    weights = [math.exp(3), math.exp(8), math.exp(9)]
    expected = [weight / sum(weights) for weight in weights]
    assert probabilities(np.array([70, 20, 10]), 0.1).tolist() == pytest.approx(expected)


def test_a_class_without_pixels_is_never_drawn_and_a_low_temperature_does_not_overflow() -> None:
    assert probabilities(np.array([70, 0, 30]), 0.0001).tolist() == [0, 0, 1]


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """Return the index of six images of 40 x 40 pixels: sky; from the third on, car in ever more pixels."""
    folder = tmp_path_factory.mktemp("images")
    rows = []
    for number, side in enumerate((0, 0, 4, 12, 14, 16)):  # 16, 144, 196, 256 of 1,600 pixels
        label = np.zeros((40, 40), np.uint8)
        label[:side, :side] = 1
        image, path = folder / f"{number}.png", folder / f"{number}_label.png"
        files.write_image(image, np.repeat(label[:, :, None], 3, 2))
        files.write_label(path, label, [])
        rows.append([str(number), str(image), str(path), 40, 40, 1600 - side**2, side**2])
    columns = [*tables.INDEX_COLUMNS, "pixels_sky", "pixels_car"]
    return pd.DataFrame(rows, columns=columns)


def dataset(index: pd.DataFrame, augment: Augment = PLAIN, **changes: float) -> RareClassDataset:
    return RareClassDataset(index, 1, "labelled", augment, 400, SAMPLING.model_copy(update=changes))


def test_images_that_hold_enough_of_the_class_are_drawn(index: pd.DataFrame) -> None:
    data = dataset(index, temperature=1.0)
    drawn = [data.draw(position) for position in range(400)]
    assert {row.id for number, row in drawn if number == 1} == {"4", "5"}  # at least 160 pixels
    assert {row.id for number, row in drawn if number == 0} == {"0", "1", "2", "3", "4", "5"}
    share = Counter(number for number, _ in drawn)[1] / 400
    assert share == pytest.approx(data.probabilities[1], abs=0.07) and 0.5 < share < 0.9


def test_without_such_an_image_any_image_with_the_class_is_taken(index: pd.DataFrame) -> None:
    data = dataset(index, min_share=0.5)
    assert {row.id for number, row in map(data.draw, range(200)) if number == 1} == {"2", "3", "4", "5"}


def test_crops_are_repeated_until_one_holds_half_of_the_share(index: pd.DataFrame) -> None:
    crop = Augment(flip=False, jitter=0, crop=Crop(size=[32, 32], cat_max_ratio=1.0, tries=1))
    held = {}
    for tries in (1, 40):
        data = dataset(index, crop, tries=tries)
        held[tries] = np.mean([(data[position].label == 1).sum() >= 80 for position in range(60)])
    assert held[1] < 0.9 and held[40] == 1


def test_a_sample_depends_on_its_position_only(index: pd.DataFrame) -> None:
    crop = Augment(flip=True, jitter=0.1, crop=Crop(size=[32, 32], cat_max_ratio=1.0, tries=3))
    first, second = dataset(index, crop), dataset(index, crop)
    for position in (7, 3):
        assert first[position].image.equal(second[position].image)
    assert not first[3].image.equal(first[4].image)


def test_an_index_without_counts_is_refused(index: pd.DataFrame) -> None:
    with pytest.raises(UserError, match="class_pixels"):
        dataset(index[tables.INDEX_COLUMNS])


def test_of_several_sources_one_with_the_class_is_drawn_by_its_weight(index: pd.DataFrame) -> None:
    """All images hold sky; car is in none of the first source (weight 1), in b (0.5), and in three of c (2)."""
    parts = {"source": (index[:2], 1.0), "b": (index[2:3], 0.5), "c": (index[3:], 2.0)}
    data = dataset(mixing.joined(parts), temperature=1.0, min_share=0.01)
    pixels = np.array([6 * 1600 - 612, 612])  # 16 + 144 + 196 + 256 = 612 of car, in all sources
    assert data.probabilities.tolist() == probabilities(pixels, 1.0).tolist()
    drawn = [data.draw(position) for position in range(2000)]
    of_class = [[row.id for number, row in drawn if number == wanted] for wanted in (0, 1)]
    shares = [{name: count / len(ids) for name, count in Counter(ids).items()} for ids in of_class]
    # sky: the source with probability 1, 0.5 or 2 of 3.5, then one of 2, 1 or 3 images
    expected = {"source/0": 1 / 7, "source/1": 1 / 7, "b/2": 1 / 7} | {
        f"c/{image}": 4 / 21 for image in (3, 4, 5)
    }
    assert shares[0] == pytest.approx(expected, abs=0.05)
    # car: the first source has none, so 0.5 or 2 of 2.5
    assert shares[1] == pytest.approx({"b/2": 0.2, "c/3": 4 / 15, "c/4": 4 / 15, "c/5": 4 / 15}, abs=0.05)


def test_a_joined_index_of_one_source_draws_as_that_source_does(index: pd.DataFrame) -> None:
    alone, joined = dataset(index), dataset(mixing.joined({"source": (index, 1.0)}))
    for position in range(50):
        assert f"source/{alone.draw(position)[1].id}" == joined.draw(position)[1].id


def test_preprocess_counts_the_pixels_and_a_training_draws_by_them(project: Path) -> None:
    sampling = {"temperature": 0.5, "min_share": 0.01, "tries": 2}
    params = change(tree(), train_inter__rare_class_sampling=sampling)
    params["preprocess"]["source"]["class_pixels"] = True
    write_params(params)
    assert run("preprocess@source") == 0
    table = tables.read(Path("data/preprocess/source/index.csv"), tables.INDEX)
    for row in table.itertuples(index=False):
        label = files.read_label(Path(row.label))
        counts = [getattr(row, name) for name in table.columns if name == "pixels_sky"]
        assert counts == [(label == params["classes"].index("sky")).sum()]
    before = Path("results/train_inter/last.safetensors").read_bytes()
    assert run("train_inter") == 0
    assert Path("results/train_inter/last.safetensors").read_bytes() != before


MORE = {**tree()["preprocess"]["source"], "weight": 2.0}
SETTINGS = {"temperature": 0.01, "min_share": 0.003, "tries": 10}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train_inter__rare_class_sampling": SETTINGS}, "needs preprocess.source.class_pixels"),
        (
            {"train_intra__rare_class_sampling": SETTINGS, "train_intra__method": "mean_teacher",
             "train_intra__self_training": SELF_TRAINING, "preprocess__source__class_pixels": True},
            "supervision source only",
        ),
        ({"preprocess__target__class_pixels": True}, "preprocess.target.class_pixels"),
        (
            {"train_inter__rare_class_sampling": SETTINGS, "preprocess__source__class_pixels": True, "sources": {"more": MORE}},
            "needs sources.more.class_pixels",
        ),
        ({"target_labelled": {"few": MORE | {"class_pixels": True}}}, "few.class_pixels is not used"),
    ],
)  # fmt: skip
def test_settings_that_would_not_be_used_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        validate(PARAMS, change(tree(), **changes))
