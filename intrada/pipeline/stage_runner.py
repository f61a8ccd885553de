"""Runs one stage: validates params and inputs, detects changes during the run, logs and records the run."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from string import Formatter
from types import ModuleType
from typing import Any, get_type_hints

from intrada.core import atomic, hash_cache, hashing
from intrada.core.config.load import load
from intrada.core.config.select import digest, select
from intrada.core.errors import UserError
from intrada.core.plain_text import logger
from intrada.core.stage import Choice, Context, In, Out, RoundOption, SetOption
from intrada.data import scratch, tables
from intrada.data.datasets import MISSING
from intrada.pipeline import (
    code_hash,
    execution_log,
    input_check,
    job_choice,
    output_guard,
    provenance,
    stage_progress,
    workload,
)

log = logger(__name__)
ARITHMETIC = ("torch", "torchvision", "numpy", "opencv-python-headless", "pillow")
RUNS = Path("runs")
RECOVERY_HINT = "if a stage writes it: `dvc repro` or `snakemake` restores or computes it; else put it there"


def execute(
    stage: str,
    params_file: Path,
    options: Mapping[str, Any],
    code: code_hash.Code | None = None,
    settings: Sequence[str] = (),
) -> None:
    """Run `stage` with the command line's `options` (its paths and choices, by name).

    The module's READS says which keys of the params file it may see. code: the package as it was before the
    stage was imported; settings: `key=value`, which replace values of the params file. Raises UserError when
    params or inputs are wrong, or when params, inputs, code or package versions change while the stage runs:
    DVC hashes them after the command and would record values that made nothing.
    """
    code = code or code_hash.reading(stage)
    module = import_module(f"intrada.stages.{stage}")
    marks = marks_of(module)
    chosen = load(params_file, settings)
    job_choice.check(stage, marks, options, chosen)
    name = job_name(stage, marks, options)
    keys = keys_of(module.READS, options)
    read, paths = _with_sets(marks, options)
    inputs = _inputs(read, paths)
    whole = chosen.model_dump(mode="json") if settings else None
    output_guard.check(read, paths, _named(inputs, read), params_file, whole)
    outputs = _outputs(marks, options)
    before = _state(inputs)
    with hash_cache.opened() as file_hash:
        hashes = _fingerprints(inputs, read, file_hash)
        recorded = input_check.recorded(file_hash)
        written_by = input_check.check((path for paths in inputs.values() for path in paths), recorded)
        input_check.keep_folders(outputs, recorded)
    values = provenance.values(chosen, keys)
    hash_files, versions = code_hash.of_stage(stage, values, code), _versions()
    code_hash.check(code_hash.FOLDER, hash_files)
    own = [name, digest(chosen, keys), *hash_files.values(), *versions]
    fingerprint = _fingerprint(own, hashes)
    command = [stage, "--params", str(params_file), *_set(settings), *_words(options)]
    logs = [execution_log.LOG.parent, *provenance.folders(name)]
    atomic.sweep([*(RUNS / name).glob("*/"), *logs, *{path.parent for path in outputs}])
    _tell(command, inputs, fingerprint)
    reporter = stage_progress.reporter(name, chosen)
    reporter.begin()
    made = provenance.Run(name, fingerprint, command, values, written_by)
    with (
        execution_log.logged(name, fingerprint, workload.of_job(name, chosen), outputs),
        made.recorded(_sources(inputs, hashes, read), outputs),
        scratch.copied(chosen.compute.scratch, _images(inputs, hashes, read, keys)),
    ):
        threads = chosen.compute.loader_threads
        context = Context(name, fingerprint, RUNS / name, report=reporter, loader_threads=threads)
        extra = {"context": context} if "context" in marks else {}
        module.run(select(chosen, keys), **options, **extra)
        if digest(load(params_file, settings), keys) != digest(chosen, keys):
            raise _changed(params_file)
        _refuse_changes(before, _state(inputs))
        code_hash.refuse_edits(hash_files, code_hash.of_stage(stage, values))
        if changed := {*versions} ^ {*_versions()}:
            raise _changed("installed packages: " + ", ".join(sorted(changed)))


def _refuse_changes(before: Mapping[Path, str], now: Mapping[Path, str]) -> None:
    """Raise UserError if an input has changed. before, now: path -> its state, from `_state`."""
    for path, state in now.items():
        if state != before[path]:
            raise _changed(path)


def _tell(command: Sequence[str], inputs: Mapping[str, list[Path]], fingerprint: str) -> None:
    """Log the command with all paths, its inputs and the fingerprint of the run."""
    log.debug(f"intrada {shlex.join(command)}")
    for key, paths in inputs.items():
        log.debug(f"{key}: {paths[0]}" + (f" and {len(paths) - 1} files" if paths[1:] else ""))
    log.debug(f"fingerprint of params, inputs and code: {fingerprint}")


def job_name(stage: str, marks: Mapping[str, object], options: Mapping[str, Any]) -> str:
    """Return the name of this job in dvc.yaml: `rank`, `preprocess@source`, `rank_round@r2`.

    A word of it is the value of a Choice, of the round, or the name of a data set: `preprocess_sources@a`.
    """
    words = [str(options[key]) for key, mark in marks.items() if _selects(mark, options.get(key))]
    for word in words:
        if "/" in word or not word.isprintable() or word in ("", ".", ".."):
            allowed = "printable text without /, since folders have this name"
            raise UserError(f"{stage}, its name", repr(word), allowed, "name it otherwise")
    for key, mark in marks.items():
        if isinstance(mark, (RoundOption, SetOption)) and options.get(key):
            stage, words = f"{stage}_{key}", [*words, str(options[key])]
    return "@".join([stage, *words])


def _selects(mark: object, value: object) -> bool:
    """Return whether an option is a Choice that is part of the job's name."""
    return isinstance(mark, Choice) and (bool(value) or not mark.optional)


