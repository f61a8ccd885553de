"""Weight files: our own (safetensors), and the published PyTorch checkpoints in and out.

A file fits a model when it holds every tensor of its state dict and no other, each in the right shape and
type, with finite values only. A tensor that does not fit is named in the error. Nothing but plain tensors is
unpickled.
"""

from __future__ import annotations

import io
import json
import pickle
import warnings
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import safetensors
import torch
from safetensors.torch import load_file, save
from torch import Tensor, nn

from intrada.core import files
from intrada.core.errors import UserError
from intrada.core.files import unreadable
from intrada.models.base import SegmentationModel

SUFFIX = ".safetensors"
# safetensors writes its metadata in random order; one entry of sorted JSON makes equal files equal.
_METADATA = "intrada"
_OURS = "a safetensors file written by this project"
_PUBLISHED = "a PyTorch file that holds a plain mapping of names to tensors"
# float32 represents every value of these types. A float64, an integer or a float8 would be rounded or mean
# something else (a quantised weight), and load_state_dict converts them without a word.
_FLOATS = (torch.float32, torch.float16, torch.bfloat16)
_FITTING = "each tensor of the model and no other, in its shape, float32 (or float16, bfloat16), finite"


def save_model(path: Path, model: nn.Module, metadata: Mapping[str, object]) -> None:
    """Write the state dict of `model` and `metadata` (of JSON's types) to a safetensors file, atomically.

    The same values give the same bytes. UserError if a value is nan or infinite: nothing is written.
    """
    tensors = {name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}
    bad = [name for name, value in tensors.items() if not _is_finite(value)]
    _refuse(path, {"nan or infinite": bad}, "lower the learning rate; an earlier file was left as it was")
    header = {_METADATA: json.dumps(dict(metadata), sort_keys=True)}
    files.write_bytes(path, save(tensors, header))


def load_model(path: Path, model: SegmentationModel) -> dict[str, Any]:
    """Read a file of `save_model` into `model`; returns its metadata. UserError if it does not fit."""
    metadata = read_metadata(path)
    try:
        tensors = load_file(path)
    except Exception as error:  # a type that this torch or safetensors does not know
        raise unreadable(path, error, _OURS) from error
    fill(path, model, tensors, may_lack=lambda name: False)
    return metadata


def read_metadata(path: Path) -> dict[str, Any]:
    """The metadata that `save_model` was given; the tensors are not read. UserError if there are none."""
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
    except (OSError, safetensors.SafetensorError) as error:
        raise unreadable(path, error, _OURS) from error
    if _METADATA not in header:
        raise unreadable(path, "safetensors without this project's metadata", _OURS)
    try:
        metadata = json.loads(header[_METADATA])
    except (ValueError, RecursionError) as error:
        raise unreadable(path, f"metadata that are no JSON ({error})", _OURS) from error
    if not isinstance(metadata, dict):
        raise unreadable(path, f"metadata that are a {type(metadata).__name__}, not a mapping", _OURS)
    return metadata


def load_published(path: Path, model: SegmentationModel) -> None:
    """Read a published checkpoint into `model`, as the published code does. UserError if it does not fit.

    A plain checkpoint (AdaptSegNet, AdvEnt, IntraDA) must hold the whole model. ImageNet weights fill
    the backbone and leave the heads as they are: the published ResNet-101 prefixes its names with
    `Scale.` and its layer5 is another classifier; torchvision's own files hold `fc`. Files older than
    torch 0.4.1 lack the batch counters, which this model does not use.
    """
    tensors = read_torch(path)
    heads = tuple(f"{head}." for head in model.head_names)
    imagenet = "fc.weight" in tensors or any(name.startswith("Scale.") for name in tensors)
    if imagenet:
        plain = {name.removeprefix("Scale."): value for name, value in tensors.items()}
        tensors = {name: value for name, value in plain.items() if not name.startswith((*heads, "fc."))}

    def may_lack(name: str) -> bool:
        return name.endswith("num_batches_tracked") or (imagenet and name.startswith(heads))

    fill(path, model, tensors, may_lack)


def export_published(path: Path, model: SegmentationModel) -> None:
    """Write the state dict of `model` as a plain PyTorch checkpoint, atomically.

    A DeepLab-v2 can be read by the published code, and by `load_published` with equal bits.
    """
    tensors = {name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}
    # torch.save puts the name of a path, here a random one, into the file; not that of a handle.
    data = io.BytesIO()
    torch.save(tensors, data)
    files.write_bytes(path, data.getvalue())


