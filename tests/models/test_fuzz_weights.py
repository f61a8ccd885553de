"""Fuzz weight files and their metadata: a file is loaded, or refused with a UserError and the model unchanged."""

from __future__ import annotations

import io
import json
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from intrada.core.config.classes import class_set
from intrada.inference.deployment.load import open_model
from intrada.models import MODELS, model_info
from intrada.models.model_info import ModelSpec
from tests.support.fuzzing import TEXT, VALUES, damaged, fuzz, mutated, user_error
from tests.support.tiny_segmenter import build

CLASSES = class_set(["sky", "road"])
SPEC = ModelSpec("tiny", {}, CLASSES)
STATE: dict[str, Tensor] = dict(build(2).state_dict())
INFO: dict[str, Any] = {
    "intrada": "0.1.0",
    "model": "tiny",
    "options": {"dropout": 0.0},
    "classes": [{"name": entry.name, "color": list(entry.color)} for entry in CLASSES.classes],
    "size": [64, 32],
    "normalisation": json.loads(json.dumps(asdict(build(2).normalisation))),
    "method": "advent",
    "iteration": 7,
}
OLD = {"model": "tiny", "classes": "sky,road", "method": "advent", "iteration": "4"}
DTYPES = [value for value in vars(torch).values() if isinstance(value, torch.dtype)]
SAFE = (
    *("BOOL", "F4", "F6_E2M3", "F6_E3M2", "U8", "I8", "F8_E5M2", "F8_E4M3", "F8_E8M0", "I16", "U16", "F16"),
    *("BF16", "I32", "U32", "F32", "C64", "F64", "I64", "U64"),
)


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """The network `tiny` is registered."""
    monkeypatch.setitem(MODELS, "tiny", "tests.support.tiny_segmenter")


def use(content: bytes, suffix: str) -> None:
    """Read a file with this content as every user of weight files does."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"model{suffix}"
        path.write_bytes(content)
        model = build(2)
        before = {name: value.clone() for name, value in model.state_dict().items()}
        if error := user_error(lambda: model_info.load(path, SPEC, model)):
            assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
            assert len(str(error)) < 5000
        for read in (model_info.read, model_info.iteration):
            user_error(lambda read=read: read(path))  # type: ignore[misc]
        user_error(lambda: open_model(path).load(torch.device("cpu")))


def with_metadata(text: str) -> bytes:
    return safetensors.torch.save(STATE, {"intrada": text})


def raw(header: bytes, data: bytes) -> bytes:
    return len(header).to_bytes(8, "little") + header + data


def test_the_undamaged_file_is_loaded() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.safetensors"
        path.write_bytes(with_metadata(json.dumps(INFO)))
        model_info.load(path, SPEC, build(2))
        assert model_info.iteration(path) == 7


@fuzz
@given(st.data())
def test_metadata_of_any_json_type(data: st.DataObject) -> None:
    tree = data.draw(mutated(INFO) | mutated(OLD) | VALUES)
    text = json.dumps(tree, ensure_ascii=data.draw(st.booleans()))
    use(with_metadata(text.encode("utf-8", "replace").decode()), ".safetensors")


@fuzz
@given(st.data())
def test_metadata_of_damaged_text(data: st.DataObject) -> None:
    text = data.draw(damaged(json.dumps(INFO).encode()))
    use(with_metadata(text.decode("utf-8", "replace")), ".safetensors")


@fuzz
@given(st.data())
def test_a_safetensors_file_with_a_damaged_header_or_end(data: st.DataObject) -> None:
    whole = with_metadata(json.dumps(INFO))
    start = 8 + int.from_bytes(whole[:8], "little")
    head, tail = whole[:start], whole[start:]
    parts = data.draw(st.sampled_from(["head", "tail", "both"]))
    head = data.draw(damaged(head)) if parts != "tail" else head
    tail = data.draw(damaged(tail)) if parts != "head" else tail
    use(head + tail, ".safetensors")


@fuzz
@given(
    st.sampled_from(SAFE) | TEXT,
    st.lists(st.integers(-1, 4) | st.integers(0, 2**64), max_size=4),
    st.tuples(st.integers(0, 600) | st.integers(0, 2**64), st.integers(0, 600) | st.integers(0, 2**64)),
    st.sampled_from(list(STATE)) | TEXT,
    st.integers(0, 600),
)
def test_a_safetensors_file_that_declares_any_tensor(
    dtype: str, shape: list[int], offsets: tuple[int, int], name: str, size: int
) -> None:
    tensors = {name: {"dtype": dtype, "shape": shape, "data_offsets": offsets}}
    header = {"__metadata__": {"intrada": json.dumps(INFO)}} | tensors
    use(raw(json.dumps(header).encode("utf-8", "replace"), bytes(size)), ".safetensors")


@st.composite
def tensors(draw: st.DrawFn) -> Any:
    """Draw a tensor of any dtype, shape, stride and layout, or something else."""
    dtype = draw(st.sampled_from(DTYPES))
    shape = draw(st.sampled_from([(), (0,), (2,), (4, 3, 3, 3), (2, 4, 1, 1)]) | st.lists(st.integers(0, 3)))
    kind = draw(st.sampled_from(["plain", "expanded", "meta", "sparse", "rows", "part", "other"]))
    if kind == "meta":
        return torch.empty(shape, dtype=dtype, device="meta")
    if kind == "expanded":
        return torch.zeros(1).to(dtype).expand(draw(st.integers(1, 4 * 10**10)))
    if kind == "sparse":
        return torch.zeros(shape).to_sparse()
    if kind == "rows":
        return torch.eye(3).to_sparse_csr()
    if kind == "part":
        return torch.zeros(*shape, 4)[..., 1]
    return draw(VALUES) if kind == "other" else torch.zeros(shape).to(dtype)


@fuzz
@given(st.data())
@pytest.mark.filterwarnings("ignore::UserWarning")  # of torch, about sparse tensors
def test_a_pytorch_file_of_any_tensors(data: st.DataObject) -> None:
    names = st.sampled_from(list(STATE)) | TEXT | st.integers(0, 9)
    content: Any = dict(STATE)
    for name in data.draw(st.lists(names, min_size=1, max_size=3)):
        try:
            content[name] = data.draw(tensors())
        except (NotImplementedError, RuntimeError):  # torch has no such tensor
            content.pop(name, None)
    file = io.BytesIO()
    try:
        torch.save(content, file, _use_new_zipfile_serialization=data.draw(st.booleans()))
    except (AttributeError, KeyError, NotImplementedError, RuntimeError, TypeError):  # nor can it be written
        return
    use(file.getvalue(), ".pth")


@fuzz
@given(st.data())
def test_a_damaged_pytorch_file(data: st.DataObject) -> None:
    file = io.BytesIO()
    torch.save(STATE, file, _use_new_zipfile_serialization=data.draw(st.booleans()))
    use(data.draw(damaged(file.getvalue()) | st.binary(max_size=200)), ".pth")


@fuzz
@given(st.sampled_from(["small", "deeplabv2", "efficientnet_lite0"]), st.data())
def test_options_of_a_network(name: str, data: st.DataObject) -> None:
    known = {"deeplabv2": {"backbone": "resnet18", "heads": "two"}}.get(name, {})
    options = data.draw(st.just(known) if not known else mutated(known)) | data.draw(
        st.dictionaries(TEXT, VALUES, max_size=1)
    )
    if name == "deeplabv2" and options.get("backbone", "resnet101") == "resnet101":
        options["backbone"] = "resnet18"  # faster to build
    user_error(lambda: ModelSpec(name, options, CLASSES).build())
