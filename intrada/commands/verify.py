"""Check that all artifacts are consistent: that scores come from this model, and the split from these scores.

Artifacts below FOLDER and their inputs are compared with the records of the runs in logs/provenance. The
output names every swapped, edited or missing file, and every artifact whose input has changed since. It has
one line for each job; the exit code is 1 if anything is wrong.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

from intrada.core.errors import UserError
from intrada.core.stage import Argument
from intrada.pipeline import code_hash, provenance, verification
from intrada.pipeline.verification import Findings, JobCheck, shorten

DEFAULT = "results"
# What `validate` writes, no stage that leaves a record: the stamp of the params, the hashes of the code.
UNRECORDED = {Path("results/validate"), code_hash.FOLDER}


def run(
    folder: Annotated[str, Argument(f"folder of the artifacts to verify; default: {DEFAULT}")],
) -> None:
    """Print the job of each artifact. UserError if artifacts are inconsistent, or none has a record."""
    top = Path(os.path.relpath(folder or DEFAULT))
    if not top.is_dir():
        fix = "run the command in the project's folder, after the pipeline or `dvc checkout dvc.yaml`"
        raise UserError(top, "no such folder", "a folder with artifacts", fix)
    findings = verification.verify(top, provenance.read())
    for line in [*map(_line, findings.checks), *_notes(findings)]:
        print(line)
    wrong = [job_check.job for job_check in findings.checks if job_check.faults]
    if wrong:
        raise UserError(
            top,
            f"{len(wrong)} of {len(findings.checks)} jobs are inconsistent: {', '.join(wrong)}",
            "outputs as their run wrote them, computed from the present inputs",
            "restore edited or removed files with `dvc checkout dvc.yaml`; recompute outdated ones with "
            "`dvc repro`; remove files that no stage of dvc.yaml writes",
        )
    if not findings.checks:
        raise UserError(
            top,
            f"{provenance.FOLDER} has no record of these artifacts",
            "artifacts of runs in this checkout, where their records are",
            "run a stage again with `dvc repro -f`, which writes a record",
        )
    print(f"{len(findings.checks)} jobs are consistent")


def _line(job_check: JobCheck) -> str:
    if job_check.faults:
        return f"wrong   {job_check.job}: {'; '.join(job_check.faults)}"
    made = f", {job_check.made.start[:19]}" if job_check.made else ""
    source = f" <- {', '.join(job_check.sources)}" if job_check.sources else ""
    return f"ok      {job_check.job}{made}{source}"


def _notes(findings: Findings) -> list[str]:
    """Return the notes, which are not errors: raw data changed, outputs removed, files without a record."""
    doubts = dict.fromkeys(doubt for job_check in findings.checks for doubt in job_check.doubts)
    absent = [f"{job}: its outputs do not exist" for job in findings.absent]
    unknown_paths = [
        path.as_posix() for path in findings.unknown_paths if UNRECORDED.isdisjoint(path.parents)
    ]
    unknown = "no record in this checkout: written on another machine or by hand"
    lines = [*doubts, *absent, *([f"{shorten(unknown_paths)}: {unknown}"] if unknown_paths else [])]
    return [f"note    {line}" for line in lines]
