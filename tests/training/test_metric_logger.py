from __future__ import annotations

import io
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from intrada.core.config.classes import class_set
from intrada.training.metric_logger import MetricLogger

CLASSES = class_set(["sky", "road", "car"])


def make(folder: Path, every: int = 2) -> MetricLogger:
    return MetricLogger(folder, every, CLASSES)


def add(logger: MetricLogger, first: int, last: int) -> None:
    """Add iterations `first` to `last`; iteration i has loss i and learning rate i / 10."""
    for iteration in range(first, last + 1):
        logger.add(iteration, {"loss": torch.tensor(float(iteration))}, {"lr": iteration / 10})


def test_a_row_has_the_means_since_the_previous_row_and_the_rate_of_its_iteration(tmp_path: Path) -> None:
    with make(tmp_path, every=3) as logger:
        add(logger, 1, 7)
    assert logger.to_frame().to_dict("list") == {"iteration": [3, 6], "loss": [2.0, 5.0], "lr": [0.3, 0.6]}


def test_a_frame_without_rows_has_the_column_iteration(tmp_path: Path) -> None:
    frame = make(tmp_path).to_frame()
    assert frame.empty and list(frame.columns) == ["iteration"]


@pytest.mark.parametrize("stop", [1, 2, 3, 4, 5])
def test_a_restored_logger_continues_in_the_middle_of_a_row(tmp_path: Path, stop: int) -> None:
    with make(tmp_path / "whole") as whole:
        add(whole, 1, 6)
    with make(tmp_path / "first") as first:
        add(first, 1, stop)
        state = first.state()
        add(first, stop + 1, 6)  # iterations after the checkpoint do not change its state
    second = make(tmp_path / "second")
    second.restore(state, stop)
    with second:
        add(second, stop + 1, 6)
    assert second.to_frame().equals(whole.to_frame())


def test_the_mean_of_many_losses_has_no_rounding_error_of_float32(tmp_path: Path) -> None:
    with make(tmp_path, every=20_000) as logger:
        for iteration in range(1, 20_001):
            logger.add(iteration, {"loss": torch.tensor(1000.1)}, {})
    assert logger.rows[0]["loss"] == pytest.approx(torch.tensor(1000.1).item(), rel=1e-12)


def test_without_tensorboard_the_rows_are_the_same_and_a_note_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    image = torch.zeros(3, 2, 4, dtype=torch.uint8), torch.zeros(2, 4, dtype=torch.int64), torch.zeros(2, 4)
    loggers = []
    for name, installed in (("with", True), ("without", False)):
        if not installed:
            monkeypatch.delitem(sys.modules, "torch.utils.tensorboard", raising=False)
            monkeypatch.setitem(sys.modules, "tensorboard", None)
        with caplog.at_level("INFO", "intrada"), make(tmp_path / name) as logger:
            add(logger, 1, 6)
            logger.add_images(6, *image)
        loggers.append(logger)
    assert loggers[0].to_frame().equals(loggers[1].to_frame())
    assert [*(tmp_path / "with").iterdir()] and not (tmp_path / "without").exists()
    assert caplog.messages == [
        "no TensorBoard files, as tensorboard is not installed; "
        "to get them: pip install 'intrada[tensorboard]'"
    ]


def test_tensorboard_has_each_point_once_after_a_resume(tmp_path: Path) -> None:
    with make(tmp_path) as first:
        add(first, 1, 4)
        state = first.state()
        add(first, 5, 8)
    second = make(tmp_path)
    second.restore(state, 4)
    with second:
        add(second, 5, 8)
    events = EventAccumulator(str(tmp_path), purge_orphaned_data=True)
    events.Reload()
    assert [(event.step, event.value) for event in events.Scalars("loss")] == [
        (2, 1.5),
        (4, 3.5),
        (6, 5.5),
        (8, 7.5),
    ]


def test_add_images_writes_the_image_the_coloured_prediction_and_the_entropy(tmp_path: Path) -> None:
    image = torch.randint(256, (3, 2, 4), dtype=torch.uint8)
    label = torch.tensor([[0, 1, 2, 0], [1, 1, 1, 2]])
    entropy = torch.tensor([[0.0, 1.0, float("nan"), 0.2], [0.4, 0.6, 0.8, 1.0]])
    with make(tmp_path) as logger:
        logger.add_images(4, image, label, entropy)
    events = EventAccumulator(str(tmp_path))
    events.Reload()

    def pixels(name: str) -> np.ndarray:
        (event,) = events.Images(name)
        assert event.step == 4
        return np.array(Image.open(io.BytesIO(event.encoded_image_string)))

    assert (pixels("image") == image.flip(0).permute(1, 2, 0).numpy()).all()
    assert (pixels("prediction") == np.array(CLASSES.palette()).reshape(-1, 3)[label.numpy()]).all()
    assert pixels("entropy")[..., 0].tolist() == [[0, 255, 0, 51], [102, 153, 204, 255]]
