"""A training stops at the first number that is none, with the images named that it came from."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import chain

import torch
from torch import Tensor, nn

from intrada.core.distributed.process_group import ProcessGroup
from intrada.core.errors import UserError


def check_losses(
    losses: Mapping[str, Tensor], iteration: int, ids: Sequence[str], process_group: ProcessGroup
) -> None:
    """UserError if one of the losses of iteration `done` on the images `ids` is nan or infinite."""
    values = {name: float(value) for name, value in losses.items()}
    if not all(math.isfinite(value) for value in values.values()):
        raise _stopped(f"losses {values}", iteration, ids, process_group)


def check_weights(
    networks: Mapping[str, nn.Module], iteration: int, ids: Sequence[str], process_group: ProcessGroup
) -> None:
    """The same of weights: a step can spoil them after finite losses, and a checkpoint of them never goes on.

    Collective: an error in one process of the group stops all.
    """
    found = [
        f"{net}.{name}"
        for net, module in networks.items()
        for name, value in module.state_dict().items()
        if not bool(torch.isfinite(value).all())
    ]
    if bad := list(dict.fromkeys(chain(*process_group.gather(found)))):
        what = f"{len(bad)} tensors of nan or infinite weights, {bad[0]} the first, after a step"
        raise _stopped(what, iteration, ids, process_group)


def _stopped(found: str, iteration: int, ids: Sequence[str], process_group: ProcessGroup) -> UserError:
    return UserError(
        f"iteration {iteration}",
        f"{found} on the images {', '.join(chain(*process_group.gather(ids)))}",
        "finite losses and weights",
        "look at these images and labels, or lower optimizer.lr; the last checkpoint is kept",
    )
