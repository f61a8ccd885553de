"""Weights of an encoder from a file of the user's, with the names of the package that the encoder is from.

A safetensors file without this project's metadata, or a PyTorch file of tensors by name. The names may have
a prefix: files of whole segmentation networks call the encoder `backbone.`, and their other tensors are
left out.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

import safetensors
from safetensors.torch import load_file
from torch import Tensor

from intrada.core.errors import UserError
from intrada.core.files import refuse_special, unreadable
from intrada.models import weights
from intrada.models.base import SegmentationModel

PREFIXES = ("backbone.", "encoder.")
_FILE = "a safetensors file, or a PyTorch file that holds a plain mapping of names to tensors"
_FIX = "use a file of this encoder, or set model.options.encoder to that of the file"
Adapt = Callable[[str, Tensor, Tensor], Tensor]


def is_encoder_file(path: Path, segmenter: SegmentationModel) -> bool:
    """Return whether the file holds an encoder only, and not a network of this project with its heads."""
    if path.suffix != weights.SUFFIX:
        heads = tuple(f"{head}." for head in segmenter.head_names)
        return not any(name.startswith(heads) for name in weights.read_torch(path))
    refuse_special(path, _FILE)
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            return "intrada" not in (file.metadata() or {})
    except (MemoryError, OSError, RuntimeError, safetensors.SafetensorError) as error:
        raise unreadable(path, error, _FILE) from error


def read(path: Path, prefixes: Sequence[str] = PREFIXES) -> dict[str, Tensor]:
    """Return the tensors of the file by name, without the first of `prefixes` that a name has.

    If there is one, the tensors without it are left out. Raises UserError if the file cannot be read.
    """
    if path.suffix == weights.SUFFIX:
        try:
            tensors: dict[str, Tensor] = load_file(path)
        except Exception as error:  # a dtype that this version of torch or safetensors does not support
            raise unreadable(path, error, _FILE) from error
    else:
        tensors = weights.read_torch(path)
    for prefix in prefixes:
        if any(name.startswith(prefix) for name in tensors):
            return {
                name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)
            }
    return tensors


def load(
    path: Path,
    segmenter: SegmentationModel,
    tensors: Mapping[str, Tensor],
    unused: Collection[str] = (),
    adapt: Adapt = lambda name, found, own: found,
) -> None:
    """Load `tensors`, by the encoder's own names, into `segmenter.encoder`. The heads keep their values.

    path: of the file, for errors; unused: the names of further layers of the whole classifier, which the file
    may have; adapt(name, found, own): returns `found` in the shape of `own` if it can be converted.
    Raises UserError, which lists the tensors that are missing, unexpected or of another shape.
    """
    state = segmenter.state_dict()
    found = {f"encoder.{name}": value for name, value in tensors.items() if name not in unused}
    if not found.keys() & state.keys():
        names = ", ".join(sorted(tensors)[:3])
        raise UserError(path, f"no tensor of this encoder; it has {names}", "the encoder's own names", _FIX)
    fitted = {
        name: adapt(name, value, state[name]) if name in state else value for name, value in found.items()
    }
    weights.load_tensors(path, segmenter, fitted, lambda name: _may_be_missing(name, segmenter), _FIX)


def _may_be_missing(name: str, segmenter: SegmentationModel) -> bool:
    return name.split(".", 1)[0] in segmenter.head_names or name.endswith("num_batches_tracked")
