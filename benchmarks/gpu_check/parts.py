"""The parts of the check: each measures something on a device and says which figures must be how large."""

from __future__ import annotations

import statistics
import sys
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks import bf16, timing
from benchmarks.baseline_training import AdvEnt
from benchmarks.rows import advent_iteration_cuda
from benchmarks.rows.advent_memory import resident
from benchmarks.streets import context, preprocessed, resized, temporary_folder, write_cityscapes
from intrada.core import children
from intrada.core.config.load import load
from intrada.core.config.schema import Params
from intrada.core.distributed.device import acquire_device
from intrada.data.train_batches import TrainBatch
from intrada.evaluation import evaluator
from intrada.inference.predictor import Predictor, for_inference
from intrada.inference.scoring import score
from intrada.models import build_model
from intrada.training import cost_estimate
from intrada.training.trainer import Trainer

PRESET, STAGE = Path("presets/gta5_to_cityscapes.yaml"), "train_inter"
SMALL = (64, 32)  # width, height
# The files with tests marked `cuda`; a search through all tests would take half of the time of the part
TESTS = ("tests/test_gpu.py", "tests/data/test_photometric.py", "tests/core/distributed/test_device.py")
LOCKED = "from benchmarks.gpu_check.parts import locked_step; locked_step({device!r}, {small})"


@dataclass(frozen=True)
class Figure:
    """A row of the table. bar: what `value` must be, "" if nothing is demanded; passed: whether it is."""

    name: str
    value: float
    unit: str
    bar: str = ""
    passed: bool = True


@dataclass(frozen=True)
class Setting:
    """Where and at which size to measure. small: tiny images, few repetitions, and no bars on speed."""

    device: str
    small: bool

    def params(self, **compute: object) -> Params:
        """Return the published experiment on this device; compute: keys of the block `compute`."""
        params = resized(load(PRESET), SMALL) if self.small else load(PRESET)
        changes = {"device": self.device, "channels_last": True, **compute}
        return params.model_copy(update={"compute": params.compute.model_copy(update=changes)})

    def of_small_network(self, params: Params) -> Params:
        """Return params with a small network if images are small: that of the paper compiles for minutes."""
        model = params.model.model_copy(update={"name": "small", "options": {}})
        return params.model_copy(update={"model": model}) if self.small else params

    @property
    def precision(self) -> str:
        """The fastest precision: bfloat16, except on a CPU, which may emulate it."""
        return "bf16" if self.device == "cuda" else "float32"

    def bar(self, name: str, value: float, unit: str, bar: str, passed: bool) -> Figure:
        """Return a figure whose bar does not count for small images."""
        return Figure(name, value, unit, "" if self.small else bar, self.small or passed)


def measure(part: str, setting: Setting) -> dict[str, Any]:
    """Return the figures of a part of PARTS, for JSON."""
    return {"rows": [asdict(row) for row in PARTS[part](setting)]}


def tests(setting: Setting) -> list[Figure]:
    """Run the tests marked `cuda`, among them those of the golden values in float32 and bfloat16."""
    with temporary_folder() as folder:
        report = folder.absolute() / "tests.xml"
        root = Path(__file__).parents[2]
        command = [sys.executable, "-m", "pytest", "-m", "cuda", "-p", "no:cacheprovider", *TESTS]
        done = children.run([*command, f"--junitxml={report}"], root, capture=True)
        if not report.exists():
            raise RuntimeError(done.stdout)
        suites = ElementTree.parse(report).getroot().iter("testsuite")  # noqa: S314  # pytest wrote it
        counts = dict.fromkeys(("tests", "failures", "errors", "skipped"), 0)
        for suite in suites:
            counts = {key: count + int(suite.get(key, 0)) for key, count in counts.items()}
    failed = counts["failures"] + counts["errors"]
    if failed:
        print(done.stdout, file=sys.stderr)
    skipped = counts["skipped"]
    return [
        Figure("ran", counts["tests"] - skipped, "tests"),
        Figure("failed", failed, "tests", "0", failed == 0),
        Figure("skipped", skipped, "tests", "0 with a GPU", skipped == 0 or setting.device == "cpu"),
    ]


