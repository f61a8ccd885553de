"""Which images to label next: uncertain, spread over the ranking, and different from each other."""

from __future__ import annotations

import cv2
import numpy as np
import pandas as pd
import pytest

from intrada.evaluation import suggestion

DIFFERENT = np.random.default_rng(0).random((20, 64)) < 0.5


def suggest(count: int, same: dict[str, str] | None = None, names: str = "abcdefghijkl") -> str:
    """The choice among images a (most entropic), b, ...; same: image -> the image that it looks like."""
    looks = same or {}

    def fingerprint_of(name: str) -> suggestion.Fingerprint:
        bits: suggestion.Fingerprint = DIFFERENT[ord(looks.get(name, name)) - ord("a")]
        return bits

    return "".join(suggestion.suggest(names, count, fingerprint_of))


def test_the_choice_is_spread_over_the_more_entropic_half() -> None:
    assert suggest(3) == "ace"  # bands ab, cd, ef
    assert suggest(1) == "a" and suggest(6) == "abcdef"
    assert suggest(8) == "abcdefgh"  # more than the half, if so many are wanted
    assert suggest(99) == "abcdefghijkl" and suggest(3, names="") == ""


def test_a_near_duplicate_gives_way_to_the_next_image_of_its_band() -> None:
    assert suggest(3, {"c": "a"}) == "ade"


def test_a_band_of_duplicates_gives_its_place_to_another_band() -> None:
    assert suggest(3, {"c": "a", "d": "a"}) == "abe"


def test_fewer_images_are_chosen_if_the_rest_are_near_duplicates() -> None:
    assert suggest(3, dict.fromkeys("abcdef", "a")) == "a"


def test_only_images_that_may_be_chosen_are_read() -> None:
    read: list[str] = []

    def fingerprint_of(name: str) -> suggestion.Fingerprint:
        read.append(name)
        bits: suggestion.Fingerprint = DIFFERENT[len(read)]
        return bits

    suggestion.suggest([str(number) for number in range(1000)], 10, fingerprint_of)
    assert read == [str(number) for number in range(0, 500, 50)]


def scene(seed: int) -> np.ndarray:
    """A smooth picture with shapes, (120, 160, 3) uint8."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, (6, 8, 3)).astype(np.uint8)
    return cv2.resize(coarse, (160, 120), interpolation=cv2.INTER_CUBIC)


def distance(first: np.ndarray, second: np.ndarray) -> int:
    return int((suggestion.fingerprint(first) != suggestion.fingerprint(second)).sum())


def test_a_fingerprint_is_near_for_a_moved_brighter_copy_and_far_for_another_scene() -> None:
    for seed in range(5):
        image = scene(seed)
        moved = np.roll(image, 2, axis=1)
        assert distance(image, np.clip(moved * 1.1, 0, 255).astype(np.uint8)) <= suggestion.NEAR
        assert distance(image, scene(seed + 100)) > suggestion.NEAR


def test_the_table_names_files_entropies_and_ranks() -> None:
    scores = pd.DataFrame({"image": ["p", "q", "r", "s"], "entropy": [0.1, 0.9, 0.4, 0.5], "pixels_sky": 1})
    index = pd.DataFrame({"id": ["s", "r", "q", "p"], "image": ["s.png", "r.png", "q.png", "p.png"]})
    by_path = {f"{name}.png": DIFFERENT[number] for number, name in enumerate("pqrs")}
    table = suggestion.table(scores, index, 2, by_path.__getitem__)
    assert table.to_dict("records") == [
        {"image": "q", "path": "q.png", "entropy": 0.9, "rank": 1},
        {"image": "s", "path": "s.png", "entropy": 0.5, "rank": 2},
    ]


@pytest.mark.parametrize("count", [1, 2, 5])
def test_equal_entropies_keep_the_order_of_the_table(count: int) -> None:
    scores = pd.DataFrame({"image": list("pqrst"), "entropy": 0.5})
    index = pd.DataFrame({"id": list("pqrst"), "image": list("pqrst")})
    table = suggestion.table(scores, index, count, lambda path: DIFFERENT[ord(path) - ord("p")])
    assert table["image"].is_monotonic_increasing and len(table) == count
