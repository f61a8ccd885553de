"""The command export: the ONNX file is run by onnxruntime, without code of this project."""

from __future__ import annotations

import json
import math
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from PIL import Image
from torch import Tensor

import intrada
from intrada.__main__ import main
from intrada.core.errors import UserError
from intrada.inference.deployment import onnx_file
from intrada.methods import entropy
from intrada.models import MODELS
from intrada.models.base import upsample
from tests.support import networks, trained_model
from tests.support.definition import ROOT
from tests.support.tiny_segmenter import TinySegmenter
from tests.support.trained_model import CLASSES, MODEL, NAMES

OUT = Path("out/model.onnx")


def export(*more: str) -> int:
    return main(["export", str(MODEL), "--out", str(OUT), *more])


def run(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    session = onnxruntime.InferenceSession(OUT, providers=["CPUExecutionProvider"])
    logits, entropies = session.run(["logits", "entropy"], {"image": images})
    return logits, entropies


def pixels(batch: int, width: int, height: int) -> np.ndarray:
    return np.random.default_rng(batch).integers(0, 256, (batch, 3, height, width), np.uint8)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name, largest",
    [*((name, 300.0 if name == "deeplabv2" else 20.0) for name in MODELS)],  # 300: probabilities of exactly 0
)
def test_the_file_gives_the_models_logits_and_entropies_for_any_batch_size(
    checkout: Path, name: str, largest: float, capsys: pytest.CaptureFixture[str]
) -> None:
    model = trained_model.write(name, largest, **networks.options(name))
    assert export("--size", "49x33") == 0
    for batch in (1, 3):
        images = pixels(batch, 49, 33)
        with torch.inference_mode():
            expected = upsample(model.main_logits(model.normalise(torch.from_numpy(images))), (33, 49))
            expected_entropies = entropy.pixel_entropy(entropy.information_map(expected)).numpy()
        logits, entropies = run(images)
        assert logits.shape == (batch, len(NAMES), 33, 49) and entropies.shape == (batch, 33, 49)
        np.testing.assert_allclose(logits, expected.numpy(), atol=1e-4 * float(expected.abs().max()))
        np.testing.assert_allclose(entropies, expected_entropies, atol=1e-2)
    printed = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in printed] == ["random", "smooth", "onnxruntime", "out/model.onnx"]
    assert "of the pixels have the same class" in printed[0]
    timed = r"onnxruntime (\S+) on the CPU: [0-9.]+ ms for an image of 49x33 pixels \(median of 9 runs\)"
    match = re.fullmatch(timed, printed[2])
    assert match and match[1] == onnxruntime.__version__


@pytest.mark.slow
def test_the_file_has_classes_colours_and_training_in_its_metadata_and_the_training_size(
    checkout: Path,
) -> None:
    trained_model.write()
    Path("params.yaml").unlink()
    assert export("--opset", "18") == 0
    model = onnx.load(OUT)
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    assert json.loads(metadata["classes"]) == NAMES
    assert json.loads(metadata["colors"]) == [list(entry.color) for entry in CLASSES.classes]
    assert (metadata["model"], metadata["options"]) == ("small", "{}")
    assert [metadata[key] for key in ("method", "iteration", "intrada")] == [
        "advent",
        "4",
        intrada.__version__,
    ]
    (image,) = model.graph.input
    shape = image.type.tensor_type.shape.dim
    assert (image.name, [dim.dim_value for dim in shape[1:]]) == ("image", [3, 32, 48])
    assert shape[0].dim_param
    assert [entry.version for entry in model.opset_import if not entry.domain] == [18]
    assert [path.name for path in OUT.parent.iterdir()] == [OUT.name]


@pytest.mark.slow
def test_the_examples_of_the_documentation_give_equal_logits_for_both_forms_of_the_input(
    checkout: Path,
) -> None:
    """The photograph has another size than the file."""
    trained_model.write()
    for form, path in (("bgr_uint8", "model.onnx"), ("rgb_float", "model_rgb.onnx")):
        assert export("--input", form) == 0
        metadata = {entry.key: entry.value for entry in onnx.load(OUT).metadata_props}
        order, kind = form.split("_")
        assert metadata["input"] == form and metadata["image"].startswith(kind)
        assert ("red green blue, 0..1" in metadata["image"]) == (order == "rgb")
        OUT.rename(path)
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (67, 101, 3), np.uint8)).save("photo.png")
    names: dict[str, Any] = {}
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs/predict.md").read_text(encoding="utf-8"), re.S)
    assert len(blocks) == 2
    for block in blocks:
        exec(compile(block, "docs/predict.md", "exec"), names)  # noqa: S102  # a page of this project
    assert names["logits"].shape == (1, len(NAMES), 32, 48) and names["entropy"].shape == (1, 32, 48)
    assert names["names"] == NAMES and names["pixels"].dtype == np.float32
    np.testing.assert_allclose(names["same"], names["logits"], atol=1e-3)
    assert np.ptp(names["logits"]) > 1


