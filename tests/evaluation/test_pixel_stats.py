"""Hand-worked pixels: what is counted, and what the counts mean."""

from __future__ import annotations

import math
import time
from functools import reduce
from operator import add
from pathlib import Path

import numpy as np
import pytest
import torch

from intrada.core import files
from intrada.core.config.classes import class_set
from intrada.evaluation import pixel_stats
from intrada.evaluation.pixel_stats import LEVELS, Collector, map_writer, reliability
from intrada.inference.postprocess import PixelPrediction

PALETTE = class_set(["sky", "road"]).palette()


def pixels(label: list[list[int]], confidence: list[list[float]], entropy: float) -> PixelPrediction:
    shape = (len(label), len(label[0]))
    return PixelPrediction(
        torch.tensor(label, dtype=torch.uint8), torch.tensor(confidence), torch.full(shape, entropy)
    )


def collected(*truths: np.ndarray | None) -> Collector:
    """The same prediction for each image: one sky pixel, three road pixels."""
    collector = Collector(len(truths), 2)
    for row, truth in enumerate(truths):
        image = pixels([[0, 1], [1, 1]], [[0.55, 0.9], [0.95, 1.0]], 0.5)
        collector.add(row, str(row), image, torch.tensor([1.0, 3.0], dtype=torch.float64), truth)
    return collector


def test_the_reliability_is_the_accuracy_of_the_pixels_by_their_confidence() -> None:
    truth = np.array([[1, 1], [0, 1]], np.uint8)
    table = reliability(collected(truth).stats.confidence)
    assert table.to_numpy().tolist() == pytest.approx(
        np.array([[50, 60, 1, 55, 0], [90, 100, 3, 95, 100 * 2 / 3]])
    )
    assert list(table.columns) == ["from", "to", "pixels", "confidence", "accuracy"]


def test_ignored_pixels_and_images_without_a_label_are_not_in_the_reliability() -> None:
    truth = np.array([[255, 1], [255, 255]], np.uint8)
    table = reliability(collected(truth, None).stats.confidence)
    assert table[["pixels", "accuracy"]].to_numpy().tolist() == [[1, 100]]
    assert reliability(np.zeros((LEVELS + 1, 2), np.int64)).empty


def test_a_label_of_another_size_is_resized_by_nearest_neighbour() -> None:
    truth = np.array([[1, 1], [0, 1]], np.uint8)
    large = truth.repeat(3, axis=0).repeat(3, axis=1)
    large[1, 1] = 0  # the pixel in the middle of the upper left block
    expected = np.array([[0, 1], [0, 1]], np.uint8)
    actual = collected(large).stats.confidence
    assert np.array_equal(actual, collected(expected).stats.confidence)
    assert not np.array_equal(actual, collected(truth).stats.confidence)


def test_the_sum_of_two_processes_is_the_result_of_one() -> None:
    truth = np.array([[1, 1], [0, 1]], np.uint8)
    whole = collected(truth, None, truth).stats
    parts = []
    for rows in ([0, 2], [1]):
        collector = Collector(3, 2)
        for row in rows:
            image = pixels([[0, 1], [1, 1]], [[0.55, 0.9], [0.95, 1.0]], 0.5)
            total = torch.tensor([1.0, 3.0], dtype=torch.float64)
            collector.add(row, str(row), image, total, None if row == 1 else truth)
        parts.append(collector.stats)
    joined = reduce(add, parts)
    for name in ("entropy", "probability", "predicted", "confidence"):
        assert np.array_equal(getattr(joined, name), getattr(whole, name)), name
    assert whole.predicted.tolist() == [[1, 3]] * 3


def test_the_label_free_numbers_are_means_over_the_images() -> None:
    """Mean softmax (1/4, 3/4), entropy 0.5 in units of log 2."""
    marginal = -(0.25 * math.log2(0.25) + 0.75 * math.log2(0.75))
    actual = collected(None, None).stats.label_free()
    assert actual == pytest.approx({"mean_entropy": 0.5, "mutual_information": marginal - 0.5})


def test_the_writer_keeps_few_maps_in_memory_and_writes_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting: list[int] = []
    started = 0
    write_label = files.write_label

    def slow(path: Path, label: np.ndarray, palette: list[int]) -> None:
        time.sleep(0.002)
        waiting.append(started - len(waiting))
        write_label(path, label, palette)

    monkeypatch.setattr(files, "write_label", slow)
    with map_writer(tmp_path, PALETTE, 2) as write:
        for number in range(30):
            started += 1
            write(str(number), np.full((2, 3), number % 2, np.uint8))
    assert len(list(tmp_path.iterdir())) == 30
    assert max(waiting) <= pixel_stats.WRITES_AHEAD + 2
    assert (files.read_label(tmp_path / "7.png") == 1).all()


def test_an_error_of_the_writer_is_raised(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="a label map is"), map_writer(tmp_path, PALETTE, 1) as write:
        write("a", np.zeros((2, 3), np.float32))
