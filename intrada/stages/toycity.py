"""Draw the toy city: source in the layout of GTA5, target in the layout of Cityscapes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from intrada.core import files
from intrada.core.config.schema import Params
from intrada.core.errors import UserError
from intrada.core.stage import Choice, Context, Out
from intrada.data.datasets import toycity

READS = ("toycity.{domain}",)


def run(
    params: Params,
    domain: Annotated[str, Choice("which of the two to draw", ("source", "target"))],
    out: Annotated[Path, Out("folder of the generated dataset")],
    table: Annotated[Path, Out("what was drawn (CSV): image, split, severity in 0..1, condition")],
    context: Context,
) -> None:
    """The same seed draws the same bytes."""
    source, target = getattr(params.toycity, "source", None), getattr(params.toycity, "target", None)
    block = source or target
    if block is None:
        found = f"toycity.{domain} is not in the params"
        raise UserError(
            "params.yaml", found, "a block with root, seed, numbers and size", "see presets/toycity.yaml"
        )
    with files.atomic_folder(out) as folder:
        how = (block.size, context.workers, context.progress)
        if source:
            drawn = toycity.write_source(folder, source.seed, source.images, *how)
        elif target:
            drawn = toycity.write_target(folder, target.seed, target.train, target.val, *how)
    files.write_csv(table, drawn)
