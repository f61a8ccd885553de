"""Check that artifacts are consistent: compare each with the record of the run that wrote it.

A job is identified by its name and the paths of its outputs. The present outputs must be those of one run of
the job, and the present inputs must be those that this run read. Each file is hashed once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from intrada.core import files, hashing
from intrada.data import tables
from intrada.pipeline import lock_params, provenance, run_params
from intrada.pipeline.provenance import Record

SHOWN = 3  # names of files in one line
Job = tuple[str, tuple[str, ...]]  # name, and paths of the outputs


@dataclass(frozen=True)
class JobCheck:
    """The result for one job. made: the record of the run that wrote the present outputs, None if unknown.

    sources: the names of the jobs that wrote its inputs; faults: the errors found; doubts: raw data or values
    in dvc.lock that may differ from those that the job read.
    """

    job: str
    made: Record | None
    sources: list[str]
    faults: list[str]
    doubts: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Findings:
    """The results of `verify`. checks: one for each job, after those of the jobs upstream of it.

    absent: names of recorded jobs whose outputs do not exist; unknown_paths: files of no recorded job.
    """

    checks: list[JobCheck]
    absent: list[str]
    unknown_paths: list[Path]


class CurrentFiles:
    """Fingerprints of the present files and folders, each computed once."""

    def __init__(self) -> None:
        self._file: Callable[[Path], str] = cache(hashing.fingerprint)
        self.fingerprint: Callable[[str], str | None] = cache(self._fingerprint)

    def files_of(self, folder: Path) -> dict[str, str]:
        """Return relative name -> fingerprint of every file below the folder."""
        return {path.relative_to(folder).as_posix(): self._file(path) for path in files.list_files(folder)}

    def images(self, index: str) -> str | None:
        """Return the joint fingerprint of the files that the index names; None if one is missing."""
        paths = tables.files_of(Path(index))
        if not all(path.is_file() for path in paths):
            return None
        return hashing.joint_fingerprint({path.as_posix(): self._file(path) for path in paths})

    def _fingerprint(self, name: str) -> str | None:
        path = Path(name)
        if path.is_dir():
            return hashing.joint_fingerprint(self.files_of(path))
        return self._file(path) if path.exists() else None


def verify(folder: Path, records: Sequence[Record]) -> Findings:
    """Check every job that writes below `folder`, and the jobs upstream of these."""
    jobs = _Jobs(records)
    selected = [job for job in jobs.runs if any(_overlap(Path(out), folder) for out in job[1])]
    checks: list[JobCheck] = []
    checked = set[Job]()

    def check(job: Job) -> None:
        if job not in checked:
            checked.add(job)
            upstream = jobs.upstream(job)
            for other in upstream:
                check(other)
            checks.append(jobs.check(job, [name for name, _ in upstream]))

    for job in filter(_exists, selected):
        check(job)
    known = {Path(out) for _, outs in jobs.runs for out in outs}
    unknown_paths = [path for path in files.list_files(folder) if known.isdisjoint([path, *path.parents])]
    return Findings(checks, [job[0] for job in selected if not _exists(job)], unknown_paths)


class _Jobs:
    """All recorded runs by job, and the present files."""

    def __init__(self, records: Sequence[Record]) -> None:
        self.records, self.lock = records, lock_params.read()
        self.runs: dict[Job, list[Record]] = {}
        self.current = CurrentFiles()
        # fingerprint -> the last run of the first job that wrote it, and the path; later jobs copied the file
        self.wrote: dict[str, tuple[Record, str]] = {}
        for record in records:
            self.runs.setdefault((record.job, tuple(record.outputs)), []).append(record)
            for path, fingerprint in record.outputs.items():
                if self.wrote.setdefault(fingerprint, (record, path))[0].job == record.job:
                    self.wrote[fingerprint] = record, path

    def check(self, job: Job, sources: list[str]) -> JobCheck:
        """Check one job. If several runs wrote the same bytes, the one with the fewest faults counts."""
        candidates = self._candidates(job)
        if not candidates:
            return JobCheck(job[0], None, sources, self._differences(job))
        pairs = [(record, [*self._other_inputs(record)]) for record in reversed(candidates)]
        made, faults = min(pairs, key=lambda pair: len(pair[1]))
        faults += run_params.outdated(made, self.records, self.current.fingerprint)
        doubts = [*_changed_raw_data(made), *lock_params.differences(made, self.records, self.lock)]
        return JobCheck(job[0], made, sources, faults, doubts)

    def upstream(self, job: Job) -> list[Job]:
        """Return the jobs with existing outputs that write inputs of this one."""
        last = (self._candidates(job) or self.runs[job])[-1]
        read = [Path(path) for path in (*last.inputs, *last.raw)]
        return [
            other
            for other in self.runs
            if _exists(other) and any(_overlap(Path(out), path) for out in other[1] for path in read)
        ]

    def _now(self, job: Job) -> dict[str, str | None]:
        return {path: self.current.fingerprint(path) for path in job[1]}

    def _candidates(self, job: Job) -> list[Record]:
        """Return the runs that wrote exactly the present outputs, oldest first."""
        now = self._now(job)
        return [record for record in self.runs[job] if record.outputs == now]

    def _differences(self, job: Job) -> list[str]:
        """Return the differences of the present outputs from those of the most similar run."""
        current = self._now(job).items()

        def equal_outputs(record: Record) -> int:
            return sum(record.outputs[path] == fingerprint for path, fingerprint in current)

        expected = max(reversed(self.runs[job]), key=equal_outputs).outputs
        return [
            self._difference(path, expected[path], fingerprint)
            for path, fingerprint in current
            if fingerprint != expected[path]
        ]

    def _difference(self, path: str, expected: str, now: str | None) -> str:
        if now is None:
            return f"{path} is missing"
        which = f"({_short(now)}, not {_short(expected)})"
        if now in self.wrote:
            record, other = self.wrote[now]
            origin = "of another run" if other == path else f"{other} of {record.job}"
            return f"{path} was exchanged: the file there is {origin} {which}"
        if Path(path).is_dir() and (written := provenance.files_of(expected)):
            return f"{path} is not as it was written: {_names(written, self.current.files_of(Path(path)))}"
        return f"{path} is not as it was written {which}"

    def _other_inputs(self, record: Record) -> Iterator[str]:
        """Yield a message for each input of the run that differs from the present one."""
        for path, read in record.inputs.items():
            now = self.current.fingerprint(path)
            if now is None:
                yield f"{path}, which it was made from, is missing"
            elif now != read:
                yield f"was made from {path} {self._said(read)}, but the file there is {self._said(now)}"
            elif path in record.images and self.current.images(path) != record.images[path]:
                yield f"was made from other images or labels than those that {path} names now"
        for path, sizes in record.sizes.items():
            if Path(path).exists() and hashing.stat_fingerprint(Path(path), times=False) != sizes:
                yield f"was made from other raw data (names or sizes) than stand in {path}"

    def _said(self, fingerprint: str) -> str:
        """Return a fingerprint for a message, with the run that wrote it if known."""
        if fingerprint not in self.wrote:
            return _short(fingerprint)
        record, _ = self.wrote[fingerprint]
        seed = "" if record.seed is None else f", seed {record.seed}"
        return f"{_short(fingerprint)} ({record.job}, {record.start[:19]}{seed})"


def _changed_raw_data(record: Record) -> Iterator[str]:
    """Yield a message for raw data that are missing, or whose modification times have changed."""
    for path, read in record.raw.items():
        if not Path(path).exists():
            yield f"{path}: the raw data are missing"
        elif hashing.stat_fingerprint(Path(path)) != read:
            yield f"{path}: raw data were written since the run; `dvc status` shows if their content changed"


def _names(written: Mapping[str, str], now: Mapping[str, str]) -> str:
    """Return the changed, missing and added files of a folder, for a message."""
    kinds = {
        "changed": [name for name in written if name in now and now[name] != written[name]],
        "missing": [name for name in written if name not in now],
        "added": [name for name in now if name not in written],
    }
    return "; ".join(f"{kind} {shorten(names)}" for kind, names in kinds.items() if names)


def shorten(names: Sequence[str]) -> str:
    """Return the first names, and how many more there are."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def _exists(job: Job) -> bool:
    return any(Path(out).exists() for out in job[1])


def _overlap(a: Path, b: Path) -> bool:
    return a.is_relative_to(b) or b.is_relative_to(a)


def _short(fingerprint: str) -> str:
    return fingerprint[:8]
