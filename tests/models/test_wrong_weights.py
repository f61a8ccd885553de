"""Weight files that are refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from intrada.core.errors import UserError
from intrada.models import weights
from intrada.models.base import SegmentationModel
from tests.support.tiny_model import State, assert_equal, build
from tests.support.tiny_model import model as model  # a fixture
from tests.support.tiny_model import state as state  # a fixture

COUNTER = "bn1.num_batches_tracked"
# tensors that torch converts to float32 without a warning, or cannot read
TYPES: dict[str, tuple[str, Tensor, str]] = {
    "bool": ("bn1.bias", torch.ones(64, dtype=torch.bool), "bn1.bias torch.bool, not torch.float32"),
    "int8": ("bn1.bias", torch.ones(64, dtype=torch.int8), "bn1.bias torch.int8, not torch.float32"),
    "int64": ("bn1.bias", torch.ones(64, dtype=torch.int64), "bn1.bias torch.int64, not torch.float32"),
    "uint16": ("bn1.bias", torch.ones(64, dtype=torch.uint16), "bn1.bias torch.uint16, not torch.float32"),
    "float64": ("bn1.bias", torch.ones(64, dtype=torch.float64), "bn1.bias torch.float64, not torch.float32"),
    "complex": ("bn1.bias", torch.ones(64, dtype=torch.complex64), "bn1.bias torch.complex64, not"),
    "float8_e4m3fn": (
        "bn1.bias",
        torch.ones(64).to(torch.float8_e4m3fn),
        "bn1.bias torch.float8_e4m3fn, not",
    ),
    "float8_e5m2": ("bn1.bias", torch.ones(64).to(torch.float8_e5m2), "bn1.bias torch.float8_e5m2, not"),
    "float8_e8m0fnu": ("bn1.bias", torch.ones(64).to(torch.float8_e8m0fnu), "bn1.bias torch.float8_e8m0fnu"),
    "float4": (
        "bn1.bias",
        torch.ones(64, dtype=torch.uint8).view(torch.float4_e2m1fn_x2),
        "bn1.bias torch.float4_e2m1fn_x2, not",
    ),
    "a counter of floats": (COUNTER, torch.tensor(3.0), f"{COUNTER} torch.float32, not torch.int64"),
    "a counter of bool": (COUNTER, torch.tensor(True), f"{COUNTER} torch.bool, not torch.int64"),
}
# only PyTorch files can have these
LAYOUTS: dict[str, tuple[str, Tensor, str]] = {
    "sparse": ("bn1.bias", torch.ones(64).to_sparse(), "bn1.bias torch.sparse_coo"),
    "without values": (
        "bn1.bias",
        torch.ones(64, device="meta"),
        "bn1.bias without plain values",
    ),
}


class Trap:
    """An object that executes code when it is unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return exec, ("raise SystemExit('code of a weight file was run')",)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize(
    "change, message",
    [
        ({"conv1.weight": None}, "1 missing: conv1.weight"),
        ({"decoder.weight": torch.ones(1)}, "1 unexpected: decoder.weight"),
        ({"bn1.bias": torch.ones(7)}, r"1 mis-shaped: bn1.bias \(7,\), not \(64,\)"),
        ({"bn1.bias": torch.full((64,), float("nan"))}, "1 nan or infinite: bn1.bias"),
        ({"bn1.bias": torch.full((64,), float("inf"))}, "1 nan or infinite: bn1.bias"),
        ({"bn1.bias": None, "x": torch.ones(1)}, "1 missing: bn1.bias; 1 unexpected: x"),
        ({"bn1.bias": torch.tensor(1.0)}, r"1 mis-shaped: bn1.bias \(\), not \(64,\)"),
        ({"bn1.bias": torch.empty(0)}, r"1 mis-shaped: bn1.bias \(0,\), not \(64,\)"),
    ],
)
def test_the_error_lists_tensors_that_do_not_fit_and_the_model_is_unchanged(
    tmp_path: Path, state: State, suffix: str, change: dict[str, Tensor | None], message: str
) -> None:
    path = tmp_path / f"bad{suffix}"
    content = {name: value for name, value in (state | change).items() if value is not None}
    if suffix == ".pth":
        torch.save(content, path)
    else:
        save_file(content, path, {"intrada": "{}"})
    other = build(2)
    before = {name: value.clone() for name, value in other.state_dict().items()}
    with pytest.raises(UserError, match=message):
        weights.load_weights(path, other)
    assert_equal(other.state_dict(), before)


