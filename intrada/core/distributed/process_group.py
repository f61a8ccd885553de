"""Data-parallel process group of a training, on torch.distributed (see docs/decisions/0008).

With one process, all methods return their input without using torch.distributed.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from intrada.core.distributed.launcher import SINGLE_RANK, Rank

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class ProcessGroup:
    """Data-parallel process group of a training. stop: see launcher.start_processes.

    Gradients and losses are summed, so that N processes match one process with the same global batch. Its
    methods are collective: all processes must call them, in the same order.
    """

    rank: Rank = SINGLE_RANK
    stop: Any = field(default=None, compare=False)

    @property
    def is_distributed(self) -> bool:
        """Whether there is more than one process."""
        return self.rank.world_size > 1

    @property
    def is_main_process(self) -> bool:
        """Whether this process has rank 0. Only that process writes files."""
        return self.rank.rank == 0

    def sum(self, values: Tensor) -> Tensor:
        """Replace `values` by their sum over all processes, in place, and return them."""
        if self.is_distributed:
            torch.distributed.all_reduce(values)
        return values

    def gather(self, value: object) -> list[Any]:
        """Return the values of all processes, in the order of their ranks."""
        values: list[Any] = [value]
        if self.is_distributed:
            values = values * self.rank.world_size
            torch.distributed.all_gather_object(values, value)
        return values

    def fraction(self, mask: Tensor) -> Tensor:
        """Return this process's fraction, 0..1, of the True values in the masks of all processes.

        0 if no process has any. Scalar float32.
        """
        count = mask.sum().double()
        return (count / self.sum(count.clone()).clamp(min=1)).float()

    def total(self, summands: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the scalars by name, each summed over all processes."""
        if not self.is_distributed or not summands:
            return dict(summands)
        sums = self.sum(torch.stack([value.float() for value in summands.values()]))
        return dict(zip(summands, sums.unbind(), strict=True))

    def add_gradients(self, networks: Iterable[nn.Module]) -> None:
        """Set the gradients of `networks` to their sum over all processes, with one all-reduce."""
        if not self.is_distributed:
            return
        weights = [weight for network in networks for weight in network.parameters()]
        gradients = [weight.grad for weight in weights if weight.grad is not None]
        if gradients:
            sums = self.sum(torch.cat([gradient.flatten() for gradient in gradients]))
            pieces = torch.split(sums, [gradient.numel() for gradient in gradients])
            for gradient, piece in zip(gradients, pieces, strict=True):
                gradient.copy_(piece.view(gradient.shape))

    def agree(self, save: bool, signal: int | None, device: torch.device) -> tuple[bool, int | None]:
        """Return the main process's values: whether to save a checkpoint, and the signal to stop, if any."""
        if not self.is_distributed:
            return save, signal
        values = [int(save), self.stop.value] if self.is_main_process else [0, 0]
        save_all, number = self.sum(torch.tensor(values, device=device)).tolist()
        return bool(save_all), number or None


SINGLE_PROCESS = ProcessGroup()


def create_store() -> Any:
    """Return the TCPStore for the rendezvous of the processes; the parent process keeps it.

    It listens on the loopback address only, at a free port (`store.port`).
    """
    listener = socket.create_server((LOOPBACK, 0))
    port = listener.getsockname()[1]
    return torch.distributed.TCPStore(  # type: ignore[attr-defined]
        LOOPBACK, port, is_master=True, wait_for_workers=False, master_listen_fd=listener.detach()
    )


def join(rank: Rank, stop: Any, port: int, devices: list[torch.device]) -> ProcessGroup:
    """Initialise torch.distributed in this process; returns its group. Collective: waits for all ranks.

    port: of the store from `create_store`. devices: one for each rank. The backend is NCCL for CUDA devices,
    gloo for the CPU. stop: see launcher.start_processes.
    """
    if sys.platform == "linux":
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")  # all processes run on this machine
    device = devices[rank.rank]
    on_cuda = device.type == "cuda"
    torch.distributed.init_process_group(
        "nccl" if on_cuda else "gloo",
        store=torch.distributed.TCPStore(LOOPBACK, port),  # type: ignore[attr-defined]
        rank=rank.rank,
        world_size=rank.world_size,
        device_id=device if on_cuda else None,
    )
    return ProcessGroup(rank, stop)


def leave() -> None:
    """Destroy the process group that `join` created."""
    torch.distributed.destroy_process_group()