def iteration(setting: Setting) -> list[Figure]:
    """Compare an AdvEnt iteration with that of the baseline, which computes in float32."""
    params = setting.params(precision=setting.precision)
    warm_up, times = (1, 1) if setting.small else (3, 20)
    tolerance = bf16.TOLERANCE if setting.precision == "bf16" else 1e-3
    ours, theirs = advent_iteration_cuda.seconds(params, warm_up, times, tolerance)
    ratio = theirs / ours
    return [
        Figure(f"AdvEnt iteration in {setting.precision}", 1000 * ours, "ms"),
        Figure("AdvEnt iteration of the baseline", 1000 * theirs, "ms"),
        setting.bar("baseline / ours", ratio, "", "at least 4", ratio >= 4),
    ]


def compiled(setting: Setting) -> list[Figure]:
    """Compare an iteration with and without torch.compile, on images of noise."""
    rows, times = [], dict[bool, float]()
    for switch in (False, True):
        params = setting.of_small_network(setting.params(precision=setting.precision, compile=switch))
        trainer = started(params)
        batch = noise(params, trainer)
        first = timing.seconds(lambda: synchronised(trainer, batch))  # noqa: B023  # it is called at once
        times[switch] = step_seconds(trainer, batch, 2 if setting.small else 15)
        words = "with" if switch else "without"
        rows.append(Figure(f"first iteration {words} compile", first, "s"))
        rows.append(Figure(f"iteration {words} compile", 1000 * times[switch], "ms"))
    rows.append(Figure("without / with compile", times[False] / times[True], ""))
    if not setting.small:
        theirs = baseline_seconds(setting.params(), 8)
        rows.append(Figure("baseline / ours with compile", theirs / times[True], ""))
    return rows


def deterministic(setting: Setting) -> list[Figure]:
    """Measure what `compute.deterministic` costs, and that two runs then give the same bits."""
    times, ends = dict[bool, float](), list[Tensor]()
    for switch in (False, True, True):
        params = setting.of_small_network(setting.params(precision=setting.precision, deterministic=switch))
        torch.manual_seed(0)
        trainer = started(params)
        batch = noise(params, trainer)
        times[switch] = step_seconds(trainer, batch, 2 if setting.small else 10)
        if switch:
            ends.append(torch.cat([weight.flatten() for weight in trainer.networks.segmenter.parameters()]))
    same = torch.equal(*ends)
    return [
        Figure("iteration", 1000 * times[False], "ms"),
        Figure("deterministic iteration", 1000 * times[True], "ms"),
        Figure("deterministic / not", times[True] / times[False], ""),
        Figure("two runs have the same bits", float(same), "", "1", same),
    ]


def memory(setting: Setting) -> list[Figure]:
    """Compare the peak of the memory over two iterations in float32 with `estimate`."""
    params = setting.params(precision="float32")
    estimated = cost_estimate.estimate_stage(params, STAGE).gib
    before = resident("VmRSS") / 1024
    trainer = started(params)
    batch = noise(params, trainer)
    for _ in range(2):
        synchronised(trainer, batch)
    on_gpu = setting.device == "cuda"
    peak = torch.cuda.max_memory_allocated() / 2**30 if on_gpu else resident("VmHWM") / 1024 - before
    ratio = estimated / peak
    return [
        Figure("peak of an AdvEnt iteration in float32", peak, "GiB"),
        Figure("estimate", estimated, "GiB"),
        setting.bar("estimate / peak", ratio, "", "0.8 to 1.2", 0.8 <= ratio <= 1.2),
    ]


