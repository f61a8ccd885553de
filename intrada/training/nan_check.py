"""A training stops at the first number that is none, with the images named that it came from."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import chain

import torch
from torch import Tensor, nn

from intrada.core.distributed.process_group import World
from intrada.core.errors import UserError


def check_losses(losses: Mapping[str, Tensor], done: int, ids: Sequence[str], world: World) -> None:
    """UserError if one of the losses of iteration `done` on the images `ids` is nan or infinite."""
    values = {name: float(value) for name, value in losses.items()}
    if not all(math.isfinite(value) for value in values.values()):
        raise _stopped(f"losses {values}", done, ids, world)


def check_weights(nets: Mapping[str, nn.Module], done: int, ids: Sequence[str], world: World) -> None:
    """The same of weights: a step can spoil them after finite losses, and a checkpoint of them never goes on.

    All processes of `world` ask at once, since what one finds stops all.
    """
    found = [
        f"{net}.{name}"
        for net, module in nets.items()
        for name, value in module.state_dict().items()
        if not bool(torch.isfinite(value).all())
    ]
    if bad := list(dict.fromkeys(chain(*world.gather(found)))):
        what = f"{len(bad)} tensors of nan or infinite weights, {bad[0]} the first, after a step"
        raise _stopped(what, done, ids, world)


def _stopped(found: str, done: int, ids: Sequence[str], world: World) -> UserError:
    return UserError(
        f"iteration {done}",
        f"{found} on the images {', '.join(chain(*world.gather(ids)))}",
        "finite losses and weights",
        "look at these images and labels, or lower optimizer.lr; the last checkpoint is kept",
    )
