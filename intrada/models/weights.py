"""Weight files: safetensors files of this project, and published PyTorch checkpoints.

A file fits a model if it has exactly the tensors of the model's state dict, with the same shapes and dtypes
and finite values. Errors list the tensors that do not fit. Only plain tensors are unpickled.
"""

from __future__ import annotations

import io
import json
import pickle
import warnings
import zipfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import safetensors
import torch
from safetensors.torch import load_file, save
from torch import Tensor, nn

from intrada.core import files
from intrada.core.errors import UserError, shortened
from intrada.core.files import refuse_special, unreadable
from intrada.models.base import SegmentationModel

SUFFIX = ".safetensors"
# safetensors writes its metadata in random order; one entry of sorted JSON makes equal files equal.
_METADATA = "intrada"
_ZIP = b"PK\x03\x04"  # the first bytes by which torch recognises a zip file
_OURS = "a safetensors file written by this project"
_PUBLISHED = "a PyTorch file that holds a plain mapping of names to tensors"
# float32 represents every value of these types. load_state_dict also converts other types without a warning,
# but that would round a float64 and misread a quantised weight (an integer, a float8).
_FLOATS = (torch.float32, torch.float16, torch.bfloat16)
_FITTING = "each tensor of the model and no other, in its shape, float32 (or float16, bfloat16), finite"


def save_model(path: Path, model: nn.Module, metadata: Mapping[str, object]) -> None:
    """Write the state dict of `model` and `metadata` (of JSON's types) to a safetensors file, atomically.

    The same values give the same bytes. Raises UserError, and writes nothing, if a value is nan or infinite.
    """
    tensors = {name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}
    not_finite = [name for name, value in tensors.items() if not _is_finite(value)]
    fix = "lower the learning rate; an existing file is unchanged"
    _raise_misfits(path, {"nan or infinite": not_finite}, fix)
    header = {_METADATA: json.dumps(dict(metadata), sort_keys=True)}
    files.write_bytes(path, save(tensors, header))


def load_model(path: Path, model: SegmentationModel) -> dict[str, Any]:
    """Read a file of `save_model` into `model`; returns its metadata. UserError if it does not fit."""
    metadata = read_metadata(path)
    try:
        tensors = load_file(path)
    except Exception as error:  # a dtype that this version of torch or safetensors does not support
        raise unreadable(path, error, _OURS) from error
    load_tensors(path, model, tensors, is_optional=lambda name: False)
    return metadata


def read_metadata(path: Path) -> dict[str, Any]:
    """Return the metadata that `save_model` wrote. The tensors are not read.

    Raises UserError if the file has no metadata of this project.
    """
    refuse_special(path, _OURS)
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
    except (MemoryError, OSError, RuntimeError, safetensors.SafetensorError) as error:
        # MemoryError, RuntimeError: the file is larger than the memory or than `ulimit -v`
        raise unreadable(path, error, _OURS) from error
    if _METADATA not in header:
        raise unreadable(path, "safetensors without this project's metadata", _OURS)
    try:
        metadata = json.loads(header[_METADATA])
        json.dumps(metadata, ensure_ascii=False).encode()  # half of a surrogate pair is no text
    except (ValueError, RecursionError) as error:
        raise unreadable(path, f"metadata that are no JSON ({error})", _OURS) from error
    if not isinstance(metadata, dict):
        raise unreadable(path, f"metadata that are a {type(metadata).__name__}, not a mapping", _OURS)
    return metadata


def load_published(path: Path, model: SegmentationModel) -> None:
    """Load a published checkpoint into `model` as the published code does. Raises UserError if it misfits.

    A checkpoint of AdaptSegNet, AdvEnt or IntraDA must have all tensors of the model. ImageNet weights are
    loaded into the backbone only. They are recognised by the prefix `Scale.` (the published ResNet-101, in
    which layer5 is another classifier) or by `fc` (torchvision). Files older than torch 0.4.1 have no batch
    counters, which are optional because this model does not use them.
    """
    tensors = read_torch(path)
    heads = tuple(f"{head}." for head in model.head_names)
    imagenet = "fc.weight" in tensors or any(name.startswith("Scale.") for name in tensors)
    if imagenet:
        plain = {name.removeprefix("Scale."): value for name, value in tensors.items()}
        tensors = {name: value for name, value in plain.items() if not name.startswith((*heads, "fc."))}

    def is_optional(name: str) -> bool:
        return name.endswith("num_batches_tracked") or (imagenet and name.startswith(heads))

    load_tensors(path, model, tensors, is_optional)


def export_published(path: Path, model: SegmentationModel) -> None:
    """Write the state dict of `model` as a plain PyTorch checkpoint, atomically.

    The published code can load a DeepLab-v2; `load_published` restores it bit by bit.
    """
    tensors = {name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}
    # torch.save writes the name of the file, here a temporary one, into the file, unless it gets a buffer.
    data = io.BytesIO()
    torch.save(tensors, data)
    files.write_bytes(path, data.getvalue())


def load_weights(path: Path, model: SegmentationModel) -> None:
    """Load either kind of file into `model`; `.safetensors` is the suffix of this project's files."""
    if path.suffix == SUFFIX:
        load_model(path, model)
    else:
        load_published(path, model)