@pytest.mark.parametrize(
    "seconds, limit, runs", [(1.0, 100.0, 9), (2.0, 10.0, 5), (20.0, 10.0, 3)], ids=["fast", "slower", "slow"]
)
def test_the_time_is_the_median_of_several_runs_fewer_if_they_are_slow(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, seconds: float, limit: float, runs: int
) -> None:
    """Every second run takes ten milliseconds more, and the first run, which is not counted, a minute."""
    now, calls = [0.0], [0]

    class Session:
        def __init__(self, path: Path, providers: list[str]) -> None:
            assert providers == ["CPUExecutionProvider"]

        def run(self, outputs: None, inputs: dict[str, np.ndarray]) -> None:
            assert inputs["image"].shape == (1, 3, 16, 32) and inputs["image"].dtype == np.float32
            now[0] += seconds + (60 if not calls[0] else 0.01 if calls[0] % 2 == 0 else 0)
            calls[0] += 1

    monkeypatch.setattr(onnxruntime, "InferenceSession", Session)
    monkeypatch.setattr(onnx_file.time, "perf_counter", lambda: now[0])
    monkeypatch.setattr(onnx_file, "TIME_LIMIT", limit)
    line = onnx_file.measure(OUT, (32, 16), "rgb_float")
    assert calls[0] == runs + 1
    assert f": {1000 * seconds:.3g} ms for an image of 32x16 pixels (median of {runs} runs)" in line


@pytest.mark.slow
def test_a_model_of_an_older_version_is_exported_with_the_params_of_its_training(checkout: Path) -> None:
    trained_model.write()
    trained_model.make_old()
    assert export() == 1
    assert export("--params", "params.yaml") == 0
    model = onnx.load(OUT)
    assert [dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim[1:]] == [3, 32, 64]
    assert {entry.key: entry.value for entry in model.metadata_props}["iteration"] == "4"


class NoisyModel(TinySegmenter):
    """Adds noise to its predictions, so that no file can reproduce them."""

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        heads = super().forward(images)
        return {name: logits + torch.rand_like(logits) for name, logits in heads.items()}


@pytest.mark.slow
def test_a_file_whose_predictions_differ_from_the_models_is_not_written(checkout: Path) -> None:
    OUT.parent.mkdir()
    OUT.write_bytes(b"the file of yesterday")
    torch.manual_seed(1)
    with pytest.raises(UserError) as caught:
        onnx_file.write(OUT, NoisyModel(3, 0.0).eval(), (32, 16), 20, {})
    assert "random image: logits up to" in caught.value.found and "nothing was written" in caught.value.fix
    assert OUT.read_bytes() == b"the file of yesterday"
    assert [path.name for path in OUT.parent.iterdir()] == [OUT.name]


def test_the_images_of_the_comparison_are_reproducible_and_give_several_classes(checkout: Path) -> None:
    model = trained_model.write()
    first, again = (onnx_file._images((96, 64)) for _ in range(2))
    for name, images in first.items():
        assert images.shape == (2, 3, 64, 96) and np.array_equal(images, again[name])
        with torch.inference_mode():
            logits = upsample(model.main_logits(model.normalise(torch.from_numpy(images))), (64, 96))
        assert len(logits.argmax(1).unique()) >= 4
    neighbours = {name: np.abs(np.diff(images.astype(int), axis=3)).mean() for name, images in first.items()}
    assert neighbours["random"] > 80 and neighbours["smooth"] < 10


@pytest.mark.parametrize(
    "difference, small",
    [
        ((9e-5, 0.5, 1e-4, 1.0), True),
        ((9e-3, 100.0, 1e-4, 1.0), True),  # relative to the largest logit
        ((1.1e-4, 0.5, 1e-4, 1.0), False),  # absolute for small logits
        ((0.0, 0.5, 0.02, 1.0), False),
        ((0.0, 0.5, 0.0, 0.998), False),
        ((math.nan, 0.5, 0.0, 1.0), False),
        ((0.0, 0.5, math.nan, 1.0), False),
    ],
)
def test_only_rounding_is_tolerated(difference: tuple[float, float, float, float], small: bool) -> None:
    assert onnx_file.Difference("random", *difference).is_small is small


@pytest.mark.parametrize("package", onnx_file.PACKAGES)
def test_a_missing_package_is_named_with_the_command_that_installs_it(
    checkout: Path, package: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    assert export() == 1
    err = capsys.readouterr().err
    assert f"the package {package} is not installed" in err
    assert "pip install onnx onnxscript onnxruntime" in err


@pytest.mark.parametrize(
    "options, message",
    [
        (("--input", "rgb"), "--input: 'rgb'\n  allowed: bgr_uint8 or rgb_float"),
        (("--opset", "11"), "--opset: '11'\n  allowed: an integer from 18 to 23"),
        (("--size", "64,32"), "--size: '64,32'\n  allowed: WIDTHxHEIGHT"),
        (("--size", "8x32"), "--size: '8x32'\n  allowed: WIDTHxHEIGHT in pixels, each from 16 to 16384"),
    ],
)
def test_a_wrong_option_is_refused(
    checkout: Path, options: tuple[str, str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert export(*options) == 1
    assert message in capsys.readouterr().err
