"""Inference on all devices of a stage: one process for each device, each with a part of the images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import torch

from intrada.core.config.compute_block import Compute
from intrada.core.distributed.device import acquire_devices, configure_torch
from intrada.core.distributed.launcher import Rank, run_on_ranks
from intrada.core.stage import Context

# The keys of `compute` that inference reads; only trainings read the others
INFERENCE = (
    "compute.device", "compute.devices", "compute.inference_threads", "compute.deterministic", "compute.tf32",
    "compute.precision",
)  # fmt: skip
Result = TypeVar("Result")


def map_devices(
    compute: Compute, context: Context, work: Callable[..., Result], *arguments: object
) -> list[Result]:
    """Return `work(rank, device, *arguments, context)` for each of `compute.devices`, in their order.

    work: a module-level function; it, the arguments and the results are pickled for other processes. This
    process uses the first device; its context's `progress` raises the error of another process.
    """
    devices = acquire_devices(compute, compute.inference_threads)

    def work_here(rank: Rank, check: Callable[[], None]) -> Result:
        return work(rank, devices[0], *arguments, replace(context, check=check))

    return run_on_ranks(len(devices), work_here, _work_in_child, work, compute, devices, arguments, context)


def _work_in_child(
    rank: Rank,
    work: Callable[..., Result],
    compute: Compute,
    devices: Sequence[torch.device],
    arguments: Sequence[Any],
    context: Context,
) -> Result:
    device = devices[rank.rank]
    configure_torch(compute, compute.inference_threads, device)
    return work(rank, device, *arguments, context)
