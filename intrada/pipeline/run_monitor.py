"""Snakemake's main process tells the progress of the whole run once a minute."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence

from intrada.core.config.schema import Params
from intrada.core.plain_text import logger
from intrada.pipeline import driver, run_progress, workload
from intrada.pipeline.bridge import Stage
from intrada.pipeline.run_progress import Run

log = logger(__name__)
EACH = 60.0  # seconds


def planned(stages: Sequence[Stage], rules: set[str], targets: Sequence[str]) -> list[Stage]:
    """Return the stages that a run executes: those of `rules` and what depends on them, upstream first.

    targets: rules and files that the user has named; only what they need counts then.
    """
    chosen = set(rules)
    for stage in stages:
        if chosen & {*stage.parents}:
            chosen.add(stage.rule)
    named = {stage.rule for stage in stages if {stage.rule, *stage.outs, _all_of(stage)} & {*targets}}
    for stage in reversed(stages):
        if stage.rule in named:
            named |= {*stage.parents}
    return [stage for stage in stages if stage.rule in chosen and (not named or stage.rule in named)]


def start(stages: Sequence[Stage], cores: int, params: Params) -> None:
    """Begin a run of these stages, and tell its progress until the process ends. cores: for all jobs."""
    by_rule = {stage.rule: job_name(stage) for stage in stages}
    by_name = {job_name(stage): stage for stage in stages}
    run = Run(
        time.time(),
        driver.SNAKEMAKE,
        [*by_name],
        {
            name: [by_rule[rule] for rule in stage.parents if rule in by_rule]
            for name, stage in by_name.items()
        },
        {
            name: 1.0 if stage.resources.get("gpu") else min(1.0, stage.threads / cores)
            for name, stage in by_name.items()
        },
    )
    run_progress.begin(run)
    log.info(text(run, by_name, params))
    threading.Thread(target=_tell, args=(run, by_name, params), daemon=True).start()


def job_name(stage: Stage) -> str:
    """Return DVC's name of a stage; `ablation/` and the name of one of the ablation."""
    return (workload.ABLATION if stage.of_ablation else "") + stage.name


def _all_of(stage: Stage) -> str:
    """Return the rule of the Snakefile that asks for all stages of the same project."""
    return "ablation" if stage.of_ablation else "all"


def _tell(run: Run, stages: Mapping[str, Stage], params: Params) -> None:
    while True:
        time.sleep(EACH)
        log.info(text(run, stages, params))


def text(run: Run, stages: Mapping[str, Stage], params: Params) -> str:
    """Return which stages are done and which run, and the time left."""
    done = {name for name in run.jobs if _is_done(stages[name], run.start)}
    remaining = [name for name in run.jobs if name not in done]
    left = run_progress.left(run, remaining, params, time.time())
    now = run_progress.running(remaining, run.start)
    running = ", ".join(f"{name} ({one.share:.0%})" if one.share else name for name, one in now.items())
    return (
        f"{len(done)} of {len(run.jobs)} stages done"
        + (f", running: {running}" if running else "")
        + (f"; {left.text}" if remaining else "")
    )


def _is_done(stage: Stage, since: float) -> bool:
    """Return whether a job of this run has made the marker of its rule."""
    return stage.marker.exists() and stage.marker.stat().st_mtime >= since - 1
