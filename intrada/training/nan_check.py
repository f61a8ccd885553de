"""Stop training on the first nan or infinity and report the images of that batch."""

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
    """Raise UserError if a loss of this iteration is nan or infinite.

    losses: scalars by name; ids: the ids of the images of the batch, which the error lists.
    """
    values = {name: float(value) for name, value in losses.items()}
    if not all(math.isfinite(value) for value in values.values()):
        raise _error(f"losses {values}", iteration, ids, process_group)


def check_weights(
    networks: Mapping[str, nn.Module], iteration: int, ids: Sequence[str], process_group: ProcessGroup
) -> None:
    """Raise UserError if a parameter or buffer of the networks is nan or infinite.

    An optimizer step can produce such weights from finite losses. A run cannot continue from a checkpoint
    with them. Collective: all processes raise if any of them holds such a tensor.
    """
    not_finite = [
        f"{net}.{name}"
        for net, module in networks.items()
        for name, value in module.state_dict().items()
        if not bool(torch.isfinite(value).all())
    ]
    if names := list(dict.fromkeys(chain(*process_group.gather(not_finite)))):
        what = f"{len(names)} tensors with nan or infinite weights, first {names[0]}, after the step"
        raise _error(what, iteration, ids, process_group)


def _error(what: str, iteration: int, ids: Sequence[str], process_group: ProcessGroup) -> UserError:
    return UserError(
        f"iteration {iteration}",
        f"{what} on the images {', '.join(chain(*process_group.gather(ids)))}",
        "finite losses and weights",
        "check these images and labels, or lower optimizer.lr; the last checkpoint is kept",
    )