def keys_of(reads: Iterable[str], options: Mapping[str, Any]) -> list[str]:
    """Return the keys of the params that a job reads, without those that name an option that is not given."""
    fields = {key: [field for _, field, _, _ in Formatter().parse(key) if field] for key in reads}
    return [
        key.format(**options) for key, names in fields.items() if all(options.get(name) for name in names)
    ]


def marks_of(module: ModuleType) -> dict[str, object]:
    """Return the options of a stage or command by name, each with its type: In, Out, Choice, Context..."""
    hints = get_type_hints(module.run, include_extras=True)
    return {
        key: hint.__metadata__[0] if hasattr(hint, "__metadata__") else hint
        for key, hint in hints.items()
        if key not in ("params", "return")
    }


def _with_sets(
    marks: Mapping[str, object], options: Mapping[str, Any]
) -> tuple[dict[str, object], dict[str, Any]]:
    """Return both with one more input for the index of each data set that a table of data sets names."""
    indexes = {
        f"{key} {name}": index
        for key, mark in marks.items()
        if isinstance(mark, In) and mark.sets and options[key].exists()
        for name, index in tables.indexes_of(options[key]).items()
    }
    mark = In("index.csv of a data set", index=True)
    return {**marks, **dict.fromkeys(indexes, mark)}, {**options, **indexes}


def _inputs(marks: Mapping[str, object], options: Mapping[str, Any]) -> dict[str, list[Path]]:
    """Return the paths of each input; for an index, also the files that it names."""
    inputs: dict[str, list[Path]] = {}
    for key, mark in marks.items():
        if isinstance(mark, In):
            inputs[key] = []
            for path in options[key] if mark.many else [options[key]]:
                if not path.exists():
                    allowed = "raw data" if mark.raw else "an output of an earlier stage, or a file of yours"
                    fix = MISSING if mark.raw else RECOVERY_HINT
                    raise UserError(path, "no such file or folder", allowed, fix)
                inputs[key] += [path, *(tables.files_of(path) if mark.index else [])]
    return inputs