def load_weights(path: Path, model: SegmentationModel) -> None:
    """Read either kind of file into `model`, told apart by the suffix `.safetensors`."""
    if path.suffix == SUFFIX:
        load_model(path, model)
    else:
        load_published(path, model)


def read_torch(path: Path) -> dict[str, Tensor]:
    """The tensors of a PyTorch file by name, on the CPU; no code in the file is run.

    UserError for a file that is missing, damaged, or holds anything but names and tensors.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of sparse tensors, which `fill` refuses
            content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except (PermissionError, IsADirectoryError) as error:
        raise unreadable(path, error, _PUBLISHED) from error
    except pickle.UnpicklingError as error:  # its text tells how to run the foreign code
        raise unreadable(
            path, "more than tensors, or no PyTorch file; nothing was executed", _PUBLISHED
        ) from error
    except Exception as error:  # a damaged file makes torch raise almost anything
        found = f"{type(error).__name__}: {error}".split("\n", 1)[0].split(". ", 1)[0]
        raise unreadable(path, f"no PyTorch file, or a damaged one ({found})", _PUBLISHED) from error
    if not isinstance(content, Mapping):
        raise unreadable(path, f"a {type(content).__name__}", _PUBLISHED)
    other = [
        str(name)
        for name, value in content.items()
        if not isinstance(name, str) or not isinstance(value, Tensor)
    ]
    if other:
        raise unreadable(path, f"{_some(other)} are no tensors by name", _PUBLISHED)
    return dict(content)


def fill(
    path: Path, model: SegmentationModel, tensors: dict[str, Tensor], may_lack: Callable[[str], bool]
) -> None:
    """Copy `tensors`, by the names of the model's state dict, into `model`; UserError if they do not fit.

    path: the file that they were read from, for the error. may_lack: whether the tensor of that name may be
    missing; the model keeps its own. The model is not changed where anything does not fit.
    """
    own = model.state_dict()
    common = [name for name in tensors if name in own]
    types = {name: wrong for name in common if (wrong := _wrong_type(tensors[name], own[name]))}
    plain = [name for name in common if name not in types]  # a nested tensor has no shape
    shapes = {name: (tuple(tensors[name].shape), tuple(own[name].shape)) for name in plain}
    wrong_shapes = {name: pair for name, pair in shapes.items() if pair[0] != pair[1]}
    misfits = {
        "missing": [name for name in own if name not in tensors and not may_lack(name)],
        "unexpected": [name for name in tensors if name not in own],
        "mis-shaped": [f"{name} {found}, not {shape}" for name, (found, shape) in wrong_shapes.items()],
        "of a wrong type": [f"{name} {wrong}" for name, wrong in types.items()],
        "nan or infinite": [name for name in plain if not _is_finite(tensors[name])],
    }
    fix = "name the file of this model and of these `classes`, or the model of this file"
    if types:
        fix = "name the float32 file that this one was made from, or convert its tensors by `tensor.float()`"
    _refuse(path, misfits, fix, _other_classes(wrong_shapes, model.head_names))
    model.load_state_dict(own | tensors)


def _wrong_type(value: Tensor, own: Tensor) -> str:
    """What makes the dtype or the layout of `value` another than the model's own; "" if nothing does."""
    if value.layout != torch.strided:
        return f"{value.layout}"  # sparse
    if value.is_meta or value.is_nested:
        return "without plain values"
    fitting = _FLOATS if own.dtype == torch.float32 else (own.dtype,)
    return "" if value.dtype in fitting else f"{value.dtype}, not {own.dtype}"


def _other_classes(shapes: Mapping[str, tuple[tuple[int, ...], ...]], heads: tuple[str, ...]) -> str:
    """`heads of 5 classes, not 3` where only the heads differ, and only in their number of outputs."""
    counts = {(found[0], own[0]) for found, own in shapes.values() if found and found[1:] == own[1:]}
    if len(counts) != 1 or not all(name.split(".", 1)[0] in heads for name in shapes):
        return ""
    [(found, own)] = counts
    return f"heads of {found} classes, not {own}; "


def _is_finite(value: Tensor) -> bool:
    return bool(torch.isfinite(value).all())


def _refuse(path: Path, misfits: Mapping[str, list[str]], fix: str, summary: str = "") -> None:
    found = "; ".join(f"{len(names)} {kind}: {_some(names)}" for kind, names in misfits.items() if names)
    if found:
        raise UserError(path, summary + found, _FITTING, fix)


def _some(names: Iterable[str]) -> str:
    names = list(names)
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
