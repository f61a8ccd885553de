"""Which program runs the jobs: Snakemake, which tells its jobs so, or a process of DVC."""

from __future__ import annotations

import os
from pathlib import Path

import psutil

VARIABLE, SNAKEMAKE = "INTRADA_DRIVER", "snakemake"


def name() -> str:
    """Return the name of the program that runs this job: SNAKEMAKE, `dvc PID START`, "" if a person does."""
    if os.environ.get(VARIABLE) == SNAKEMAKE:
        return SNAKEMAKE
    if "DVC_STAGE" not in os.environ:
        return ""
    dvc = _dvc()
    return f"dvc {dvc[-1].pid} {dvc[-1].create_time()}" if dvc else ""


def words() -> list[str]:
    """Return the command line of the DVC process that runs this job; [] if there is none."""
    return [word for one in _dvc()[-1:] for word in _words(one)]


def _dvc() -> list[psutil.Process]:
    """Return the processes of DVC that this one descends from, the outermost last."""
    parents = psutil.Process().parents()
    return [one for one in parents if any(Path(word).name == "dvc" for word in _words(one))]


def _words(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:  # ended meanwhile, or of another user
        return []
