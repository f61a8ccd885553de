"""Print an estimate of the memory and the time that the trainings of a preset need on this machine."""

from __future__ import annotations

from typing import Annotated

from intrada.commands import preset, validate
from intrada.core.distributed.device import acquire_device
from intrada.core.plain_text import say
from intrada.core.stage import Argument
from intrada.pipeline import run_progress
from intrada.training import cost_estimate, step_timing
from intrada.training.step_timing import StageTime

NOT_COUNTED = """\
GiB: a lower bound, without temporary memory (gradients in the backward pass, workspaces, the reserve of the
allocator, torch itself). time: without the start of a stage (seconds), reading of images that takes longer
than a step, checkpoints and snapshots, scoring and evaluation."""


def run(
    name: Annotated[str, Argument("name of a preset; default: params.yaml")],
) -> None:
    """Print a row for each training stage. It reads no data.

    The times of params.yaml are kept for the progress of a run, which knows no speed before its first stage.
    """
    chosen = validate.load(preset.find(name) if name else preset.ACTIVE)
    threads = chosen.compute.threads
    device = acquire_device(chosen.compute, threads)
    busy = step_timing.is_busy(device)
    costs = cost_estimate.estimate_all(chosen)
    times = step_timing.measure_all(chosen, costs, device, busy)
    if not name:
        seconds = {cost.stage: taken.seconds for cost, taken in zip(costs, times, strict=True)}
        run_progress.keep_estimate(seconds, chosen)
    say(
        f"{'stage':13} {'method':12} {'images':31} {'GiB':>7} {'TFLOP':>8} {'iterations':>10} {'GFLOP/s':>8} "
        f"{'time':>8}"
    )
    for cost, taken in zip(costs, times, strict=True):
        images = " + ".join(f"{cost.batch_size} of {width}x{height}" for width, height in cost.sizes)
        say(
            f"{cost.stage:13} {cost.method:12} {images:31} {cost.gib:7.2f} {cost.flop / 1e12:8.3f} "
            f"{cost.iterations:10} {cost.flop / taken.step / 1e9:8.0f} {step_timing.words(taken.seconds):>8}"
        )
    place = f"{device}, threads: {threads}" if device.type == "cpu" else f"{device}"
    say(*f"images, TFLOP: of one iteration. {_basis(times)} ({place}).".splitlines())
    if busy:
        gain = f", divided by {step_timing.gain(threads):.1f} for {threads} threads" if threads > 1 else ""
        say(f"Other programs use this machine: the times are processor times of one thread{gain}.")
        say("They hold for a free machine, and are less exact than times measured on one.")
    say(*NOT_COUNTED.splitlines())


def _basis(times: list[StageTime]) -> str:
    """Say what the times are measured on, and how far single steps are apart."""
    low, high = min(taken.low for taken in times), max(taken.high for taken in times)
    fraction = min(taken.fraction for taken in times)
    smaller = "" if fraction == 1 else f" on images of {fraction:.1%} of the pixels"
    return (
        f"time: of all iterations, by steps measured{smaller}.\n"
        f"Single steps took {low:.2f} to {high:.2f} times as long as the median"
    )
