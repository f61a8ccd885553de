from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from intrada.core.errors import UserError
from intrada.models import MODELS
from intrada.models.initialise import initialise
from intrada.models.weights import save_model
from tests.support import tiny_segmenter
from tests.support.definition import ROOT
from tests.support.tiny_segmenter import TinySegmenter


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MODELS, "tiny", "tests.support.tiny_segmenter")


def model(seed: int) -> TinySegmenter:
    torch.manual_seed(seed)
    return tiny_segmenter.build(3)


def values(segmenter: TinySegmenter) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in segmenter.state_dict().items()}


def test_random_keeps_what_the_network_was_built_with() -> None:
    segmenter = model(1)
    before = values(segmenter)
    initialise(segmenter, "tiny", Path("weights/random"))
    torch.testing.assert_close(values(segmenter), before, rtol=0, atol=0)


def test_pretrained_asks_the_models_module(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    monkeypatch.setattr(tiny_segmenter, "pretrained", asked.append, raising=False)
    segmenter = model(1)
    initialise(segmenter, "tiny", Path("weights/pretrained"))
    assert asked == [segmenter]


def test_pretrained_is_refused_where_no_package_has_weights() -> None:
    with pytest.raises(UserError, match="the model tiny has no package"):
        initialise(model(1), "tiny", Path("weights/pretrained"))


def test_a_file_gives_its_weights(tmp_path: Path) -> None:
    other, segmenter = model(2), model(1)
    save_model(tmp_path / "other.safetensors", other, {})
    initialise(segmenter, "tiny", tmp_path / "other.safetensors")
    torch.testing.assert_close(values(segmenter), values(other), rtol=0, atol=0)


def test_the_markers_are_files_of_the_project() -> None:
    assert (ROOT / "weights/random").is_file() and (ROOT / "weights/pretrained").is_file()