def inference(setting: Setting) -> list[Figure]:
    """Measure how many images of Cityscapes a second are scored and evaluated, with the reading of files."""
    params = setting.of_small_network(setting.params(precision=setting.precision))
    device, classes = acquire_device(params.compute, 1), params.class_set
    network = build_model(params.model.name, len(classes), params.model.options)
    in_bf16 = setting.precision == "bf16"
    predictor = Predictor([for_inference(network, device)], bf16=in_bf16)
    with temporary_folder() as folder:
        images = len(write_cityscapes(folder / "raw", 1 if setting.small else 6, "val"))
        index = preprocessed(params, "val", folder / "raw", folder)
        outs = folder / "predictions", folder / "confidence"
        for out in outs:
            out.mkdir()
        own, size = context(folder), params.score.batch_size

        def scored() -> object:
            return score(predictor, index, size, outs, classes, device, own)

        def evaluated() -> object:
            return evaluator.measure([predictor], index, params.evaluate.batch_size, device, own)

        figures = []
        for name, work in (("score", scored), ("evaluate", evaluated)):
            work()  # warms it up
            figures.append(Figure(name, images / timing.median(work, 1 if setting.small else 3), "images/s"))
    return figures


def two_processes(setting: Setting) -> list[Figure]:
    """Start two processes on one device: on a GPU one waits for the other, on a CPU both compute."""
    script = LOCKED.format(device=setting.device, small=setting.small)
    with ThreadPoolExecutor(2) as pool:
        work = [sys.executable, "-c", script]
        done = list(pool.map(lambda _: children.run(work, capture=True), range(2)))
    if failed := [one.stdout for one in done if one.returncode]:
        raise RuntimeError(failed[0])
    spans = sorted([float(word) for word in one.stdout.split()[-2:]] for one in done)
    overlap = max(0.0, spans[0][1] - spans[1][0])
    waits = setting.device == "cpu" or overlap == 0
    return [Figure("both computed at once for", overlap, "s", "0 with a GPU", waits)]


def locked_step(device: str, small: bool) -> None:
    """Print the start and the end of two iterations, in seconds of the clock that all processes share."""
    setting = Setting(device, small)
    params = setting.of_small_network(setting.params())
    trainer = started(params)  # waits for the lock
    start = time.monotonic()
    batch = noise(params, trainer)
    for _ in range(2):
        synchronised(trainer, batch)
    print(start, time.monotonic())


def started(params: Params) -> Trainer:
    """Return a trainer of STAGE with random weights on the device of the params, which is locked."""
    device = acquire_device(params.compute, params.compute.threads)
    return cost_estimate.build_trainer(params, getattr(params, STAGE), device)


def noise(params: Params, trainer: Trainer) -> TrainBatch:
    """Return a batch of noise of the sizes of the params, on the device of the trainer."""
    device = next(trainer.networks.segmenter.parameters()).device
    sizes = [params.preprocess.source.size, params.preprocess.target.size]
    return cost_estimate.noise_train_batch(params, STAGE, [(one[0], one[1]) for one in sizes], device)


def synchronised(trainer: Trainer, batch: TrainBatch) -> None:
    """Run an iteration and wait until the device has ended it."""
    trainer.step(batch)
    wait(batch.source.image.device)


def step_seconds(trainer: Trainer, batch: TrainBatch, times: int) -> float:
    """Return the median seconds of an iteration, after two that are not measured."""
    for _ in range(2):
        synchronised(trainer, batch)
    return statistics.median(timing.seconds(lambda: synchronised(trainer, batch)) for _ in range(times))


def baseline_seconds(params: Params, times: int) -> float:
    """Return the median seconds of an iteration of the baseline, after one that is not measured."""
    trainer = started(params)
    batch = noise(params, trainer)
    discriminators = {head: network.state_dict() for head, network in trainer.networks.discriminators.items()}
    state = {"segmenter": trainer.networks.segmenter.state_dict(), **discriminators}
    device = batch.source.image.device
    with device:
        baseline = AdvEnt(getattr(params, STAGE), len(params.classes), state)
    assert batch.target
    source, target = (trainer.networks.segmenter.normalise(one.image) for one in (batch.source, batch.target))

    def iteration() -> None:
        baseline.iteration(source, batch.source.label, target)
        wait(device)

    iteration()
    return timing.median(iteration, times)


def wait(device: torch.device) -> None:
    """Wait until a GPU has ended all work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


PARTS: dict[str, Callable[[Setting], list[Figure]]] = {
    work.__name__: work
    for work in (tests, iteration, compiled, deterministic, memory, inference, two_processes)
}