def _named(inputs: Mapping[str, list[Path]], marks: Mapping[str, object]) -> list[Path]:
    """Return the files that the indexes name."""
    indexes = (paths for key, paths in inputs.items() if isinstance(mark := marks[key], In) and mark.index)
    return [path for paths in indexes for path in paths[1:]]


def _state(inputs: Mapping[str, list[Path]]) -> dict[Path, str]:
    return {path: hashing.stat_fingerprint(path) for paths in inputs.values() for path in paths}


def _versions() -> list[str]:
    """Return the versions of the packages on which the numbers depend."""
    return [f"{name} {provenance.version(name)}" for name in ARITHMETIC]


def _fingerprints(
    inputs: Mapping[str, list[Path]], marks: Mapping[str, object], file_hash: Callable[[Path], str]
) -> dict[str, list[str]]:
    """Return the fingerprint of each path of `inputs`, for raw data by size and time only."""

    def of(key: str, path: Path) -> str:
        raw = _is_raw(marks[key])
        return hashing.stat_fingerprint(path) if raw else hashing.fingerprint(path, file_hash)

    return {key: [of(key, path) for path in paths] for key, paths in inputs.items()}


def _fingerprint(parts: list[str], hashes: Mapping[str, list[str]]) -> str:
    parts = [*parts, *(one for _, several in sorted(hashes.items()) for one in several)]
    return hashlib.blake2b("\n".join(parts).encode(), digest_size=16).hexdigest()


def _images(
    inputs: Mapping[str, list[Path]],
    hashes: Mapping[str, list[str]],
    marks: Mapping[str, object],
    keys: Iterable[str],
) -> dict[Path, str]:
    """Return the hashes of the files that the indexes name; none unless the stage computes with networks."""
    if "compute.device" not in keys:
        return {}
    indexes = [key for key, mark in marks.items() if isinstance(mark, In) and mark.index]
    return {
        path: hashed for key in indexes for path, hashed in zip(inputs[key][1:], hashes[key][1:], strict=True)
    }


def _is_raw(mark: object) -> bool:
    return isinstance(mark, In) and mark.raw


def _sources(
    inputs: Mapping[str, list[Path]], hashes: Mapping[str, list[str]], marks: Mapping[str, object]
) -> list[provenance.Source]:
    """Return the inputs with their fingerprints for the record of the run."""
    sources = []
    for key, paths in inputs.items():
        mark, prints = marks[key], hashes[key]
        if isinstance(mark, In) and mark.index:  # the other paths are the files that it names
            named = dict(zip(map(Path.as_posix, paths[1:]), prints[1:], strict=True))
            sources.append(provenance.Source(paths[0], prints[0], named))
        else:
            pairs = zip(paths, prints, strict=True)
            sources += [provenance.Source(path, own, raw=_is_raw(mark)) for path, own in pairs]
    return sources


def _outputs(marks: Mapping[str, object], options: Mapping[str, Any]) -> list[Path]:
    return [Path(options[key]) for key, mark in marks.items() if isinstance(mark, Out) and options.get(key)]


def _words(options: Mapping[str, Any]) -> list[str]:
    """Return the given options in the form of the command line."""
    words = []
    for key, value in options.items():
        if value:
            values = [] if value is True else value if isinstance(value, list) else [value]
            words += [f"--{key.replace('_', '-')}", *map(str, values)]
    return words


def _set(settings: Sequence[str]) -> list[str]:
    return [word for setting in settings for word in ("--set", setting)]


def _changed(what: Path | str) -> UserError:
    return UserError(
        what,
        "changed while the stage ran, so its result belongs to neither state",
        "params, inputs and packages that do not change during a run",
        "run the same command again, which uses the present ones",
    )