@pytest.mark.parametrize(
    "suffix, name",
    [(".pth", name) for name in TYPES | LAYOUTS] + [(".safetensors", name) for name in TYPES],
)
def test_a_tensor_of_a_wrong_type_is_refused_and_the_model_is_unchanged(
    tmp_path: Path, state: State, suffix: str, name: str
) -> None:
    key, value, message = (TYPES | LAYOUTS)[name]
    path = tmp_path / f"bad{suffix}"
    if suffix == ".pth":
        torch.save(state | {key: value}, path)
    else:
        save_file(state | {key: value}, path, {"intrada": "{}"})
    other = build(2)
    before = {name: value.clone() for name, value in other.state_dict().items()}
    with pytest.raises(UserError) as caught:
        weights.load_weights(path, other)
    error = caught.value
    assert error.where == str(path) and error.found.startswith(f"1 of a wrong type: {message}")
    assert "float32 (or float16, bfloat16)" in error.allowed and "tensor.float()" in error.fix
    assert_equal(other.state_dict(), before)


def test_a_dtype_that_torch_does_not_support_is_refused(tmp_path: Path) -> None:
    tensors = {"x": {"dtype": "F6_E2M3", "shape": [8], "data_offsets": [0, 6]}}
    header = json.dumps({"__metadata__": {"intrada": "{}"}, **tensors}).encode()
    path = tmp_path / "f6.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(6))
    with pytest.raises(UserError, match="F6_E2M3"):
        weights.load_weights(path, build(2))


def test_the_error_for_heads_with_another_number_of_classes_has_both_numbers(
    tmp_path: Path, state: State
) -> None:
    torch.save(state, tmp_path / "three.pth")
    with pytest.raises(UserError, match="heads of 3 classes, not 4; 16 mis-shaped: layer5"):
        weights.load_published(tmp_path / "three.pth", build(2, classes=4))


@pytest.mark.parametrize(
    "content, message",
    [
        ({"state_dict": {}, "epoch": 3}, "state_dict, epoch are no tensors"),
        ([1, 2], "a list"),
        ({"conv1.weight": Trap()}, "nothing was executed"),
    ],
)
def test_a_file_that_is_not_a_plain_state_dict_is_refused(
    tmp_path: Path, content: object, message: str
) -> None:
    torch.save(content, tmp_path / "other.pth")
    with pytest.raises(UserError, match=message):
        weights.load_published(tmp_path / "other.pth", build(2))


@pytest.mark.parametrize("name", ["model.pth", "model.safetensors"])
@pytest.mark.parametrize("content", [None, b"", b"no weights at all", "cut"])
def test_missing_empty_and_truncated_files_are_refused(
    tmp_path: Path, model: SegmentationModel, name: str, content: bytes | str | None
) -> None:
    path = tmp_path / name
    if content == "cut":
        if path.suffix == ".pth":
            weights.export_published(path, model)
        else:
            weights.save_model(path, model, {})
        path.write_bytes(path.read_bytes()[:-500])
    elif isinstance(content, bytes):
        path.write_bytes(content)
    with pytest.raises(UserError, match=name):
        weights.load_weights(path, build(2))


def test_a_file_that_is_larger_than_the_memory_is_refused(tmp_path: Path) -> None:
    """160 GiB of zeros, of which the disk holds none: Linux maps no such file into memory for writing."""
    size, path = 160 * 2**30, tmp_path / "huge.safetensors"
    tensors = {"x": {"dtype": "F32", "shape": [size // 4], "data_offsets": [0, size]}}
    header = json.dumps({"__metadata__": {"intrada": "{}"}, **tensors}).encode()
    with path.open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        file.truncate(file.tell() + size)
    with pytest.raises(UserError, match=r"huge.safetensors: (unable to mmap|\d+ missing)"):
        weights.load_weights(path, build(2))


def test_safetensors_of_another_program_are_refused(tmp_path: Path, state: State) -> None:
    save_file(state, tmp_path / "foreign.safetensors")
    with pytest.raises(UserError, match="without this project's metadata"):
        weights.load_weights(tmp_path / "foreign.safetensors", build(2))


def test_a_model_with_nan_is_not_saved_and_the_old_file_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"old")
    net = nn.Conv2d(1, 1, 1)
    nn.init.constant_(net.bias, float("nan"))  # type: ignore[arg-type]
    with pytest.raises(UserError, match="1 nan or infinite: bias"):
        weights.save_model(path, net, {})
    assert path.read_bytes() == b"old"
