"""The time and the memory that a job asks a cluster's scheduler for, known before the job starts.

Time: of the job's last run, else from the speed of other jobs (run_progress), else from the FLOPs of the
trainings and speeds that almost every machine reaches. Memory: of a training on a CPU from its estimated
activations, else a constant. Both have head-room, and a retry asks for the same again on top. `runtime` and
`mem_mb` in `meta: {resources: ...}` of dvc.yaml come before them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil

from intrada.core.config.schema import Params
from intrada.pipeline import bridge, run_progress

TRAININGS = ("train_source", "train_inter", "train_intra")
GPU_SPEED, THREAD_SPEED = 4e12, 5e9  # FLOP/s of a training that a GPU since 2016 and one CPU thread exceed
MARGIN = 2  # times the expected time, and times the estimated memory of a training
START = 10  # minutes on top: a busy shared disk, starting Python three times, the last checkpoint
UNKNOWN = 60  # minutes of a stage that nothing is known of
ABLATION = 24 * 60  # minutes of a stage of the ablation, whose params are not these
BASE = 4000  # MB of a stage; of a training on top of its weights and activations
MEGABYTE = 10**6
NAMES = ("runtime", "mem_mb")  # in `meta: {resources: ...}`


@dataclass(frozen=True)
class Size:
    """What the first attempt of a job asks for. runtime: minutes; mem_mb: MB of the host's memory."""

    runtime: int
    mem_mb: int


def sizes(stages: Sequence[bridge.Stage], params: Params) -> dict[str, Size]:
    """Return rule -> size. UserError if the network cannot be built."""
    from intrada.training import cost_estimate  # torch takes seconds, and only a cluster needs this

    costs = {cost.stage: cost for cost in cost_estimate.estimate_all(params)}
    names = [stage.name for stage in stages if not stage.of_ablation]
    expected = expected_seconds(names, params, {name: cost.flop for name, cost in costs.items()})
    on_cpu = params.compute.device == "cpu"
    bytes_of = {
        name: cost.weights + cost.activations * on_cpu * params.compute.devices
        for name, cost in costs.items()
    }
    found = {}
    for stage in stages:
        word = stage.name.partition("@")[0].removesuffix("_round")
        memory = BASE + ceil(MARGIN * bytes_of.get(word, 0) / MEGABYTE)
        size = Size(ABLATION, BASE) if stage.of_ablation else Size(minutes(expected[stage.name]), memory)
        found[stage.rule] = replace(size, **{n: stage.resources[n] for n in NAMES if n in stage.resources})
    return found


def expected_seconds(
    names: Sequence[str], params: Params, flop: Mapping[str, int]
) -> dict[str, float | None]:
    """Return stage -> expected seconds, None if unknown. flop: training -> FLOPs of one of its iterations."""
    compute = params.compute
    speed = THREAD_SPEED * compute.threads if compute.device == "cpu" else GPU_SPEED
    assumed = {
        name: count * getattr(params, name).iterations / (speed * compute.devices)
        for name, count in flop.items()
    }
    return run_progress.expected(names, params, assumed)


def minutes(seconds: float | None) -> int:
    """Return the time limit of a job that is expected to take `seconds`."""
    return UNKNOWN if seconds is None else START + ceil(MARGIN * seconds / 60)
