"""Inference on all devices of a stage at once: each has a process of its own and a part of the images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import torch

from intrada.core.config.schema import Compute
from intrada.core.distributed.device import acquire_devices, configure_torch
from intrada.core.distributed.launcher import Rank, spread
from intrada.core.stage import Context

# The params that inference reads of the block `compute`; the others concern trainings alone
INFERENCE = (
    "compute.device", "compute.devices", "compute.inference_threads", "compute.deterministic", "compute.tf32",
    "compute.precision",
)  # fmt: skip
Found = TypeVar("Found")


def on_every_device(
    compute: Compute, context: Context, work: Callable[..., Found], *arguments: object
) -> list[Found]:
    """What `work(part, device, *arguments, context)` returns on each of `compute.devices`, in their order.

    work: a function of a module; it, the arguments and the results are pickled for other processes. The
    first device's is done by this process, and its context's progress raises what another one fails of.
    """
    devices = acquire_devices(compute, compute.inference_threads)

    def own(rank: Rank, check: Callable[[], None]) -> Found:
        return work(rank, devices[0], *arguments, replace(context, check=check))

    return spread(len(devices), own, _there, work, compute, devices, arguments, context)


def _there(
    rank: Rank,
    work: Callable[..., Found],
    compute: Compute,
    devices: Sequence[torch.device],
    arguments: Sequence[Any],
    context: Context,
) -> Found:
    device = devices[rank.rank]
    configure_torch(compute, compute.inference_threads, device)
    return work(rank, device, *arguments, context)
