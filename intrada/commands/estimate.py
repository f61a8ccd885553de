"""Print an estimate of the memory and the hours that the trainings of a preset need on this machine."""

from __future__ import annotations

from typing import Annotated

from intrada.commands import preset, validate
from intrada.core.distributed.device import acquire_device
from intrada.core.stage import Argument
from intrada.training import cost_estimate

NOT_COUNTED = (
    "A lower bound: it does not include temporary memory (gradients in the backward pass, workspaces, "
    "the allocator's reserve, torch itself), reading of images, optimizer steps, scoring and evaluation."
)


def run(
    name: Annotated[str, Argument("name of a preset; default: params.yaml")],
) -> None:
    """Print a row for each training stage. It reads no data and writes no file."""
    chosen = validate.load(preset.find(name) if name else preset.ACTIVE)
    device = acquire_device(chosen.compute, chosen.compute.threads)
    costs = cost_estimate.estimate_all(chosen)
    throughput = cost_estimate.measured_throughput(chosen, device)
    print(f"{'stage':13} {'method':12} {'images':27} {'GiB':>7} {'TFLOP':>8} {'iterations':>10} {'hours':>9}")
    for cost in costs:
        images = " + ".join(f"{cost.batch_size} of {width}x{height}" for width, height in cost.sizes)
        print(
            f"{cost.stage:13} {cost.method:12} {images:27} {cost.gib:7.2f} {cost.flop / 1e12:8.3f} "
            f"{cost.iterations:10} {cost.hours(throughput):9.2f}"
        )
    threads = f", threads: {chosen.compute.threads}" if device.type == "cpu" else ""
    print(f"images, TFLOP: of one iteration; hours: at {throughput / 1e9:.0f} GFLOP/s ({device}{threads}).")
    print(NOT_COUNTED)
