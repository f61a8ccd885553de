"""Inference on overlapping windows."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from intrada.core.config.load import validate
from intrada.core.config.window_block import Window
from intrada.core.errors import UserError
from intrada.data.batch import Batch
from intrada.inference.predictor import Predictor
from intrada.inference.windows import border_weights, logits, starts
from tests.inference.test_predictor import ByContent
from tests.support.tiny_project import PARAMS, change, tree
from tests.support.tiny_segmenter import build


@pytest.mark.parametrize(
    ("length", "window", "stride", "expected"),
    [
        (10, 4, 3, [0, 3, 6]),
        (11, 4, 3, [0, 3, 6, 7]),  # the last one ends at the border
        (4, 4, 2, [0]),
        (3, 4, 2, [0]),
        (9, 3, 3, [0, 3, 6]),
    ],
)
def test_windows_cover_a_side(length: int, window: int, stride: int, expected: list[int]) -> None:
    assert starts(length, window, stride) == expected


def test_weights_fall_to_the_border() -> None:
    assert (border_weights((3, 4)) * 4).tolist() == [[1, 2, 2, 1], [2, 4, 4, 2], [1, 2, 2, 1]]


def test_the_logits_of_a_pixel_are_the_weighted_mean_over_its_windows() -> None:
    """Windows of 4 at 0 and 2 of a side of 6; the network says how often it was called."""
    calls: list[int] = []

    def predict(part: Tensor) -> Tensor:
        calls.append(part.shape[3])
        return torch.full((1, 2, 1, 4), float(len(calls)))

    images = torch.zeros(1, 3, 1, 6, dtype=torch.uint8)
    result = logits(predict, images, Window.model_construct(size=[4, 1], stride=[2, 1]))
    # weights 1 2 2 1 of the first window, 1 2 2 1 of the second one, two pixels further right
    expected = [1, 1, (2 * 1 + 1 * 2) / 3, (1 * 1 + 2 * 2) / 3, 2, 2]
    assert calls == [4, 4]
    assert result[0, 0, 0].tolist() == pytest.approx(expected)


def test_a_network_that_sees_single_pixels_predicts_the_same_in_windows() -> None:
    images = torch.randint(
        0, 9, (2, 3, 40, 56), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    batch = Batch(["a", "b"], images, torch.zeros(2, 40, 56, dtype=torch.int64))
    whole = Predictor([ByContent()])
    parts = Predictor([ByContent()], window=Window(size=[32, 16], stride=[16, 16]))
    torch.testing.assert_close(parts.low_res_logits(batch), whole.low_res_logits(batch))


def test_one_window_that_covers_the_image_gives_the_logits_of_the_whole_image() -> None:
    torch.manual_seed(0)
    network = build(3).eval()
    images = torch.randint(0, 256, (1, 3, 32, 48), dtype=torch.uint8)
    batch = Batch(["a"], images, torch.zeros(1, 32, 48, dtype=torch.int64))
    window = Window(size=[48, 32], stride=[16, 16])
    [whole], [parts] = (Predictor([network], window=which).low_res_logits(batch) for which in (None, window))
    assert torch.equal(parts, whole)


def test_a_stride_above_the_size_is_refused() -> None:
    wrong = {"size": [64, 32], "stride": [65, 32]}
    with pytest.raises(UserError, match="pixels are left out"):
        validate(PARAMS, change(tree(), score__window=wrong))


def test_the_stages_predict_in_windows(project: Path) -> None:
    """Windows change scores and metrics; windows of the size of the images change no byte."""
    from tests.support.tiny_project import run, write_params

    outputs = [Path("results/score/scores.csv"), Path("results/evaluate/inter/metrics.json")]
    outputs.append(Path("results/evaluate_snapshots/inter/snapshots.csv"))
    before = [path.read_bytes() for path in outputs]
    for size, same in (([64, 32], True), ([32, 32], False)):
        window = {"size": size, "stride": [16, 16]}
        write_params(
            change(tree(), score__window=window, evaluate__window=window, evaluate_snapshots__window=window)
        )
        for job in ("score", "evaluate@inter", "evaluate_snapshots@inter"):
            assert run(job) == 0
        assert [path.read_bytes() == old for path, old in zip(outputs, before, strict=True)] == [same] * 3


def test_predict_names_its_windows_and_refuses_a_stride_that_does_not_fit(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from intrada.__main__ import main

    words = ["predict", "results/train_inter/last.safetensors", "data/preprocess/val/images", "--out", "out"]
    assert main([*words, "--window", "32x32"]) == 0
    assert "in windows of 32x32 every 16x16 pixels" in capsys.readouterr().out
    assert main([*words, "--stride", "16x16"]) == 1
    assert "a stride together with --window" in capsys.readouterr().err
    assert main([*words, "--window", "32x32", "--stride", "33x32"]) == 1
    assert "choose a smaller stride" in capsys.readouterr().err
