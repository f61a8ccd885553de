from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from intrada.core.errors import UserError
from intrada.models import deeplabv2, weights
from intrada.models.base import SegmentationModel

State = dict[str, Tensor]


class Tiny(SegmentationModel):
    """A few layers with the names of DeepLab-v2's."""

    head_names = deeplabv2.DeepLabV2.head_names

    def __init__(self, classes: int, heads: str) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 64, 1, bias=False), nn.BatchNorm2d(64)
        self.layer5, self.layer6 = (deeplabv2.HEADS[heads](64, classes) for _ in range(2))

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        features = self.bn1(self.conv1(images))
        return {"main": self.layer6(features), "aux": self.layer5(features)}

    def normalise(self, images: Tensor) -> Tensor:
        return images.float()


def build(seed: int, classes: int = 3, heads: str = "four") -> SegmentationModel:
    torch.manual_seed(seed)
    return Tiny(classes, heads)


def assert_equal(actual: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    assert list(actual) == list(expected)
    for name, value in expected.items():
        assert actual[name].dtype == value.dtype and torch.equal(actual[name], value), name


@pytest.fixture(scope="module")
def model() -> SegmentationModel:
    return build(1)


@pytest.fixture
def state(model: SegmentationModel) -> State:
    return {name: value.clone() for name, value in model.state_dict().items()}


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


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_float16_and_bfloat16_are_loaded_exactly(tmp_path: Path, state: State, dtype: torch.dtype) -> None:
    half = {name: value.to(dtype) if value.is_floating_point() else value for name, value in state.items()}
    torch.save(half, tmp_path / "half.pth")
    other = build(2)
    weights.load_weights(tmp_path / "half.pth", other)
    assert_equal(other.state_dict(), {name: value.to(state[name].dtype) for name, value in half.items()})


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


class Trap:
    """An object that executes code when it is unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return exec, ("raise SystemExit('code of a weight file was run')",)


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
