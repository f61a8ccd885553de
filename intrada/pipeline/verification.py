"""Check that artifacts are consistent: compare each with the record of the run that wrote it.

A job is identified by its name and the paths of its outputs. The present outputs must be those of one run of
the job, the present inputs must be those that this run read, and the records of the runs that wrote them must
be there. Outputs of a run in another checkout are compared with dvc.lock. Each file is hashed once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import cache, partial
from pathlib import Path

from intrada.core import files, hashing
from intrada.data import tables
from intrada.pipeline import code_hash, lock_params, locked_outs, run_params
from intrada.pipeline.expected import Expected
from intrada.pipeline.records import Record

# What `validate` writes, no stage that leaves a record: the stamp of the params, the hashes of the code.
UNRECORDED = {Path("results/validate"), code_hash.FOLDER}
Job = tuple[str, tuple[str, ...]]  # name, and paths of the outputs


class Kind(Enum):
    """What a fault is, which decides how it is repaired."""

    DAMAGED = "a file has content that no run of its job wrote"
    MISSING = "a file is missing"
    OUTDATED = "an output was made from other inputs than the present ones"
    RECORD = "the record of an input's run is missing"


@dataclass(frozen=True)
class Fault:
    """An error that was found. jobs: those to run again."""

    kind: Kind
    text: str
    jobs: tuple[str, ...]


@dataclass(frozen=True)
class JobCheck:
    """The result for one job. made: the record of the run that wrote the present outputs, None if unknown.

    sources: the names of the jobs that wrote its inputs; doubts: raw data or values in dvc.lock that may
    differ from those that the job read.
    """

    job: str
    made: Record | None
    sources: list[str]
    faults: list[Fault]
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
        self.file: Callable[[Path], str] = cache(hashing.fingerprint)
        self.fingerprint: Callable[[str], str | None] = cache(self._fingerprint)

    def files_of(self, folder: Path) -> dict[str, str]:
        """Return relative name -> fingerprint of every file below the folder; no links to nothing."""
        paths = [path for path in files.list_files(folder) if path.exists()]
        return {path.relative_to(folder).as_posix(): self.file(path) for path in paths}

    def images(self, index: str) -> str | None:
        """Return the joint fingerprint of the files that the index names; None if one is missing."""
        paths = tables.files_of(Path(index))
        if not all(path.is_file() for path in paths):
            return None
        return hashing.joint_fingerprint({path.as_posix(): self.file(path) for path in paths})

    def _fingerprint(self, name: str) -> str | None:
        path = Path(name)
        if path.is_dir():
            return hashing.joint_fingerprint(self.files_of(path))
        return self.file(path) if path.exists() else None


def verify(folder: Path, found: Sequence[Record]) -> Findings:
    """Check every job that writes below `folder`, and the jobs upstream of these. found: all records."""
    jobs = _Jobs(found)
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
    checks += jobs.check_unrecorded(folder)
    known = {*jobs.expected.outputs}
    unknown_paths = [path for path in files.list_files(folder) if known.isdisjoint([path, *path.parents])]
    return Findings(checks, [job[0] for job in selected if not _exists(job)], unknown_paths)


class _Jobs:
    """All recorded runs by job, and the present files."""

    def __init__(self, found: Sequence[Record]) -> None:
        self.records, self.lock = found, lock_params.read()
        self.runs: dict[Job, list[Record]] = {}
        self.ids = {record.id for record in found}
        self.current = CurrentFiles()
        matches = partial(locked_outs.matches, of_file=cache(locked_outs.md5))  # reads every byte
        self.expected = Expected(found, self.current.file, matches)
        # fingerprint -> the last run of the first job that wrote it, and the path; later jobs copied the file
        self.wrote: dict[str, tuple[Record, str]] = {}
        for record in found:
            self.runs.setdefault((record.job, tuple(record.outputs)), []).append(record)
            for path, fingerprint in record.outputs.items():
                if self.wrote.setdefault(fingerprint, (record, path))[0].job == record.job:
                    self.wrote[fingerprint] = record, path

    def check(self, job: Job, sources: list[str]) -> JobCheck:
        """Check one job. If several runs wrote the same bytes, the one with the fewest faults counts."""
        candidates = self._candidates(job)
        if not candidates:
            return JobCheck(job[0], None, sources, self._differences(job))
        pairs = [
            (record, [*self._other_inputs(record), *self._lost_records(record)])
            for record in reversed(candidates)
        ]
        made, faults = min(pairs, key=lambda pair: len(pair[1]))
        printed = run_params.outdated(made, self.records, self.current.fingerprint)
        faults += [Fault(Kind.OUTDATED, text, (job[0],)) for text in printed]
        doubts = [*_changed_raw_data(made), *lock_params.differences(made, self.records, self.lock)]
        return JobCheck(job[0], made, sources, faults, doubts)

    def check_unrecorded(self, folder: Path) -> list[JobCheck]:
        """Compare the outputs that dvc.lock names, but no record, with dvc.lock: those below `folder`, and
        those from which they were made.
        """
        outs = [
            pair for pair in self.expected.locked_only() if UNRECORDED.isdisjoint([pair[0], *pair[0].parents])
        ]
        pending, faults = [folder], dict[str, list[Fault]]()
        while pending:
            near = pending.pop()
            for path, out in [pair for pair in outs if _overlap(pair[0], near)]:
                outs.remove((path, out))
                if path.exists():
                    faults.setdefault(out.stage, []).extend(self._damage(path))
                    pending += map(Path, out.deps)
        return [JobCheck(stage, None, [], found) for stage, found in faults.items()]

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

    def _differences(self, job: Job) -> list[Fault]:
        """Return the differences of the present outputs from those of the most similar run.

        Outputs of a run in another checkout, which dvc.lock names, are no fault.
        """
        current = self._now(job).items()

        def equal_outputs(record: Record) -> int:
            return sum(record.outputs[path] == fingerprint for path, fingerprint in current)

        expected = max(reversed(self.runs[job]), key=equal_outputs).outputs
        differing = [path for path, fingerprint in current if fingerprint != expected[path]]
        if all(self.expected.is_locked(Path(path)) for path in differing):
            return []
        return [fault for path in differing for fault in self._difference(job[0], path, expected[path])]

    def _difference(self, job: str, path: str, expected: str) -> list[Fault]:
        now = self.current.fingerprint(path)
        if now is None:
            return [Fault(Kind.MISSING, f"{path} is missing", (job,))]
        which = f"({_short(now)}, not {_short(expected)})"
        if now not in self.wrote:
            return self._damage(Path(path))
        record, other = self.wrote[now]
        if other == path or self.expected.written_by(Path(path)):
            return [
                Fault(
                    Kind.OUTDATED, f"{path} was exchanged: the file there is of another run {which}", (job,)
                )
            ]
        origin = f"{other} of {record.job}"
        return [Fault(Kind.DAMAGED, f"{path} was exchanged: the file there is {origin} {which}", (job,))]

    def _damage(self, path: Path) -> list[Fault]:
        """Return the fault of an output that exists, if its content is neither recorded nor in dvc.lock."""
        if self.expected.is_expected(path):
            return []
        damage = self.expected.damage(path)
        return [Fault(Kind.DAMAGED, f"{path}: {damage.found}", (damage.job,))]

    def _other_inputs(self, record: Record) -> Iterator[Fault]:
        """Yield a fault for each input of the run that differs from the present one."""
        outdated = partial(Fault, Kind.OUTDATED, jobs=(record.job,))
        for path, read in record.inputs.items():
            now = self.current.fingerprint(path)
            if now is None:
                yield Fault(Kind.MISSING, f"{path}, which it was made from, is missing", (record.job,))
            elif now != read:
                found, present = self._said(read), self._said(now)
                yield outdated(f"was made from {path} {found}, but the file there is {present}")
            elif path in record.images and self.current.images(path) != record.images[path]:
                yield outdated(f"was made from other images or labels than those that {path} names now")
        for path, sizes in record.sizes.items():
            if Path(path).exists() and hashing.stat_fingerprint(Path(path), times=False) != sizes:
                yield outdated(f"was made from other raw data (names or sizes) than stand in {path}")

    def _lost_records(self, record: Record) -> Iterator[Fault]:
        """Yield a fault for each run that wrote an input and whose record is missing, or was edited."""
        for path, record_id in record.records.items():
            if record_id not in self.ids:
                text = f"the record {_short(record_id)} of the run that wrote {path} is missing or was edited"
                yield Fault(Kind.RECORD, text, (*self.expected.writer(path), record.job))

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


def _exists(job: Job) -> bool:
    return any(Path(out).exists() for out in job[1])


def _overlap(a: Path, b: Path) -> bool:
    return a.is_relative_to(b) or b.is_relative_to(a)


def _short(fingerprint: str) -> str:
    return fingerprint[:8]
