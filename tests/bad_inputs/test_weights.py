"""Invalid weight files."""

from __future__ import annotations

import io
import json
import os
import pickle
import shutil
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from intrada.models import build_model
from intrada.models.weights import save_model
from tests.support.bad_inputs_tree import MODEL, Stage, use

Make = Callable[[Path], object]


class Payload:
    """An object whose unpickling creates the folder `owned`."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Path.mkdir, (Path("owned"),)  # type: ignore[return-value]


def states(classes: int = 3, model: str = "small", **options: str) -> dict[str, torch.Tensor]:
    return dict(build_model(model, classes, options).state_dict())


def with_bias(value: float) -> dict[str, torch.Tensor]:
    tensors = states()
    tensors["main.conv2d_list.0.bias"][0] = value
    return tensors


def converted(dtype: torch.dtype) -> dict[str, torch.Tensor]:
    """Return the weights in another dtype, without a change of the integer counters of batch normalisation."""
    return {name: value.to(dtype) if value.is_floating_point() else value for name, value in states().items()}


def cut(path: Path) -> None:
    torch.save(states(), path)
    path.write_bytes(path.read_bytes()[:5000])


def compressed(path: Path) -> None:
    """Write the zip file of torch.save with compression, as a file that expands to more than memory has it."""
    torch.save(states(), path)
    written = io.BytesIO(path.read_bytes())
    with zipfile.ZipFile(written) as plain, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for entry in plain.infolist():
            packed.writestr(entry.filename, plain.read(entry))


PICKLES: dict[str, tuple[Make, tuple[str, ...]]] = {
    "a pickle of something else": (
        lambda path: path.write_bytes(pickle.dumps(Payload(), protocol=2)),
        ("more than tensors", "nothing was executed"),
    ),
    "a checkpoint with code": (
        lambda path: torch.save({**states(), "more": Payload()}, path),
        ("more than tensors", "nothing was executed"),
    ),
    "a whole training state": (
        lambda path: torch.save({"state_dict": states(), "epoch": 3}, path),
        ("state_dict, epoch are no tensors", "a plain mapping of names to tensors"),
    ),
    "numbers as names": (lambda path: torch.save({1: torch.zeros(1)}, path), ("1 are no tensors by name",)),
    "a list": (
        lambda path: torch.save([torch.zeros(1)], path),
        ("a list", "a plain mapping of names to tensors"),
    ),
    "another architecture": (
        lambda path: torch.save(states(model="deeplabv2", backbone="resnet18"), path),
        ("missing: stem.0.weight", "unexpected: conv1.weight", "use a file of this model"),
    ),
    "another number of classes": (
        lambda path: torch.save(states(classes=5), path),
        (
            "heads of 5 classes, not 3; 16 mis-shaped: aux.conv2d_list.0.weight (5, 56, 3, 3), not (3, 56, 3, 3)",
            "these `classes`",
        ),
    ),
    "nan": (
        lambda path: torch.save(with_bias(float("nan")), path),
        ("1 nan or infinite: main.conv2d_list.0.bias", "finite"),
    ),
    "infinity": (lambda path: torch.save(with_bias(float("-inf")), path), ("1 nan or infinite",)),
    "quantized to int8": (
        lambda path: torch.save(converted(torch.int8), path),
        ("of a wrong type: stem.0.weight torch.int8, not torch.float32", "tensor.float()"),
    ),
    "complex": (
        lambda path: torch.save(converted(torch.complex64), path),
        ("of a wrong type: stem.0.weight torch.complex64, not torch.float32",),
    ),
    "sparse": (
        lambda path: torch.save(states() | {"stem.0.weight": torch.zeros(16, 3, 3, 3).to_sparse()}, path),
        ("1 of a wrong type: stem.0.weight torch.sparse_coo",),
    ),
    "without values": (
        lambda path: torch.save(states() | {"stem.0.weight": torch.zeros(1, device="meta")}, path),
        ("1 of a wrong type: stem.0.weight without plain values",),
    ),
    "one value that claims to be 160 GB": (
        lambda path: torch.save(states() | {"stem.0.weight": torch.zeros(1).expand(4 * 10**10)}, path),
        ("1 mis-shaped: stem.0.weight (40000000000,), not (16, 3, 3, 3)",),
    ),
    "compressed": (compressed, ("a zip file with compression", "save its tensors again with torch.save")),
    "a pipe": (os.mkfifo, ("a pipe, a socket or a device, but a file is expected",)),
    "a name of many characters": (
        lambda path: torch.save({"x" * 10**5: 3}, path),
        (f"{'x' * 196} ... are no tensors by name",),
    ),
    "truncated": (cut, ("no PyTorch file, or a damaged one",)),
    "zero bytes": (lambda path: path.touch(), ("an empty file (0 bytes)",)),
    "text": (lambda path: path.write_text("hello world\n"), ("no PyTorch file, or a damaged one",)),
    "a folder": (lambda path: path.mkdir(), ("a folder, but a file is expected",)),
}


@pytest.mark.parametrize("name", PICKLES)
def test_an_invalid_pytorch_file_is_refused_as_initial_weights_and_not_executed(
    stage: Stage, name: str
) -> None:
    make, phrases = PICKLES[name]
    make(Path("weights/mine.pth"))
    message = stage.refuses("train_source", "weights/mine.pth: ", *phrases, init="weights/mine.pth")
    assert not Path("owned").exists()
    assert "weights_only" not in message  # no advice to execute the content of the file


def test_missing_weights_are_named_with_the_command_that_restores_them(stage: Stage) -> None:
    stage.refuses(
        "train_source", "weights/gone.pth: no such file", "else put it there", init="weights/gone.pth"
    )


def test_pretrained_weights_of_a_model_without_them_are_refused(stage: Stage) -> None:
    Path("weights/pretrained").touch()
    stage.refuses(
        "train_source", "init: weights/pretrained, but the model small has no pretrained weights", "weights/random",
        init="weights/pretrained",
    )  # fmt: skip


def header(path: Path, metadata: dict[str, str]) -> None:
    """Write a safetensors file without tensors."""
    text = json.dumps({"__metadata__": metadata}).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text)


# of version 0.1, which names the network and the classes alone
NAMED = {"intrada": json.dumps({"model": "small", "classes": "sky,road,car"})}


def truncated(size: int) -> Make:
    return lambda path: path.write_bytes(Path(MODEL).read_bytes()[:size])


OURS: dict[str, tuple[Make, tuple[str, ...]]] = {
    "zero bytes": (lambda path: path.touch(), ("an empty file (0 bytes)", "run that stage again")),
    "truncated in the header size": (truncated(4), ("header too small",)),
    "truncated in the header": (truncated(100), ("invalid header length",)),
    "truncated in the tensors": (
        truncated(100_000),
        ("not fully covered", "a safetensors file written by this project"),
    ),
    "without the last byte": (truncated(-1), ("not fully covered",)),
    "text": (lambda path: path.write_text("no weights, but text"), ("header",)),
    "a PyTorch file": (lambda path: torch.save(states(), path), ("header",)),
    "of another project": (lambda path: header(path, {"format": "pt"}), ("without this project's metadata",)),
    "metadata that are no JSON": (
        lambda path: header(path, {"intrada": "{"}),
        ("metadata that are no JSON",),
    ),
    "float8": (
        lambda path: save_file(converted(torch.float8_e4m3fn), path, NAMED),
        (
            "81 of a wrong type: aux.conv2d_list.0.bias torch.float8_e4m3fn, not torch.float32",
            "tensor.float()",
        ),
    ),
    "bool": (
        lambda path: save_file(converted(torch.bool), path, NAMED),
        ("81 of a wrong type: aux.conv2d_list.0.bias torch.bool, not torch.float32",),
    ),
    "int8": (
        lambda path: save_file(converted(torch.int8), path, NAMED),
        ("81 of a wrong type: aux.conv2d_list.0.bias torch.int8, not torch.float32",),
    ),
    "complex": (
        lambda path: save_file(converted(torch.complex64), path, NAMED),
        ("81 of a wrong type: aux.conv2d_list.0.bias torch.complex64, not torch.float32",),
    ),
    "without tensors": (lambda path: header(path, NAMED), ("missing: stem.0.weight",)),
    "metadata without names": (
        lambda path: header(path, {"intrada": "{}"}),
        ("no model and no classes in its metadata",),
    ),
    "a pipe": (os.mkfifo, ("a pipe, a socket or a device, but a file is expected",)),
    "of other classes": (
        lambda path: save_model(path, build_model("small", 4, {}), json.loads(NAMED["intrada"])),
        ("aux.conv2d_list.0.weight (4, 56, 3, 3), not (3, 56, 3, 3)", "these `classes`"),
    ),
}


@pytest.mark.parametrize("job", ["train_source", "score", "evaluate@inter"])
@pytest.mark.parametrize("name", OURS)
def test_every_stage_that_reads_a_model_refuses_an_invalid_safetensors_file(
    stage: Stage, job: str, name: str
) -> None:
    make, phrases = OURS[name]
    path = Path("mine.safetensors")
    make(path)
    stage.refuses(
        job, "mine.safetensors: ", *phrases, **{"init" if job == "train_source" else "model": str(path)}
    )


@pytest.mark.parametrize("job", ["train_inter", "score", "evaluate@inter", "evaluate_snapshots@inter"])
@pytest.mark.parametrize(
    "changes, actual, allowed",
    [
        ({"classes": ["sky", "road"]}, "classes: sky, road, car", "classes: sky, road"),
        ({"classes": ["road", "sky", "car"]}, "classes: sky, road, car", "classes: road, sky, car"),
        ({"model__name": "efficientnet_lite0"}, "model: small", "model: efficientnet_lite0"),
    ],
)
def test_a_model_whose_metadata_do_not_match_the_params_is_refused(
    stage: Stage, job: str, changes: dict[str, Any], actual: str, allowed: str
) -> None:
    if "model__name" in changes:
        pytest.importorskip("timm")
    use(rank__rare_classes=["road"], **changes)
    Path("snapshots").mkdir()
    option = "init" if job == "train_inter" else "model"
    extra = {"snapshots": "snapshots"} if job.startswith("evaluate_snap") else {}
    phrases = (
        f"{actual} (written by intrada ",
        f"allowed: {allowed}, as in the params",
        "set `model` and `classes`",
    )
    stage.refuses(job, f"{MODEL}: ", *phrases, **{option: MODEL}, **extra)


def test_a_damaged_checkpoint_is_ignored_and_training_starts_again(stage: Stage) -> None:
    stage.run("train_source")
    [newest] = Path("runs/train_source").glob("*/checkpoint_*.pt")
    before = Path(MODEL).read_bytes()
    for content in (b"", pickle.dumps(Payload(), protocol=2), newest.read_bytes()[:4000]):
        newest.write_bytes(content)
        stage.run("train_source")
        assert Path(MODEL).read_bytes() == before and not Path("owned").exists()
    shutil.rmtree("runs")
