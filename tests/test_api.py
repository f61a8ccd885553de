"""The public API: what `import intrada` offers, what it loads, and what the examples of the documentation do."""

from __future__ import annotations

import inspect
import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

import intrada
from intrada.__main__ import main
from intrada.core import files
from intrada.methods import METHODS
from intrada.models import MODELS
from intrada.models.base import SegmentationModel
from tests.support import trained_model
from tests.support.definition import ROOT
from tests.support.trained_model import CLASSES, MODEL, NAMES, SIZE

FUNCTIONS = ("build_model", "list_methods", "list_models", "load", "rank")


def python(code: str) -> str:
    """What a new process prints."""
    command = [sys.executable, "-c", code]
    return subprocess.run(
        command, capture_output=True, text=True, check=True, env={"PYTHONPATH": str(ROOT)}
    ).stdout


def test_importing_loads_nothing_but_the_standard_library() -> None:
    code = "import sys, json; before = set(sys.modules); import intrada; intrada.__version__; dir(intrada); "
    loaded = json.loads(python(code + "print(json.dumps(sorted(set(sys.modules) - before)))"))
    assert {name.split(".")[0] for name in loaded} - sys.stdlib_module_names == {"intrada"}
    assert [name for name in loaded if name.startswith("intrada")] == ["intrada"]


def test_names_of_networks_and_methods_load_no_torch() -> None:
    code = "import sys, intrada; intrada.list_models(); intrada.list_methods(); print('torch' in sys.modules)"
    assert python(code) == "False\n"
    assert (intrada.list_models(), intrada.list_methods()) == (list(MODELS), list(METHODS))


def test_every_public_name_is_there_and_documented() -> None:
    assert set(intrada.__all__) <= set(dir(intrada))
    public = [getattr(intrada, name) for name in intrada.__all__ if name != "__version__"]
    members = [member for module in (intrada.losses, intrada.metrics) for member in vars(module).values()]
    own = [member for member in members if inspect.isfunction(member) and not member.__name__.startswith("_")]
    for found in [*public, *own, intrada.Predictor.predict]:
        assert inspect.getdoc(found)
    page = (ROOT / "docs/api.md").read_text(encoding="utf-8")
    assert not [name for name in intrada.__all__ if name not in page and name != "SegmentationModel"]


