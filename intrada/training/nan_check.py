"""Stop training on the first nan or infinity and report the images of that batch."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import chain

import torch
from torch import Tensor, nn

from intrada.core.distributed.process_group import ProcessGroup
from intrada.core.errors import UserError


class LossCheck:
    """Finds losses that are nan or infinite, some iterations later.

    To read a loss, the processor waits for the GPU. So the losses stay on their device until `look`, which
    copies all of them at once.
    """

    def __init__(self, process_group: ProcessGroup) -> None:
        self.process_group = process_group
        self._unread: list[tuple[int, Mapping[str, Tensor], Sequence[str]]] = []

    def add(self, iteration: int, losses: Mapping[str, Tensor], ids: Sequence[str]) -> None:
        """Keep the losses of an iteration, scalars by name, and the ids of the images of its batch."""
        if losses:
            self._unread.append((iteration, losses, ids))

    def look(self) -> None:
        """Raise UserError for the first iteration since the last look with a nan or an infinity.

        Collective if there is one: all processes have the same losses, but each has its own ids.
        """
        unread, self._unread = self._unread, []
        if not unread:
            return
        scalars = torch.stack([value.double() for _, losses, _ in unread for value in losses.values()])
        values = iter(scalars.tolist())
        for iteration, losses, ids in unread:
            by_name = dict(zip(losses, values, strict=False))
            if not all(map(math.isfinite, by_name.values())):
                raise _error(f"losses {by_name}", iteration, ids, self.process_group)


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
