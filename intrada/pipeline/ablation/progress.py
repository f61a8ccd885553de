"""What a job of the ablation tells about the progress of the whole run, and the time that it took."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from intrada.core.config.load import load
from intrada.core.errors import UserError
from intrada.core.plain_text import logger
from intrada.pipeline import execution_log, stage_progress, workload

log = logger(__name__)


@contextmanager
def told() -> Iterator[None]:
    """Within the block runs the job that DVC has started; nothing is told of a job that a person started.

    Its own stages run in folders of their own, so the execution log of the checkout gets one line for all.
    """
    stage = os.environ.get("DVC_STAGE", "").rpartition(":")[2]  # `ablation/dvc.yaml:collect`, `collect`
    if not stage:
        yield
        return
    job = workload.ABLATION + stage
    try:
        params = load(Path("params.yaml"))
    except UserError as error:  # the ablation does not need them
        log.debug(f"no progress of the whole run: {error}")
        yield
        return
    stage_progress.reporter(job, params, workload.ABLATION).begin()
    with execution_log.logged(job, "", workload.of_job(job, params), []):
        yield