def read_torch(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a PyTorch file by name, on the CPU. No code in the file is executed.

    Raises UserError for a file that is missing, corrupt, or has anything other than names and tensors.
    """
    refuse_special(path, _PUBLISHED)
    try:
        # mmap: a file of another model may be larger than the memory
        is_zip = _is_zip(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of sparse tensors, which `load_tensors` refuses
            content: Any = torch.load(path, map_location="cpu", weights_only=True, mmap=is_zip)
    except UserError:
        raise
    except PermissionError as error:
        raise unreadable(path, error, _PUBLISHED) from error
    except pickle.UnpicklingError as error:  # torch's own message explains how to execute the file's code
        raise unreadable(
            path, "more than tensors, or no PyTorch file; nothing was executed", _PUBLISHED
        ) from error
    except Exception as error:  # torch raises many types of error for a corrupt file
        reason = f"{type(error).__name__}: {error}".split("\n", 1)[0].split(". ", 1)[0]
        raise unreadable(path, f"no PyTorch file, or a damaged one ({reason})", _PUBLISHED) from error
    if not isinstance(content, Mapping):
        raise unreadable(path, f"a {type(content).__name__}", _PUBLISHED)
    other = [
        str(name)
        for name, value in content.items()
        if not isinstance(name, str) or not isinstance(value, Tensor)
    ]
    if other:
        raise unreadable(path, f"{_first_names(other)} are no tensors by name", _PUBLISHED)
    return dict(content)


def _is_zip(path: Path) -> bool:
    """Return whether torch takes the file for a zip file. Raises UserError if an entry is compressed.

    torch.save never compresses, and a small compressed file may expand to more than the memory.
    """
    with path.open("rb") as file:
        if file.read(len(_ZIP)) != _ZIP:
            return False
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        expanded = sum(entry.file_size for entry in entries)
        raise UserError(
            path,
            f"a zip file with compression (is it TorchScript?) that expands to {expanded} bytes",
            f"{_PUBLISHED}, as torch.save writes it, without compression",
            "if you trust the file, load it with torch, and save its tensors again with torch.save",
        )
    return True


def load_tensors(
    path: Path,
    model: SegmentationModel,
    tensors: dict[str, Tensor],
    is_optional: Callable[[str], bool],
    fix: str = "use a file of this model with these `classes`, or set `model` to that of the file",
) -> None:
    """Load `tensors` into `model`. Raises UserError, and leaves the model unchanged, if they do not fit.

    path: the file of the tensors, for the error; is_optional: returns whether the tensor of a name may be
    missing, in which case the model keeps its value; fix: what to do next, for the error.
    """
    state = model.state_dict()
    common = [name for name in tensors if name in state]
    types = {name: wrong for name in common if (wrong := _wrong_type(tensors[name], state[name]))}
    plain = [name for name in common if name not in types]  # a nested tensor has no shape
    shapes = {name: (tuple(tensors[name].shape), tuple(state[name].shape)) for name in plain}
    wrong_shapes = {name: pair for name, pair in shapes.items() if pair[0] != pair[1]}
    misfits = {
        "missing": [name for name in state if name not in tensors and not is_optional(name)],
        "unexpected": [name for name in tensors if name not in state],
        "mis-shaped": [f"{name} {shape}, not {expected}" for name, (shape, expected) in wrong_shapes.items()],
        "of a wrong type": [f"{name} {wrong}" for name, wrong in types.items()],
        # not of other shapes: a tensor of one value with stride 0 may claim more elements than memory holds
        "nan or infinite": [
            name for name in plain if name not in wrong_shapes and not _is_finite(tensors[name])
        ],
    }
    if types:
        fix = "use the float32 file that this one was made from, or convert its tensors by `tensor.float()`"
    _raise_misfits(path, misfits, fix, _other_classes(wrong_shapes, model.head_names))
    model.load_state_dict(state | tensors)


def _wrong_type(value: Tensor, expected: Tensor) -> str:
    """Describe a dtype or layout of `value` that cannot be loaded into `expected`; "" if there is none."""
    if value.layout != torch.strided:
        return f"{value.layout}"  # sparse
    if value.is_meta or value.is_nested:
        return "without plain values"
    allowed = _FLOATS if expected.dtype == torch.float32 else (expected.dtype,)
    return "" if value.dtype in allowed else f"{value.dtype}, not {expected.dtype}"


def _other_classes(shapes: Mapping[str, tuple[tuple[int, ...], ...]], heads: tuple[str, ...]) -> str:
    """Return "heads of 5 classes, not 3; " if only the numbers of outputs of the heads differ, else ""."""
    counts = {(shape[0], own[0]) for shape, own in shapes.values() if shape and shape[1:] == own[1:]}
    if len(counts) != 1 or not all(name.split(".", 1)[0] in heads for name in shapes):
        return ""
    [(count, expected)] = counts
    return f"heads of {count} classes, not {expected}; "


def _is_finite(value: Tensor) -> bool:
    return bool(torch.isfinite(value).all())


def _raise_misfits(path: Path, misfits: Mapping[str, list[str]], fix: str, summary: str = "") -> None:
    found = "; ".join(
        f"{len(names)} {kind}: {_first_names(names)}" for kind, names in misfits.items() if names
    )
    if found:
        raise UserError(path, summary + found, _FITTING, fix)


def _first_names(names: Iterable[str]) -> str:
    names = [shortened(name, 200) for name in names]
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
