"""What a stage tells about the progress of the whole run while it runs.

Under `dvc repro` it prints which stage of how many it is, and the time left for the whole run: on a terminal
in the progress bar, else once a minute. Under Snakemake the main process prints this (run_monitor.py), and
the stage writes how far it is. A stage that a person has started alone prints nothing of it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from intrada.core.config.schema import Params
from intrada.core.plain_text import is_bar_hidden, logger
from intrada.pipeline import driver, dvc_api, run_progress
from intrada.pipeline.run_progress import Run

log = logger(__name__)
EACH, LINE = 2.0, 60.0  # seconds between two notes, and between two lines without a terminal


@dataclass
class Reporter:
    """Tells the progress of one job; called after each of its steps. run: None for a stage alone."""

    job: str
    params: Params
    run: Run | None
    prints: bool
    start: float
    noted: float = 0.0
    printed: float = 0.0

    def __call__(self, first: int, done: int, total: int) -> str:
        """Note that `done` of `total` steps are done, `first` of them before; return the text for the bar."""
        now = time.time()
        if self.run is None or now - self.noted < EACH:
            return ""
        self.noted = now
        run_progress.note(self.job, self.start, first, done, total)
        if not self.prints:
            return ""
        text = run_progress.left(self.run, run_progress.after(self.run, self.job), self.params, now).text
        if is_bar_hidden() and now - self.printed >= LINE:
            self.printed = now
            log.info(f"{self.job}: {done} of {total} done; whole run: {text}")
        return f"whole run: {text}"

    def begin(self) -> None:
        """Tell that the job begins."""
        if self.run is None:
            return
        self.printed = self.start
        run_progress.note(self.job, self.start, 0, 0, 1)
        if self.prints:
            text = run_progress.left(
                self.run, run_progress.after(self.run, self.job), self.params, self.start
            ).text
            jobs = self.run.jobs
            log.info(f"stage {jobs.index(self.job) + 1} of {len(jobs)}: {self.job}; whole run: {text}")


def reporter(job: str, params: Params, project: str = "") -> Reporter:
    """Return the reporter of a job of this process.

    project: "" or workload.ABLATION, the folder of its dvc.yaml, with which the names of its jobs begin.
    """
    start, name = time.time(), driver.name()
    run = run_progress.current()
    file = Path(project, "dvc.yaml")
    if name.startswith("dvc") and file.is_file() and (run is None or run.driver != name):
        run = _begin(name, file, project)
    is_part = run is not None and run.driver == name and job in run.jobs
    return Reporter(job, params, run if is_part else None, name != driver.SNAKEMAKE, start)


def _begin(name: str, file: Path, prefix: str) -> Run:
    """Write the run of a DVC process, whose first stage this is. prefix: of its jobs' names."""
    with dvc_api.opened(file.parent) as repo:
        stages = dvc_api.definitions(repo, file.absolute())
    upstream = {stage.name: [*stage.upstream] for stage in stages}
    chosen = wanted(upstream, driver.words())
    run = Run(
        time.time(),
        name,
        [prefix + job for job in chosen],
        {prefix + job: [prefix + before for before in upstream[job]] for job in chosen},
    )
    run_progress.begin(run)
    return run


def wanted(upstream: Mapping[str, Sequence[str]], words: Sequence[str]) -> list[str]:
    """Return the jobs that a command of DVC runs: those that it names and what they need, or all.

    upstream: job -> those that it needs, these first; words: of the command line.
    """
    named = {job for job in upstream if {job, job.partition("@")[0]} & {*words}}
    for job in reversed([*upstream]):
        if job in named:
            named |= {*upstream[job]}
    return [job for job in upstream if job in named or not named]
