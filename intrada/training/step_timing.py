"""Time of a training stage, from steps of its own training measured on this machine.

The measured steps are those of the stage: its network, method, optimizers, batch size, image sizes, threads
and precision, on images of noise. They are taken in REPEATS rounds over all stages, so that a short
disturbance does not hit one stage alone. On a CPU, a step that would take more than LONGEST seconds, or twice
whose memory is not free, is measured on smaller images, and its time is scaled by the number of pixels.

On a CPU that other programs use, the time of several threads is of no use: all wait for the one that does not
run, and a step takes up to 30 times as long. Then the processor time of one thread is measured, which the
other programs hardly change, and divided by the gain of the threads of the stage (`gain`).

Not included: the start of the stage (seconds), reading of images that takes longer than a step, snapshots and
checkpoints, and the communication between several devices.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median

import psutil
import torch

from intrada.core.config.schema import Params
from intrada.training.cost_estimate import Cost, build_trainer, noise_train_batch
from intrada.training.trainer import Trainer

LONGEST, QUICK = 5.0, 1.0  # seconds that one measured step should not exceed, for `estimate` and for others
REPEATS = 3  # rounds over the stages
TOTAL, MOST = 3.0, 21  # a stage is measured for at most these seconds or steps, but a step in each round
PROBE = (128, 64)  # largest size of the images of the first steps, whose time says how large they may be
MULTIPLE = 32  # of the sides of smaller images; the discriminators need at least 32 x 32 pixels
BUSY = 25  # percent of the processors that other programs use
GAIN = 0.6  # two threads are 2 ** 0.6 = 1.5 times as fast as one, measured with the trainings of the toy city

Sizes = Sequence[tuple[int, int]]


@dataclass(frozen=True)
class StageTime:
    """The estimated time of a stage.

    step: seconds of the median step, scaled to the images of the stage; low, high: the fastest and the
    slowest measured step as parts of the median; fraction: of the stage's pixels in the measured images.
    """

    iterations: int
    step: float
    low: float
    high: float
    fraction: float

    @property
    def seconds(self) -> float:
        """Of all iterations of the stage."""
        return self.iterations * self.step


def is_busy(device: torch.device) -> bool:
    """Return whether `device` is a CPU that other programs use. It observes them for half a second."""
    return device.type == "cpu" and psutil.cpu_percent(interval=0.5) > BUSY


def gain(threads: int) -> float:
    """Return how many times as fast as one thread `threads` threads are assumed to be on a free machine."""
    return float(min(threads, psutil.cpu_count() or 1) ** GAIN)


def measure_all(
    params: Params, costs: Sequence[Cost], device: torch.device, busy: bool, longest: float = LONGEST
) -> list[StageTime]:
    """Return the time of each stage of `costs`; takes a few seconds for each. busy: see the module.

    longest: seconds; a step that would take longer is measured on smaller images. UserError if the network
    cannot be built.
    """
    if not busy:
        return _measure(params, costs, device, longest, time.perf_counter, 1.0)
    with _one_thread():
        factor = gain(params.compute.threads)
        return _measure(params, costs, device, longest, time.process_time, factor)


def words(seconds: float) -> str:
    """Return a duration as text: `45 s`, `12 min`, `34.5 h`."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 2 * 3600 else f"{seconds / 3600:.1f} h"


def _measure(
    params: Params,
    costs: Sequence[Cost],
    device: torch.device,
    longest: float,
    clock: Callable[[], float],
    factor: float,
) -> list[StageTime]:
    """Return the time of each stage by `clock`, divided by `factor`."""
    stages = [_Stage(params, cost, device, longest, clock) for cost in costs]
    for _ in range(REPEATS):
        for stage in stages:
            stage.repeat()
    return [stage.time(factor) for stage in stages]


class _Stage:
    """The steps of one stage. sizes: of the images that are measured; taken: seconds of each step."""

    def __init__(
        self, params: Params, cost: Cost, device: torch.device, longest: float, clock: Callable[[], float]
    ) -> None:
        self.params, self.cost, self.clock = params, cost, clock
        self.trainer = build_trainer(params, getattr(params, cost.stage), device)
        self.sizes: Sizes = cost.sizes
        self.taken = list[float]()
        if device.type == "cpu":
            largest = max(map(_area, self.sizes))
            probe = _scaled(self.sizes, _area(PROBE) / largest)
            self._timed(probe)  # the first step of a process is slow
            expected = self._timed(probe) * _pixels(self.sizes) / _pixels(probe)
            fitting = _free() / 2 / (cost.weights + cost.activations)
            self.sizes = _scaled(self.sizes, min(longest / expected, fitting))
        self._timed(self.sizes)

    def repeat(self) -> None:
        """Measure some steps."""
        count, start = 0, time.perf_counter()
        while not count or (count < MOST // REPEATS and time.perf_counter() - start < TOTAL / REPEATS):
            self.taken.append(self._timed(self.sizes))
            count += 1

    def time(self, factor: float) -> StageTime:
        """Return the time of the stage from the median step, divided by `factor`."""
        middle, fraction = median(self.taken), _pixels(self.sizes) / _pixels(self.cost.sizes)
        step = middle / fraction / factor
        low, high = min(self.taken) / middle, max(self.taken) / middle
        return StageTime(self.cost.iterations, step, low, high, fraction)

    def _timed(self, sizes: Sizes) -> float:
        return _duration(self.trainer, self.params, self.cost.stage, sizes, self.clock)


def _duration(
    trainer: Trainer, params: Params, stage: str, sizes: Sizes, clock: Callable[[], float]
) -> float:
    device = next(trainer.networks.segmenter.parameters()).device
    batch = noise_train_batch(params, stage, sizes, device)
    has_labels = getattr(params, stage).has_labels
    trainer.iteration = 0  # the schedule of the learning rate ends at `max_iters`
    _wait(device)
    start = clock()
    trainer.step(batch, has_labels)
    _wait(device)
    return clock() - start


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


@contextmanager
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _scaled(sizes: Sizes, share: float) -> Sizes:
    """Return sizes with about `share` of the pixels, up to all; the sides are multiples of 32 pixels."""
    factor = math.sqrt(min(1, share))
    return [(_side(width, factor), _side(height, factor)) for width, height in sizes]


def _side(side: int, factor: float) -> int:
    return min(side, math.ceil(side * factor / MULTIPLE) * MULTIPLE)


def _area(size: tuple[int, int]) -> int:
    return size[0] * size[1]


def _pixels(sizes: Sizes) -> int:
    return sum(map(_area, sizes))


def _free() -> int:
    """Return the bytes of memory that programs may still use."""
    return int(psutil.virtual_memory().available)
