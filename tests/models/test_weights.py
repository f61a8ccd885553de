"""Weight files that are written and read."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from torch import nn

from intrada.core.errors import UserError
from intrada.models import deeplabv2, weights
from intrada.models.base import SegmentationModel
from tests.support.tiny_model import State, assert_equal, build
from tests.support.tiny_model import model as model  # a fixture
from tests.support.tiny_model import state as state  # a fixture


def test_a_saved_model_is_loaded_bit_identical_with_its_metadata(
    tmp_path: Path, model: SegmentationModel
) -> None:
    path, metadata = tmp_path / "new" / "model.safetensors", {"model": "deeplabv2", "classes": "road,sky"}
    weights.save_model(path, model, metadata)
    other = build(2)
    assert weights.load_model(path, other) == weights.read_metadata(path) == metadata
    assert_equal(other.state_dict(), model.state_dict())
    assert [file.name for file in path.parent.iterdir()] == ["model.safetensors"]


def test_equal_models_and_metadata_give_equal_bytes(tmp_path: Path) -> None:
    net, metadata = nn.Conv2d(1, 1, 1), {str(i): "x" for i in range(9)}
    for turn in range(5):
        weights.save_model(
            tmp_path / str(turn), net, metadata if turn % 2 else dict(reversed(metadata.items()))
        )
    assert len({path.read_bytes() for path in tmp_path.iterdir()}) == 1


@pytest.mark.parametrize("legacy", [False, True])
def test_a_plain_checkpoint_is_loaded_into_the_whole_model(
    tmp_path: Path, state: State, legacy: bool
) -> None:
    path = tmp_path / "advent.pth"
    torch.save(OrderedDict(state), path, _use_new_zipfile_serialization=not legacy)
    other = build(2)
    weights.load_published(path, other)
    assert_equal(other.state_dict(), state)


def test_an_exported_checkpoint_is_a_plain_state_dict_with_equal_bytes_each_time(
    tmp_path: Path, model: SegmentationModel
) -> None:
    path = tmp_path / "out.pth"
    weights.export_published(path, model)
    assert_equal(torch.load(path, weights_only=True), model.state_dict())
    again = tmp_path / "again.pth"
    weights.export_published(again, model)
    assert path.read_bytes() == again.read_bytes()


def test_a_deeplabv2_is_loaded_bit_identical_from_both_formats(tmp_path: Path) -> None:
    first, second = (deeplabv2.build(3, "resnet18") for _ in range(2))
    weights.export_published(tmp_path / "model.pth", first)
    weights.load_weights(tmp_path / "model.pth", second)
    assert_equal(second.state_dict(), first.state_dict())
    third = deeplabv2.build(3, "resnet18")
    weights.save_model(tmp_path / "model.safetensors", second, {})
    weights.load_weights(tmp_path / "model.safetensors", third)
    assert_equal(third.state_dict(), first.state_dict())


def test_a_checkpoint_with_heads_two_keeps_its_unused_convolutions(tmp_path: Path, state: State) -> None:
    path, back = tmp_path / "adaptsegnet.pth", tmp_path / "back.pth"
    torch.save(state, path)
    model = build(2, heads="two")
    weights.load_published(path, model)
    weights.export_published(back, model)
    assert_equal(torch.load(back, weights_only=True), state)


@pytest.mark.parametrize("kind", ["Scale.", "torchvision"])
def test_imagenet_weights_are_loaded_into_the_backbone_only(tmp_path: Path, state: State, kind: str) -> None:
    backbone = {
        name: value
        for name, value in state.items()
        if not name.startswith(("layer5", "layer6")) and not name.endswith("num_batches_tracked")
    }
    if kind == "Scale.":  # of another shape, as in the published file
        content = {f"Scale.{n}": v for n, v in backbone.items()} | {
            "Scale.layer5.conv2d_list.0.weight": torch.ones(21)
        }
    else:
        content = backbone | {"fc.weight": torch.ones(1000, 512), "fc.bias": torch.ones(1000)}
    torch.save(content, tmp_path / "imagenet.pth")
    other = build(2)
    before = {name: value.clone() for name, value in other.state_dict().items()}
    weights.load_published(tmp_path / "imagenet.pth", other)
    assert_equal(other.state_dict(), before | backbone)


def test_a_checkpoint_without_heads_is_refused_if_it_is_not_an_imagenet_file(
    tmp_path: Path, state: State
) -> None:
    torch.save({n: v for n, v in state.items() if not n.startswith("layer6")}, tmp_path / "cut.pth")
    with pytest.raises(UserError, match=r"8 missing: layer6.conv2d_list.0.weight, .* and 3 more"):
        weights.load_published(tmp_path / "cut.pth", build(2))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_float16_and_bfloat16_are_loaded_exactly(tmp_path: Path, state: State, dtype: torch.dtype) -> None:
    half = {name: value.to(dtype) if value.is_floating_point() else value for name, value in state.items()}
    torch.save(half, tmp_path / "half.pth")
    other = build(2)
    weights.load_weights(tmp_path / "half.pth", other)
    assert_equal(other.state_dict(), {name: value.to(state[name].dtype) for name, value in half.items()})