def test_mypy_sees_the_names_that_are_imported_late() -> None:
    """The block for type checkers names what `__getattr__` finds, from the same modules."""
    text = (ROOT / "intrada/__init__.py").read_text(encoding="utf-8")
    block = text[text.index("if TYPE_CHECKING:") : text.index("__version__ =")]
    found = re.findall(r"from (\S+) import (\w+) as \2", block)
    for module, name in found:
        target = intrada._LAZY[name]
        assert target in (f"{module}:{name}", f"{module}.{name}")
    assert {name for _, name in found} == intrada._LAZY.keys()
    assert intrada._LAZY.keys() | set(FUNCTIONS) | {"__version__"} == set(intrada.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'intrada' has no attribute 'lod'"):
        intrada.lod  # type: ignore[attr-defined]  # noqa: B018


def test_build_model_gives_the_network_with_its_options() -> None:
    network = intrada.build_model("deeplabv2", 5, backbone="resnet18")
    assert isinstance(network, SegmentationModel) and network.layer6.conv2d_list[0].out_channels == 5
    with pytest.raises(intrada.UserError, match="unknown: 'depth'"):
        intrada.build_model("deeplabv2", 5, depth=3)


def test_rank_splits_by_entropy() -> None:
    table = pd.DataFrame({"image": ["a", "b", "c"], "entropy": [0.3, 0.1, 0.2], "pixels_car": [0, 9, 0]})
    assert intrada.rank(table, "mean_entropy", 0.67)["image"].tolist() == ["b", "c", "a"]
    normalised = intrada.rank(table, "published_normalized", 0.34, rare_classes=["car"])
    assert normalised.iloc[0].to_dict() == {"image": "b", "score": 0.05, "rank": 1, "subset": "easy"}


# ---------------------------------------------------------------- load and predict


@pytest.fixture
def model(checkout: Path) -> Path:
    """The working directory holds a model, an image, and no params file."""
    trained_model.write()
    Path("params.yaml").unlink()
    random = np.random.default_rng(0)
    coarse = Image.fromarray(random.integers(0, 256, (4, 6, 3), np.uint8))
    coarse.resize((101, 67), Image.Resampling.BICUBIC).save("photo.png")
    return checkout


def photo() -> np.ndarray:
    return np.asarray(Image.open("photo.png"))


def test_a_prediction_is_what_the_command_predict_writes(model: Path) -> None:
    found = intrada.load(MODEL).predict(photo())
    assert main(["predict", str(MODEL), "photo.png", "--out", "out"]) == 0
    assert np.array_equal(found.label, files.read_label(Path("out/prediction/photo.png")))
    grey = np.rint(255 * found.entropy).astype(np.uint8)
    assert np.array_equal(grey, files.read_label(Path("out/entropy/photo.png")))
    row = files.read_csv(Path("out/predictions.csv")).iloc[0]
    assert found.entropy.mean() == pytest.approx(row["entropy"], rel=1e-5)


def test_a_prediction_has_the_images_size_and_the_softmax_of_the_upsampled_logits(model: Path) -> None:
    predictor = intrada.load(MODEL)
    network, found = predictor._options.predictor.members[0], predictor.predict(photo())
    seen = np.asarray(Image.fromarray(photo()).resize(SIZE, Image.Resampling.BICUBIC))[:, :, ::-1]
    pixels = torch.from_numpy(seen.transpose(2, 0, 1).copy())[None]
    with torch.inference_mode():
        low_res = network.main_logits(network.normalise(pixels))
        softmax = torch.nn.functional.interpolate(
            low_res, (67, 101), mode="bilinear", align_corners=True
        ).softmax(1)[0]
    entropy = -(softmax * softmax.clamp(min=1e-30).log()).sum(0) / np.log(len(NAMES))
    assert np.array_equal(found.label, softmax.argmax(0).numpy())
    np.testing.assert_allclose(found.confidence, softmax.amax(0).numpy(), atol=1e-5)
    np.testing.assert_allclose(found.entropy, entropy.numpy(), atol=1e-5)
    assert [values.shape for values in (found.label, found.confidence, found.entropy)] == [(67, 101)] * 3
    assert [values.dtype for values in (found.label, found.confidence, found.entropy)] == [
        "uint8",
        "float32",
        "float32",
    ]
    assert found.entropy.min() >= 0 and found.entropy.max() <= 1 and len(np.unique(found.label)) > 3


def test_tta_flip_is_that_of_the_command(model: Path) -> None:
    predictor = intrada.load(MODEL)
    found = predictor.predict(photo(), tta="flip")
    assert main(["predict", str(MODEL), "photo.png", "--tta", "flip", "--out", "out"]) == 0
    assert np.array_equal(found.label, files.read_label(Path("out/prediction/photo.png")))
    assert not np.array_equal(found.label, predictor.predict(photo()).label)
    mirrored = predictor.predict(photo()[:, ::-1], tta="flip")
    np.testing.assert_allclose(mirrored.confidence[:, ::-1], found.confidence, atol=1e-5)
    with pytest.raises(intrada.UserError, match="tta: 'rotate'\n  allowed: 'flip' or None"):
        predictor.predict(photo(), tta="rotate")


def test_the_channel_order_is_the_callers(model: Path) -> None:
    predictor = intrada.load(MODEL)
    rgb, bgr = photo(), photo()[:, :, ::-1]
    found = predictor.predict(rgb).label
    assert np.array_equal(predictor.predict(bgr, channel_order="bgr").label, found)
    assert not np.array_equal(predictor.predict(bgr).label, found)


def test_a_predictor_says_its_classes_and_its_size_and_predictions_are_frozen(model: Path) -> None:
    predictor = intrada.load(str(MODEL), device="cpu")
    assert predictor.classes == tuple(NAMES) and predictor.size == SIZE
    assert predictor.colors == tuple(entry.color for entry in CLASSES.classes)
    found = predictor.predict(photo())
    with pytest.raises(FrozenInstanceError):
        found.label = found.label  # type: ignore[misc]


def test_a_model_of_an_older_version_needs_its_params(model: Path) -> None:
    trained_model.make_old()
    with pytest.raises(intrada.UserError, match="the metadata of an older version"):
        intrada.load(MODEL)
    trained_model.write()  # params.yaml
    expected = intrada.load(MODEL)
    trained_model.make_old()
    old = intrada.load(MODEL, params="params.yaml")
    assert (old.classes, old.colors, old.size) == (expected.classes, expected.colors, (64, 32))


def of(*shape: int, dtype: Any = np.uint8) -> Callable[[], Any]:
    return lambda: np.zeros(shape, dtype)


@pytest.mark.parametrize(
    "make, found",
    [
        (of(4, 6), "uint8 of shape (4, 6)"),
        (of(4, 6, 4), "uint8 of shape (4, 6, 4)"),
        (of(1, 3, 4, 6), "uint8 of shape (1, 3, 4, 6)"),
        (of(0, 6, 3), "uint8 of shape (0, 6, 3)"),
        (of(4, 6, 3, dtype=np.float32), "float32 of shape (4, 6, 3)"),
        (of(4, 6, 3, dtype=bool), "bool of shape (4, 6, 3)"),
        (lambda: torch.zeros(4, 6, 3, dtype=torch.uint8), "a Tensor"),
        (lambda: "photo.png", "a str"),
        (lambda: None, "a NoneType"),
    ],
)
def test_what_is_no_image_is_refused(model: Path, make: Callable[[], Any], found: str) -> None:
    with pytest.raises(intrada.UserError) as caught:
        intrada.load(MODEL).predict(make())
    assert caught.value.where == "image" and caught.value.found == found


def test_another_channel_order_and_another_device_are_refused(model: Path) -> None:
    with pytest.raises(intrada.UserError, match="channel_order: 'RGB'\n  allowed: rgb or bgr"):
        intrada.load(MODEL).predict(photo(), "RGB")
    for device in ("gpu", "cuda:99", "cpu:1x", ""):
        with pytest.raises(intrada.UserError, match="device: ") as caught:
            intrada.load(MODEL, device=device)
        assert caught.value.found.startswith(repr(device)) and caught.value.allowed.startswith("cpu")


def test_an_image_that_is_a_view_and_one_of_a_single_pixel_are_predicted(model: Path) -> None:
    predictor = intrada.load(MODEL)
    view = photo()[::2, ::-1]
    assert np.array_equal(predictor.predict(view).label, predictor.predict(view.copy()).label)
    assert predictor.predict(photo()[:1, :1]).label.shape == (1, 1)


# ---------------------------------------------------------------- the documentation


@pytest.mark.parametrize("page, count", [("docs/api.md", 7), ("README.md", 1)])
def test_the_examples_of_a_page_run_in_a_folder_without_params(
    project: Path, page: str, count: int, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("params.yaml").unlink()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (67, 101, 3), np.uint8)).save("photo.png")
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.S)
    assert len(blocks) == count
    names: dict[str, Any] = {}
    for block in blocks:
        exec(compile(block, page, "exec"), names)  # noqa: S102  # pages of this project
    assert names["found"].label.shape == (67, 101)
    out = capsys.readouterr().out
    if page == "docs/api.md":
        assert str(list(MODELS)) in out and str(list(METHODS)) in out
        assert "0.722" in out and "\n0.8\n" in out and tuple(names["logits"].shape) == (2, 19, 9, 17)
        assert len(names["easy"]) == int(0.67 * len(names["table"]))
