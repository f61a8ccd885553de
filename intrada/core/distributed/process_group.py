"""The processes that train together: what each holds of a batch adds up to what one would hold.

Their collective operations are torch.distributed's, set up by Lightning Fabric: see docs/decisions/0008.
A training of one process touches none of it.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn

from intrada.core.distributed.launcher import WHOLE, Part
from intrada.core.errors import UserError


@dataclass(frozen=True)
class World:
    """All processes of a training. part: which of them this one is; stop: see processes.started.

    Its methods are collective: all processes call them, in the same order.
    """

    part: Part = WHOLE
    stop: Any = field(default=None, compare=False)

    @property
    def alone(self) -> bool:
        """Whether there is no other."""
        return self.part.total == 1

    @property
    def first(self) -> bool:
        """Whether this process is the one that writes."""
        return self.part.number == 0

    def sum(self, values: Tensor) -> Tensor:
        """The sum of all processes' `values`, in their place."""
        if not self.alone:
            torch.distributed.all_reduce(values)
        return values

    def gather(self, value: object) -> list[Any]:
        """The values of all processes, in the order of their numbers."""
        found: list[Any] = [value]
        if not self.alone:
            found = found * self.part.total
            torch.distributed.all_gather_object(found, value)
        return found

    def share(self, counted: Tensor) -> Tensor:
        """This process's share, 0..1, of all that is True in the processes' masks; 0 where nothing is."""
        count = counted.sum().double()
        return (count / self.sum(count.clone()).clamp(min=1)).float()

    def total(self, parts: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Scalars by name, each the sum over all processes."""
        if self.alone or not parts:
            return dict(parts)
        sums = self.sum(torch.stack([value.float() for value in parts.values()]))
        return dict(zip(parts, sums.unbind(), strict=True))

    def add_gradients(self, networks: Iterable[nn.Module]) -> None:
        """Give every parameter of `networks` the sum of all processes' gradients, in one message."""
        if self.alone:
            return
        weights = [weight for network in networks for weight in network.parameters()]
        gradients = [weight.grad for weight in weights if weight.grad is not None]
        if gradients:
            sums = self.sum(torch.cat([gradient.flatten() for gradient in gradients]))
            pieces = torch.split(sums, [gradient.numel() for gradient in gradients])
            for gradient, piece in zip(gradients, pieces, strict=True):
                gradient.copy_(piece.view(gradient.shape))

    def decided(self, due: bool, signal: int | None, device: torch.device) -> tuple[bool, int | None]:
        """The first process's word: whether a checkpoint is due, and the signal that has asked to stop."""
        if self.alone:
            return due, signal
        said = [int(due), self.stop.value] if self.first else [0, 0]
        due_for_all, number = self.sum(torch.tensor(said, device=device)).tolist()
        return bool(due_for_all), number or None


ALONE = World()


def require() -> None:
    """UserError where the library that sets up torch.distributed is not installed."""
    if find_spec("lightning_fabric") is None:
        raise UserError(
            "compute.devices",
            "several devices, but the package lightning_fabric is not installed",
            "an environment with the extra `distributed`",
            "pip install lightning-fabric, or set compute.devices to 1",
        )


def meeting_point() -> Any:
    """The store at which the processes find each other, kept by the process that starts them.

    The system chooses its port, as it does for torchrun: none can be taken in the meantime.
    """
    from torch.distributed import TCPStore  # type: ignore[attr-defined]

    return TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)


def join(part: Part, stop: Any, port: int, devices: list[torch.device]) -> World:
    """Take this process's place among those that meet at `port`, each on its own one of `devices`."""
    from lightning_fabric import Fabric
    from lightning_fabric.plugins.environments.lightning import LightningEnvironment

    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # which it sets as it is imported
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "LOCAL_RANK": str(part.number)}
    os.environ["TORCHELASTIC_USE_AGENT_STORE"] = str(True)  # the store is there already
    if sys.platform == "linux":
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")  # all processes are on this machine
    kind = devices[0].type
    # the environment is named, or one that a cluster's variables suggest would be taken
    fabric = Fabric(
        accelerator=kind,
        devices=part.total if kind == "cpu" else [device.index for device in devices],
        strategy="ddp",
        plugins=[LightningEnvironment()],
    )
    fabric.launch()
    return World(part, stop)


def leave() -> None:
    """End what `join` has begun."""
    torch.distributed.destroy_process_group()
