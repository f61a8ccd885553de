from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from intrada.core.config.classes import class_set
from intrada.core.errors import UserError
from intrada.models import MODELS
from intrada.models.initialise import initialise
from intrada.models.model_info import ModelSpec, describe
from intrada.models.weights import save_model
from tests.support import tiny_segmenter
from tests.support.definition import ROOT
from tests.support.tiny_segmenter import TinySegmenter

SPEC = ModelSpec("tiny", {}, class_set(["sky", "road", "car"]))


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MODELS, "tiny", "tests.support.tiny_segmenter")


def model(seed: int) -> TinySegmenter:
    torch.manual_seed(seed)
    return tiny_segmenter.build(3)


def values(segmenter: TinySegmenter) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in segmenter.state_dict().items()}


def test_random_keeps_the_weights_of_the_network() -> None:
    segmenter = model(1)
    before = values(segmenter)
    initialise(segmenter, SPEC, Path("weights/random"))
    torch.testing.assert_close(values(segmenter), before, rtol=0, atol=0)


def test_pretrained_calls_the_function_of_the_models_module(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[object] = []
    monkeypatch.setattr(tiny_segmenter, "pretrained", calls.append, raising=False)
    segmenter = model(1)
    initialise(segmenter, SPEC, Path("weights/pretrained"))
    assert calls == [segmenter]


def test_pretrained_is_refused_for_a_model_without_pretrained_weights() -> None:
    with pytest.raises(UserError, match="the model tiny has no pretrained weights"):
        initialise(model(1), SPEC, Path("weights/pretrained"))


def test_the_weights_of_a_file_are_loaded(tmp_path: Path) -> None:
    other, segmenter = model(2), model(1)
    save_model(tmp_path / "other.safetensors", other, {"model": "tiny", "classes": "sky,road,car"})
    initialise(segmenter, SPEC, tmp_path / "other.safetensors")
    torch.testing.assert_close(values(segmenter), values(other), rtol=0, atol=0)


def test_a_file_of_other_classes_is_refused_by_its_metadata(tmp_path: Path) -> None:
    """The tensors alone would fit: the file has the same classes in another order."""
    other = model(2)
    spec = ModelSpec("tiny", {}, class_set(["road", "sky", "car"]))
    describe(spec, other, (64, 32), "advent").save(tmp_path / "other.safetensors", other)
    with pytest.raises(UserError) as caught:
        initialise(model(1), SPEC, tmp_path / "other.safetensors")
    assert caught.value.found.startswith("classes: road, sky, car (written by intrada ")
    assert caught.value.allowed == "classes: sky, road, car, as in the params"


def test_the_project_has_the_marker_files() -> None:
    assert (ROOT / "weights/random").is_file() and (ROOT / "weights/pretrained").is_file()
