"""Draw the toy city dataset: source in the layout of GTA5, target in the layout of Cityscapes."""

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
    domain: Annotated[str, Choice("the domain to draw", ("source", "target"))],
    out: Annotated[Path, Out("folder of the generated dataset", raw=True)],
    table: Annotated[
        Path, Out("one row per image (CSV): image, split, severity in 0..1, condition", raw=True)
    ],
    context: Context,
) -> None:
    """Draw one domain; the same seed gives the same bytes. UserError if the params lack its block."""
    source, target = getattr(params.toycity, "source", None), getattr(params.toycity, "target", None)
    block = source or target
    if block is None:
        actual = f"toycity.{domain} is not in the params"
        raise UserError(
            "params.yaml", actual, "a block with root, seed, numbers and size", "see presets/toycity.yaml"
        )
    with files.atomic_folder(out) as folder:
        options = (block.size, context.workers, context.progress)
        if source:
            drawn = toycity.write_source(folder, source.seed, source.images, *options)
        elif target:
            drawn = toycity.write_target(folder, target.seed, target.train, target.val, *options)
    files.write_csv(table, drawn)
