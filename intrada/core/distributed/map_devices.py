"""Inference on all devices of a stage at once: each has a process of its own and a part of the images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import torch

from intrada.core.config.schema import Compute
from intrada.core.distributed.device import prepare_all, settle
from intrada.core.distributed.launcher import Part, spread
from intrada.core.stage import Context

Found = TypeVar("Found")


def on_every_device(
    compute: Compute, context: Context, work: Callable[..., Found], *arguments: object
) -> list[Found]:
    """What `work(part, device, *arguments, context)` returns on each of `compute.devices`, in their order.

    work: a function of a module; it, the arguments and the results are pickled for other processes. The
    first device's is done by this process, and its context's progress raises what another one fails of.
    """
    devices = prepare_all(compute, compute.inference_threads)

    def own(part: Part, check: Callable[[], None]) -> Found:
        return work(part, devices[0], *arguments, replace(context, check=check))

    return spread(len(devices), own, _there, work, compute, devices, arguments, context)


def _there(
    part: Part,
    work: Callable[..., Found],
    compute: Compute,
    devices: Sequence[torch.device],
    arguments: Sequence[Any],
    context: Context,
) -> Found:
    device = devices[part.number]
    settle(compute, compute.inference_threads, device)
    return work(part, device, *arguments, context)
