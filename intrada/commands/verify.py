"""Check that all artifacts belong together: which model made these scores, which scores this split.

What stands below the folder, and what it was made from, is compared with the records that runs have left
in logs/provenance. A swapped, edited or missing file is named, and so is an artifact made from an input
other than the one that stands there. One line a job; exit code 1 if anything is wrong.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

from intrada.core.errors import UserError
from intrada.core.stage import Argument
from intrada.pipeline import code_hash, provenance, verification
from intrada.pipeline.verification import Findings, Verdict, shorten

DEFAULT = "results"
# What `validate` writes, no stage that leaves a record: the stamp of the params, the hashes of the code.
UNRECORDED = {Path("results/validate"), code_hash.FOLDER}


def run(
    folder: Annotated[str, Argument(f"the folder whose artifacts to verify; {DEFAULT} if left out")],
) -> None:
    """Print what made each artifact; UserError if they do not belong together, or nothing is known."""
    top = Path(os.path.relpath(folder or DEFAULT))
    if not top.is_dir():
        fix = "start in the project's folder; run the pipeline there, or `dvc checkout dvc.yaml`"
        raise UserError(top, "no such folder", "a folder with artifacts", fix)
    findings = verification.verify(top, provenance.read())
    for line in [*map(_line, findings.verdicts), *_notes(findings)]:
        print(line)
    wrong = [verdict.job for verdict in findings.verdicts if verdict.faults]
    if wrong:
        raise UserError(
            top,
            f"{len(wrong)} of {len(findings.verdicts)} jobs do not fit: {', '.join(wrong)}",
            "outputs as their run wrote them, made from what stands beside them",
            "`dvc checkout dvc.yaml` brings back what was edited or removed, `dvc repro` makes anew what is "
            "out of date; remove what no stage of dvc.yaml makes any more",
        )
    if not findings.verdicts:
        raise UserError(
            top,
            f"{provenance.FOLDER} has no record of anything here",
            "artifacts made in this checkout: a run leaves its record where it runs",
            "`dvc repro -f` of a stage makes its artifact anew, with a record",
        )
    print(f"{len(findings.verdicts)} jobs belong together")


def _line(verdict: Verdict) -> str:
    if verdict.faults:
        return f"wrong   {verdict.job}: {'; '.join(verdict.faults)}"
    made = f", {verdict.made.start[:19]}" if verdict.made else ""
    source = f" <- {', '.join(verdict.sources)}" if verdict.sources else ""
    return f"ok      {verdict.job}{made}{source}"


def _notes(findings: Findings) -> list[str]:
    """What is no proof of a fault: raw data touched, outputs removed, files of unknown origin."""
    doubts = dict.fromkeys(doubt for verdict in findings.verdicts for doubt in verdict.doubts)
    absent = [f"{job}: nothing stands at its outputs" for job in findings.absent]
    unknown_paths = [
        path.as_posix() for path in findings.unknown_paths if UNRECORDED.isdisjoint(path.parents)
    ]
    unknown = "no record here, so they are from another machine or made by hand"
    lines = [*doubts, *absent, *([f"{shorten(unknown_paths)}: {unknown}"] if unknown_paths else [])]
    return [f"note    {line}" for line in lines]
