"""Weight files: our own (safetensors), and the published PyTorch checkpoints in and out.

A file fits a model when it holds every tensor of its state dict in the right shape, no other, and only
finite values; what does not fit is listed by name. No file is unpickled beyond plain tensors.
"""

from __future__ import annotations

import io
import json
import pickle
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
from intrada.models.base import Segmenter

SUFFIX = ".safetensors"
# safetensors writes its metadata in random order; one entry of sorted JSON makes equal files equal.
_METADATA = "intrada"
_OURS = "a safetensors file written by this project"
_PUBLISHED = "a PyTorch file that holds a plain mapping of names to tensors"


def save_model(path: Path, model: nn.Module, metadata: Mapping[str, str]) -> None:
    """Write the state dict of `model` and `metadata` (text) to a safetensors file, atomically.

    The same values give the same bytes. UserError if a value is nan or infinite: nothing is written.
    """
    tensors = {name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}
    _refuse(path, {"nan or infinite": _not_finite(tensors)}, "lower the learning rate; the old file stands")
    header = {_METADATA: json.dumps(dict(metadata), sort_keys=True)}
    files.write_bytes(path, save(tensors, header))


def load_model(path: Path, model: nn.Module) -> dict[str, str]:
    """Read a file of `save_model` into `model`, exactly; returns its metadata. UserError if it does not."""
    metadata = read_metadata(path)
    _fill(path, model, load_file(path), may_lack=lambda name: False)
    return metadata


def read_metadata(path: Path) -> dict[str, str]:
    """The metadata that `save_model` was given; the tensors are not read."""
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
    except (OSError, safetensors.SafetensorError) as error:
        raise unreadable(path, error, _OURS) from error
    if _METADATA not in header:
        raise unreadable(path, "safetensors without this project's metadata", _OURS)
    try:
        metadata: dict[str, str] = json.loads(header[_METADATA])
    except ValueError as error:
        raise unreadable(path, f"metadata that are no JSON ({error})", _OURS) from error
    return metadata


def load_published(path: Path, model: Segmenter) -> None:
    """Read a published checkpoint into `model`, as the published code does. UserError if it does not fit.

    A plain checkpoint (AdaptSegNet, AdvEnt, IntraDA) must hold the whole model. ImageNet weights fill
    the backbone and leave the heads as they are: the published ResNet-101 prefixes its names with
    `Scale.` and its layer5 is another classifier; torchvision's own files hold `fc`. Files older than
    torch 0.4.1 lack the batch counters, which this model does not use.
    """
    tensors = _read_torch(path)
    heads = tuple(f"{head}." for head in model.head_names)
    imagenet = "fc.weight" in tensors or any(name.startswith("Scale.") for name in tensors)
    if imagenet:
        plain = {name.removeprefix("Scale."): value for name, value in tensors.items()}
        tensors = {name: value for name, value in plain.items() if not name.startswith((*heads, "fc."))}

    def may_lack(name: str) -> bool:
        return name.endswith("num_batches_tracked") or (imagenet and name.startswith(heads))

    _fill(path, model, tensors, may_lack)


def export_published(path: Path, model: Segmenter) -> None:
    """Write the state dict of `model` as a plain PyTorch checkpoint, atomically.

    A DeepLab-v2 can be read by the published code, and by `load_published` with equal bits.
    """
    tensors = {name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}
    # torch.save puts the name of a path, here a random one, into the file; not that of a handle.
    data = io.BytesIO()
    torch.save(tensors, data)
    files.write_bytes(path, data.getvalue())


def load_weights(path: Path, model: Segmenter) -> None:
    """Read either kind of file into `model`, told apart by the suffix `.safetensors`."""
    if path.suffix == SUFFIX:
        load_model(path, model)
    else:
        load_published(path, model)


def _read_torch(path: Path) -> dict[str, Tensor]:
    try:
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


def _fill(path: Path, model: nn.Module, tensors: dict[str, Tensor], may_lack: Callable[[str], bool]) -> None:
    own = model.state_dict()
    shapes = {
        name: (tuple(value.shape), tuple(own[name].shape)) for name, value in tensors.items() if name in own
    }
    misfits = {
        "missing": [name for name in own if name not in tensors and not may_lack(name)],
        "unexpected": [name for name in tensors if name not in own],
        "mis-shaped": [f"{name} {found}, not {due}" for name, (found, due) in shapes.items() if found != due],
        "nan or infinite": _not_finite(tensors),
    }
    fix = "name the file of this model and of these `classes`, or the model of this file"
    _refuse(path, misfits, fix)
    model.load_state_dict(own | tensors)


def _not_finite(tensors: Mapping[str, Tensor]) -> list[str]:
    return [name for name, value in tensors.items() if not bool(torch.isfinite(value).all())]


def _refuse(path: Path, misfits: Mapping[str, list[str]], fix: str) -> None:
    found = "; ".join(f"{len(names)} {kind}: {_some(names)}" for kind, names in misfits.items() if names)
    if found:
        raise UserError(path, found, "each tensor of the model in its shape, finite", fix)


def _some(names: Iterable[str]) -> str:
    names = list(names)
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
