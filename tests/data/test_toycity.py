"""The toy city: layouts, ids, reproducible bytes, and the difficulty in the table."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from intrada.core import files, seeding
from intrada.core.config.classes import CITYSCAPES_11, CITYSCAPES_IDS
from intrada.data.datasets import toycity
from intrada.data.datasets.toycity_canvas import Canvas, photograph
from intrada.data.datasets.toycity_look import PALETTE, PERSON, POLE, ROAD, SOURCE, TARGET, Domain, Weather
from intrada.data.datasets.toycity_scene import draw

SIZE = (128, 64)


def digests(root: Path) -> dict[str, str]:
    """Return the hash of every file below `root` by its relative path."""
    paths = sorted(path for path in root.rglob("*") if path.is_file())
    return {path.relative_to(root).as_posix(): hashlib.md5(path.read_bytes()).hexdigest() for path in paths}


def street(weather: Weather, number: int = 0) -> tuple[np.ndarray, np.ndarray]:
    return draw(seeding.stream(5, "test", number), TARGET, weather, SIZE)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("source")
    toycity.write_source(root, seed=3, images=4, size=SIZE)
    return root


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("target")
    toycity.write_target(root, seed=3, train=6, val=4, size=SIZE)
    return root


def test_source_has_the_layout_of_gta5(source: Path) -> None:
    names = [f"0000{number}.png" for number in (1, 2, 3, 4)]
    assert list(digests(source)) == [f"{folder}/{name}" for folder in ("images", "labels") for name in names]
    with Image.open(source / "images/00001.png") as image, Image.open(source / "labels/00001.png") as label:
        assert (image.mode, image.size) == ("RGB", SIZE)
        assert (label.mode, label.size) == ("P", SIZE)


def test_target_has_the_layout_of_cityscapes(target: Path) -> None:
    paths = list(digests(target))
    assert "leftImg8bit/train/aachen/aachen_000001_000019_leftImg8bit.png" in paths
    assert "gtFine/val/frankfurt/frankfurt_000001_000019_gtFine_labelIds.png" in paths
    images = [name for name in paths if name.startswith("leftImg8bit/")]
    labels = [name.replace("leftImg8bit/", "gtFine/", 1) for name in images]
    assert sorted(name.replace("_leftImg8bit.png", "_gtFine_labelIds.png") for name in labels) == [
        name for name in paths if name.startswith("gtFine/")
    ]
    assert [sum(f"/{split}/" in name for name in images) for split in ("train", "val")] == [6, 4]
    with Image.open(target / "gtFine/val/munster/munster_000000_000019_gtFine_labelIds.png") as label:
        assert (label.mode, label.size) == ("L", SIZE)


def test_a_city_is_in_one_split_only() -> None:
    assert not set(toycity.CITIES["train"]) & set(toycity.CITIES["val"])


def test_the_palette_of_a_source_label_has_cityscapes_colours(source: Path) -> None:
    path = source / "labels/00001.png"
    ids, shown = files.read_label(path), np.asarray(Image.open(path).convert("RGB"))
    for key in np.unique(ids):
        assert {tuple(color) for color in shown[ids == key]} == {CITYSCAPES_IDS[int(key)].color}


def test_labels_have_exactly_the_eleven_classes() -> None:
    label_ids = {int(key) for number in range(20) for key in np.unique(street(Weather(), number)[1])}
    assert {CITYSCAPES_IDS[key].name for key in label_ids} == set(CITYSCAPES_11)


def test_the_same_seed_writes_the_same_bytes_with_any_number_of_workers(
    source: Path, target: Path, tmp_path: Path
) -> None:
    toycity.write_source(tmp_path / "source", seed=3, images=4, size=SIZE, workers=3)
    toycity.write_target(tmp_path / "target", seed=3, train=6, val=4, size=SIZE, workers=3)
    assert digests(tmp_path / "source") == digests(source)
    assert digests(tmp_path / "target") == digests(target)


def test_an_image_does_not_depend_on_the_number_of_images(source: Path, target: Path, tmp_path: Path) -> None:
    toycity.write_source(tmp_path / "source", seed=3, images=2, size=SIZE)
    toycity.write_target(tmp_path / "target", seed=3, train=2, val=1, size=SIZE)
    few = digests(tmp_path / "source") | digests(tmp_path / "target")
    many = digests(source) | digests(target)
    assert len(few) == 2 * (2 + 2 + 1)
    assert few.items() <= many.items()


def test_images_of_different_seeds_splits_or_numbers_differ(
    source: Path, target: Path, tmp_path: Path
) -> None:
    toycity.write_source(tmp_path, seed=4, images=4, size=SIZE)
    roots = (source, target, tmp_path)
    every = [value for root in roots for name, value in digests(root).items() if "/" in name]
    assert len(set(every)) == len(every) == 2 * (4 + 10 + 4)


def test_the_table_has_every_target_image_and_its_difficulty(target: Path, tmp_path: Path) -> None:
    table = toycity.write_target(tmp_path, 3, 6, 4, SIZE)
    assert sorted(table.image) == sorted(path.name for path in target.rglob("*_leftImg8bit.png"))
    assert table.severity.between(0, 1).all()
    assert set(table.condition) <= {"night", "fog"}


def test_severity_is_mild_or_severe_and_condition_night_or_fog() -> None:
    weathers = [toycity._weather(seeding.stream(1, "weather", number)) for number in range(2000)]
    severities = np.array([weather.severity for weather in weathers])
    mild = severities < 0.5
    assert severities[mild].max() <= 0.4
    assert severities[~mild].min() >= 0.6
    assert mild.mean() == pytest.approx(0.62, abs=0.04)
    nights = np.array([weather.condition == "night" for weather in weathers])
    assert {weather.condition for weather in weathers} == {"night", "fog"}
    assert nights[mild].mean() == pytest.approx(0.5, abs=0.05)
    assert nights[~mild].mean() == pytest.approx(0.5, abs=0.06)


def test_weather_changes_the_image_but_not_the_label() -> None:
    """This holds up to severity 0.5; above, there are more persons."""
    calm, night, fog = (
        street(weather) for weather in (Weather(), Weather(0.5, "night"), Weather(0.5, "fog"))
    )
    assert np.array_equal(calm[1], night[1])
    assert np.array_equal(calm[1], fog[1])
    assert night[0].mean() < 0.9 * calm[0].mean()
    assert fog[0].mean() > 1.05 * calm[0].mean()
    assert fog[0].std() < 0.92 * calm[0].std()


def test_fog_is_stronger_at_a_distance() -> None:
    calm, fog = (street(Weather(severity, "fog"))[0].astype(float) for severity in (0.0, 0.5))
    road = street(Weather())[1] == ROAD
    veil = [(fog - calm)[rows][road[rows]].mean() for rows in (slice(30, 40), slice(56, 64))]
    assert veil[0] > 2 * veil[1] > 0


def test_only_persons_are_more_frequent_in_severe_weather() -> None:
    """Compare the pixels of each class in 60 streets, severe with mild, with the same random streams."""
    totals = []
    for severity in (0.2, 0.8):
        labels = [draw(seeding.stream(5, n), TARGET, Weather(severity), (64, 32))[1] for n in range(60)]
        totals.append(np.bincount(np.stack(labels).ravel(), minlength=34))
    ratio = {key: totals[1][key] / totals[0][key] for key in np.flatnonzero(totals[0]).tolist()}
    assert 1.25 < ratio.pop(PERSON) < 1.75
    assert all(0.8 < value < 1.2 for value in ratio.values())


def test_a_pixel_of_the_image_is_the_average_of_2x2_pixels_of_the_canvas() -> None:
    plain = Domain(PALETTE, color_jitter=0, texture=0, noise=0)
    canvas = Canvas(seeding.stream(0), plain, (3, 2))
    canvas.box(POLE, 1, 0, 3, 4, (200, 100, 40), near=1.0)
    picture = photograph(canvas, Weather())
    assert picture.tolist() == [[[100, 50, 20], [200, 100, 40], [0, 0, 0]]] * 2


def test_images_of_different_sizes_have_the_same_proportions() -> None:
    sizes = (128, 64), (256, 128)
    small, large = (draw(seeding.stream(7, "s"), SOURCE, Weather(), size)[1] for size in sizes)
    halved = cv2.resize(large, (128, 64), interpolation=cv2.INTER_NEAREST)
    assert np.mean(small == halved) > 0.9


def test_progress_receives_every_image(tmp_path: Path) -> None:
    calls = []

    def progress(items: Iterable[Any], total: int, unit: str) -> Iterable[Any]:
        for item in items:
            calls.append((total, unit))
            yield item

    toycity.write_source(tmp_path, seed=0, images=3, size=(32, 16), progress=progress)
    assert calls == [(3, "image")] * 3
