"""The params with which artifacts were made, from the records of the runs that wrote them.

A record is found by the fingerprint of an artifact, and the records upstream of it by the fingerprints of the
inputs that its run read. params.yaml may have been edited since, also while a pipeline ran.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from intrada.core import hashing
from intrada.core.files import unreadable
from intrada.data import tables
from intrada.pipeline.records import Record, files_of

OWN = (
    "rounds",
    "select",
    "report",
)  # the params that the report records: no stage reads `select`, and only analyse reads all of `rounds`
PRINTED = "params.json"  # the file name of the report's output with the params of its runs
WHOLE = "options"  # a block without fixed keys: with different keys it has different values
Fingerprint = Callable[
    [str], str | None
]  # path -> fingerprint of the present file or folder, None if missing


@dataclass(frozen=True)
class RunParams:
    """The params of several runs.

    artifacts: files and folders that the runs made, directly or through others. params: nested, the values in
    which all runs agree. different: dotted key -> job -> its value, for the other keys. not_recorded: dotted
    keys without a recorded run. files: files and folders without a recorded run.
    """

    artifacts: list[str]
    params: dict[str, Any]
    different: dict[str, dict[str, Any]] = field(default_factory=dict)
    not_recorded: list[str] = field(default_factory=list)
    files: list[str] = field(default_factory=list)

    def value(self, key: str, job: str) -> Any:
        """Return the value under a dotted key in the run of `job`; None if it is not recorded."""
        return self.different[key].get(job) if key in self.different else _at(self.params, key)


def collect(
    artifacts: Iterable[str],
    own: Mapping[str, Any],
    present: Mapping[str, Any],
    records: Sequence[Record],
    fingerprint: Fingerprint,
) -> RunParams:
    """Return the params of the runs that made `artifacts`, paths of files or folders.

    own: the params that the caller itself uses, by dotted key. present: all params, nested. They give the
    order of the keys. If several runs wrote the same bytes, the run with most of these values counts, and
    of several such runs the last.
    """
    runs, files = trace(artifacts, present, records, fingerprint)
    trees = {"report": _nested(own)}
    for run in runs:
        trees[f"{run.job} (another run)" if run.job in trees else run.job] = _nested(run.params)
    different: dict[str, dict[str, Any]] = {}
    params = _in_order_of(present, _merge((), trees, different))
    return RunParams([*artifacts], params, different, [*_missing((), present, params, different)], files)


def trace(
    artifacts: Iterable[str],
    present: Mapping[str, Any],
    records: Sequence[Record],
    fingerprint: Fingerprint,
) -> tuple[list[Record], list[str]]:
    """Return the runs that made `artifacts`, directly or through others, and the files without a record.

    The parameters are those of `collect`.
    """
    return _Records(records, present, fingerprint).trace(artifacts)


def read(path: Path) -> RunParams:
    """Return the params that a report wrote as JSON. UserError if the file is not one."""
    try:
        return RunParams(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise unreadable(path, error, "the params as the report writes them") from error


def outdated(report: Record, records: Sequence[Record], fingerprint: Fingerprint) -> Iterator[str]:
    """Yield a message for each value that a report prints and the runs of the present artifacts did not use.

    report: the record of the run that wrote the present report. Of runs that wrote the same bytes, the one
    that agrees with the report counts.
    """
    for path in report.outputs:
        if Path(path).name == PRINTED:
            printed = read(Path(path))
            own = {name: printed.params.get(name) for name in OWN}
            found = collect(printed.artifacts, own, printed.params, records, fingerprint)
            shown, used = _texts(printed), _texts(found)
            for key in {**used, **shown}:
                if shown.get(key) != used.get(key):
                    yield f"{path} prints {shown.get(key)} as {key}, but the runs used {used.get(key)}"


def _texts(params: RunParams) -> dict[str, str]:
    """Return dotted key -> value as JSON, with the job for a value that differs between the runs."""

    def leaves(at: tuple[str, ...], value: Any) -> Iterator[tuple[str, str]]:
        if isinstance(value, dict) and value:
            for name, inner in value.items():
                yield from leaves((*at, name), inner)
        else:
            yield ".".join(at), json.dumps(value)

    differing = {
        key: ", ".join(f"{json.dumps(value)} ({job})" for job, value in values.items())
        for key, values in params.different.items()
    }
    return dict(leaves((), params.params)) | differing


class _Records:
    """The records by the files that they wrote."""

    def __init__(
        self, records: Sequence[Record], present: Mapping[str, Any], fingerprint: Fingerprint
    ) -> None:
        self._present, self._fingerprint = present, fingerprint
        self._paths = dict.fromkeys(sorted(path for record in records for path in record.outputs))
        self._wrote: dict[tuple[str, str], list[Record]] = {}
        for record in records:
            for output in record.outputs.items():
                self._wrote.setdefault(output, []).append(record)

    def trace(self, artifacts: Iterable[str]) -> tuple[list[Record], list[str]]:
        """Return the runs that wrote the artifacts and their inputs, and the files without a record."""
        found: dict[int, Record] = {}
        unknown: dict[str, None] = {}
        start = {path: self._fingerprint(path) for name in artifacts for path in self._written(name)}
        pending: list[tuple[Mapping[str, str | None], Mapping[str, str]]] = [(start, {})]
        while pending:
            wanted, images = pending.pop()
            for path, fingerprint in wanted.items():
                if fingerprint is None or not (candidates := self._wrote.get((path, fingerprint))):
                    unknown[path] = None
                    continue
                run = candidates[0]
                if len(candidates) > 1:
                    run = max(candidates, key=partial(self._rank, path, wanted, images.get(path)))
                if id(run) not in found:
                    found[id(run)] = run
                    pending.append((self._inputs(run), run.images))
        return sorted(found.values(), key=lambda run: (run.job, run.start)), sorted(unknown)

    def _written(self, name: str) -> list[str]:
        """Return the recorded outputs below an artifact that is the folder of several; else its name."""
        below = [path for path in self._paths if Path(path).is_relative_to(name)]
        return [path for path in below if self._fingerprint(path)] or [name]

    def _inputs(self, run: Record) -> dict[str, str | None]:
        """Return path -> fingerprint of the inputs of a run that another job has written."""
        inputs: dict[str, str | None] = {
            path: fingerprint for path, fingerprint in run.inputs.items() if path in self._paths
        }
        for path, sizes in run.sizes.items():  # raw data, recorded without their content
            if path in self._paths:
                same = Path(path).exists() and hashing.stat_fingerprint(Path(path), times=False) == sizes
                inputs[path] = self._fingerprint(path) if same else None
        return inputs

    def _rank(
        self, path: str, wanted: Mapping[str, str | None], images: str | None, record: Record
    ) -> tuple[Any, ...]:
        """Return how well a run fits: its other outputs and images, its params, the time."""
        fits = sum(wanted.get(output) == value for output, value in record.outputs.items())
        same = sum(_at(self._present, key) == value for key, value in record.params.items())
        return fits, images is None or self._images(record, path) == images, same, record.start

    def _images(self, record: Record, index: str) -> str | None:
        """Return the joint fingerprint of the files that an index named when this run had written it."""
        if self._fingerprint(index) != record.outputs[index]:
            return None
        written = dict(record.outputs)
        for folder, value in record.outputs.items():
            written |= {f"{folder}/{name}": one for name, one in files_of(value).items()}
        paths = [path.as_posix() for path in tables.files_of(Path(index))]
        named = {path: written.get(path) or self._fingerprint(path) or "" for path in paths}
        return hashing.joint_fingerprint(named)


def _nested(params: Mapping[str, Any]) -> dict[str, Any]:
    """Convert dotted keys to nested blocks."""
    tree: dict[str, Any] = {}
    for key, value in params.items():
        *above, last = key.split(".")
        block = tree
        for name in above:
            block = block.setdefault(name, {})
        block[last] = value
    return tree


def _at(tree: Any, key: str) -> Any:
    for name in key.split("."):
        tree = tree.get(name) if isinstance(tree, Mapping) else None
    return tree


def _merge(at: tuple[str, ...], given: Mapping[str, Any], different: dict[str, dict[str, Any]]) -> Any:
    """Return the value of all jobs. Keys with several values are put into `different` and left out."""
    values = [*given.values()]
    if all(value == values[0] for value in values):
        return values[0]
    if at[-1:] == (WHOLE,) or not all(isinstance(value, dict) for value in values):
        different[".".join(at)] = dict(given)
        return None
    merged = {}
    for name in dict.fromkeys(name for value in values for name in value):
        inner = (*at, name)
        value = _merge(inner, {job: value[name] for job, value in given.items() if name in value}, different)
        if ".".join(inner) not in different:
            merged[name] = value
    return merged


def _in_order_of(pattern: Any, tree: Any) -> Any:
    """Return `tree` with its keys in the order of `pattern`."""
    if not isinstance(pattern, Mapping) or not isinstance(tree, dict):
        return tree
    names = [*(name for name in pattern if name in tree), *(name for name in tree if name not in pattern)]
    return {name: _in_order_of(pattern.get(name), tree[name]) for name in names}


def _missing(
    at: tuple[str, ...], present: Mapping[str, Any], params: Mapping[str, Any], different: Mapping[str, Any]
) -> Iterable[str]:
    """Yield the dotted keys of `present` that no run has recorded, blocks as one key."""
    for name, value in present.items():
        key = ".".join((*at, name))
        if value is None or value == {} or key in different:
            continue
        if name not in params:
            yield key
        elif isinstance(value, Mapping) and isinstance(params[name], Mapping) and name != WHOLE:
            yield from _missing((*at, name), value, params[name], different)
