"""Check that all artifacts are consistent: that scores come from this model, and the split from these scores.

Artifacts below FOLDER and their inputs are compared with the records of the runs in logs/provenance. The
output names every swapped, edited or missing file, and every artifact whose input has changed since. It has
one line for each job; the exit code is 1 if anything is wrong.

--repair reads all outputs and all of DVC's cache, and moves damaged files to .dvc/tmp/damaged/, so that DVC
restores them or computes them again. It deletes nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from operator import attrgetter
from pathlib import Path
from typing import Annotated

from intrada.core import hashing
from intrada.core.errors import UserError
from intrada.core.plain_text import say
from intrada.core.stage import Argument, Flag
from intrada.pipeline import records, verification
from intrada.pipeline import repair as repairing
from intrada.pipeline.cache_objects import REPAIR
from intrada.pipeline.expected import shorten
from intrada.pipeline.verification import UNRECORDED, Fault, Findings, JobCheck, Kind

DEFAULT = "results"


def run(
    folder: Annotated[str, Argument(f"folder of the artifacts to verify; default: {DEFAULT}")],
    repair: Annotated[bool, Flag("move damaged files, DVC's cache included, to .dvc/tmp/damaged/")],
) -> None:
    """Print the job of each artifact. UserError if artifacts are inconsistent, or none has a record."""
    top = Path(os.path.relpath(folder or DEFAULT))
    if repair:
        _repair(top)
        return
    if not top.is_dir():
        fix = "run the command in the project's folder, after the pipeline or `dvc checkout dvc.yaml`"
        raise UserError(top, "no such folder", "a folder with artifacts", fix)
    found, damaged = records.scan()
    damaged |= records.damaged_lists()
    findings = verification.verify(top, found)
    for line in [*map(_line, findings.checks), *_notes(findings), *_of_records(damaged)]:
        say(line)
    _refuse(top, findings, damaged)
    say(f"{len(findings.checks)} jobs are consistent; fingerprint of their records: {_head(findings)}")


def _repair(top: Path) -> None:
    """Move damaged files aside, in the whole DVC project of `top`, and print what to do next."""
    done = repairing.repair(next(path for path in (top, *top.absolute().parents) if path.is_dir()))
    for path, why in done.moved.items():
        say(f"moved   {os.path.relpath(path)}: {why}")
    for path, source in done.restored.items():
        say(f"back    {os.path.relpath(path)}: copied from {os.path.relpath(source)}")
    if not done.moved:
        say("nothing is damaged; if an output is outdated: `dvc repro`")
        return
    say(f"{len(done.moved)} damaged files are now in {os.path.relpath(done.folder)}; nothing was deleted")
    say("next: `dvc repro` or `snakemake` restores or computes what is missing")
    if done.jobs:
        say(f"then, to write the lost records again: `dvc repro -f -s {' '.join(dict.fromkeys(done.jobs))}`")


def _refuse(top: Path, findings: Findings, damaged: Mapping[Path, str]) -> None:
    """Raise UserError if anything is wrong, with the advice for what was found, or if nothing is recorded."""
    wrong = [job_check.job for job_check in findings.checks if job_check.faults]
    faults = [fault for job_check in findings.checks for fault in job_check.faults]
    if wrong or damaged:
        which = f"{len(wrong)} of {len(findings.checks)} jobs are inconsistent: {', '.join(wrong)}"
        raise UserError(
            top,
            which if wrong else f"{len(damaged)} damaged records in {records.FOLDER}",
            "outputs as their run wrote them, computed from the present inputs",
            "; ".join(_advice(faults, damaged)),
        )
    if not findings.checks:
        raise UserError(
            top,
            f"{records.FOLDER} has no record of these artifacts, and dvc.lock does not name them",
            "artifacts of runs in this checkout, or those of dvc.lock",
            "run a stage again with `dvc repro -f`, which writes a record",
        )


def _advice(faults: Sequence[Fault], damaged: Mapping[Path, str]) -> Iterator[str]:
    """Yield what to do, first things first. damaged: paths of damaged records."""
    kinds = {fault.kind for fault in faults}
    if Kind.DAMAGED in kinds or damaged:
        yield f"`{REPAIR}` moves damaged files aside"
    if kinds - {Kind.RECORD}:
        yield "`dvc repro` restores or computes what is missing or outdated"
    lost = [path.parent.name for path in damaged if path.is_relative_to(records.FOLDER / "jobs")]
    order = [fault for kind in (Kind.RECORD, Kind.OUTDATED) for fault in faults if fault.kind is kind]
    if again := dict.fromkeys([*lost, *(job for fault in order for job in fault.jobs)]):
        yield f"then, for what `verify` still names: `dvc repro -f -s {' '.join(again)}`"


def _head(findings: Findings) -> str:
    """Return one fingerprint of the records of all jobs: note it, and no record can be exchanged later."""
    made = [job_check.made for job_check in findings.checks if job_check.made]
    return hashing.joint_fingerprint(
        {record.job: record.checksum for record in sorted(made, key=attrgetter("job"))}
    )


def _line(job_check: JobCheck) -> str:
    if job_check.faults:
        return f"wrong   {job_check.job}: {'; '.join(fault.text for fault in job_check.faults)}"
    made = f", {job_check.made.start[:19]}" if job_check.made else ", as dvc.lock names it"
    source = f" <- {', '.join(job_check.sources)}" if job_check.sources else ""
    return f"ok      {job_check.job}{made}{source}"


def _of_records(damaged: Mapping[Path, str]) -> list[str]:
    return [f"wrong   {path}: {why}" for path, why in damaged.items()]


def _notes(findings: Findings) -> list[str]:
    """Return the notes, which are not errors: raw data changed, outputs removed, files without a record."""
    doubts = dict.fromkeys(doubt for job_check in findings.checks for doubt in job_check.doubts)
    earlier = sum(job_check.made is not None and not job_check.made.id for job_check in findings.checks)
    absent = [f"{job}: its outputs do not exist" for job in findings.absent]
    unknown_paths = [
        path.as_posix() for path in findings.unknown_paths if UNRECORDED.isdisjoint(path.parents)
    ]
    unknown = "no record in this checkout: written on another machine or by hand"
    lines = [*doubts, *absent, *([f"{shorten(unknown_paths)}: {unknown}"] if unknown_paths else [])]
    if earlier:
        lines.append(f"{earlier} records of an earlier version have no checksum: edits of them go unnoticed")
    return [f"note    {line}" for line in lines]
