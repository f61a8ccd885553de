"""Do the artifacts that stand here belong together? Each is compared with the record of the run that made it.

A job is its name and the paths of its outputs. What stands at them must be what one run of the job
wrote, and what that run read must be what stands now. Each file is hashed once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from intrada.core import files, hashing
from intrada.data import tables
from intrada.pipeline import provenance
from intrada.pipeline.provenance import Record

SHOWN = 3  # names of files in one line
Job = tuple[str, tuple[str, ...]]  # its name and the paths of its outputs


@dataclass(frozen=True)
class Verdict:
    """On one job. made: the record of what stands, None where no run is known to have written it.

    sources: the names of the jobs that made its inputs; faults: what does not belong together; doubts:
    raw data that may be others than the job read.
    """

    job: str
    made: Record | None
    sources: list[str]
    faults: list[str]
    doubts: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Findings:
    """verdicts: of all jobs in question, each after those that it was made from.

    absent: names of known jobs without any output here; unknown_paths: files that no known job writes.
    """

    verdicts: list[Verdict]
    absent: list[str]
    unknown_paths: list[Path]


class Standing:
    """Fingerprints of what stands at a path now."""

    def __init__(self) -> None:
        self._file: Callable[[Path], str] = cache(hashing.fingerprint)
        self.fingerprint: Callable[[str], str | None] = cache(self._fingerprint)

    def files_of(self, folder: Path) -> dict[str, str]:
        """Relative name -> fingerprint of every file below the folder."""
        return {path.relative_to(folder).as_posix(): self._file(path) for path in files.list_files(folder)}

    def images(self, index: str) -> str | None:
        """The joint fingerprint of the files that the index names; None where one is missing."""
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
    """Judge every job that writes below `folder`, and the jobs that theirs were made from."""
    jobs = _Jobs(records)
    asked = [job for job in jobs.runs if any(_overlap(Path(out), folder) for out in job[1])]
    verdicts: list[Verdict] = []
    seen = set[Job]()

    def check(job: Job) -> None:
        if job not in seen:
            seen.add(job)
            before = jobs.before(job)
            for other in before:
                check(other)
            verdicts.append(jobs.check(job, [name for name, _ in before]))

    for job in filter(_stands, asked):
        check(job)
    known = {Path(out) for _, outs in jobs.runs for out in outs}
    unknown_paths = [path for path in files.list_files(folder) if known.isdisjoint([path, *path.parents])]
    return Findings(verdicts, [job[0] for job in asked if not _stands(job)], unknown_paths)


class _Jobs:
    """All known runs by job, and what stands now."""

    def __init__(self, records: Sequence[Record]) -> None:
        self.runs: dict[Job, list[Record]] = {}
        self.standing = Standing()
        # fingerprint -> the last run that wrote it, and where; of the first job: later ones copied it
        self.wrote: dict[str, tuple[Record, str]] = {}
        for record in records:
            self.runs.setdefault((record.job, tuple(record.outputs)), []).append(record)
            for path, found in record.outputs.items():
                if self.wrote.setdefault(found, (record, path))[0].job == record.job:
                    self.wrote[found] = record, path

    def check(self, job: Job, sources: list[str]) -> Verdict:
        """Several runs may have written the same bytes: it is enough that one of them fits."""
        candidates = self._candidates(job)
        if not candidates:
            return Verdict(job[0], None, sources, self._differences(job))
        found = [(record, [*self._other_inputs(record)]) for record in reversed(candidates)]
        made, faults = min(found, key=lambda pair: len(pair[1]))
        return Verdict(job[0], made, sources, faults, [*_touched(made)])

    def before(self, job: Job) -> list[Job]:
        """The jobs that write what this one was made from, as far as anything of theirs stands."""
        last = (self._candidates(job) or self.runs[job])[-1]
        read = [Path(path) for path in (*last.inputs, *last.raw)]
        return [
            other
            for other in self.runs
            if _stands(other) and any(_overlap(Path(out), path) for out in other[1] for path in read)
        ]

    def _now(self, job: Job) -> dict[str, str | None]:
        return {path: self.standing.fingerprint(path) for path in job[1]}

    def _candidates(self, job: Job) -> list[Record]:
        """The runs, oldest first, that wrote exactly what stands."""
        now = self._now(job)
        return [record for record in self.runs[job] if record.outputs == now]

    def _differences(self, job: Job) -> list[str]:
        """What is wrong with outputs that no run has left like this, against the run that is nearest."""
        now = self._now(job).items()

        def alike(record: Record) -> int:
            return sum(record.outputs[path] == found for path, found in now)

        expected = max(reversed(self.runs[job]), key=alike).outputs
        return [
            self._difference(path, expected[path], found) for path, found in now if found != expected[path]
        ]

    def _difference(self, path: str, expected: str, now: str | None) -> str:
        if now is None:
            return f"{path} is missing"
        which = f"({_short(now)}, not {_short(expected)})"
        if now in self.wrote:
            record, place = self.wrote[now]
            whose = "of another run" if place == path else f"{place} of {record.job}"
            return f"{path} was exchanged: the file there is {whose} {which}"
        if Path(path).is_dir() and (written := provenance.files_of(expected)):
            return f"{path} is not as it was written: {_names(written, self.standing.files_of(Path(path)))}"
        return f"{path} is not as it was written {which}"

    def _other_inputs(self, record: Record) -> Iterator[str]:
        """The inputs of the run that are not those which stand now."""
        for path, read in record.inputs.items():
            now = self.standing.fingerprint(path)
            if now is None:
                yield f"{path}, which it was made from, is missing"
            elif now != read:
                yield f"was made from {path} {self._said(read)}, but the file there is {self._said(now)}"
            elif path in record.images and self.standing.images(path) != record.images[path]:
                yield f"was made from other images or labels than those that {path} names now"
        for path, sizes in record.sizes.items():
            if Path(path).exists() and hashing.stat_fingerprint(Path(path), times=False) != sizes:
                yield f"was made from other raw data (names or sizes) than stand in {path}"

    def _said(self, fingerprint: str) -> str:
        """A fingerprint with the run that wrote it, if one is known."""
        if fingerprint not in self.wrote:
            return _short(fingerprint)
        record, _ = self.wrote[fingerprint]
        seed = "" if record.seed is None else f", seed {record.seed}"
        return f"{_short(fingerprint)} ({record.job}, {record.start[:19]}{seed})"


def _touched(record: Record) -> Iterator[str]:
    """Raw data that cannot be told from what the run read without reading them whole."""
    for path, read in record.raw.items():
        if not Path(path).exists():
            yield f"{path}: the raw data are gone"
        elif hashing.stat_fingerprint(Path(path)) != read:
            yield f"{path}: raw data that were written since; `dvc status` says whether their content changed"


def _names(written: Mapping[str, str], now: Mapping[str, str]) -> str:
    """The files of a folder that are not as written."""
    kinds = {
        "changed": [name for name in written if name in now and now[name] != written[name]],
        "missing": [name for name in written if name not in now],
        "added": [name for name in now if name not in written],
    }
    return "; ".join(f"{kind} {shorten(names)}" for kind, names in kinds.items() if names)


def shorten(names: Sequence[str]) -> str:
    """The first names, and how many more there are."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def _stands(job: Job) -> bool:
    return any(Path(out).exists() for out in job[1])


def _overlap(one: Path, other: Path) -> bool:
    return one.is_relative_to(other) or other.is_relative_to(one)


def _short(fingerprint: str) -> str:
    return fingerprint[:8]
