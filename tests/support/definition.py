"""dvc.yaml with its templates resolved as DVC resolves them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from intrada.core.config import plain_yaml

ROOT = Path(__file__).resolve().parents[2]
TEMPLATE = re.compile(r"\$\{([^}]+)\}")


@dataclass(frozen=True)
class Job:
    """A stage of the resolved dvc.yaml. name: DVC's, as `preprocess@source`; argv: what follows `intrada`."""

    name: str
    argv: list[str]
    deps: list[str]
    params: list[str]
    outs: list[str]

    @property
    def word(self) -> str:
        """The name of the command."""
        return self.argv[0]

    @property
    def options(self) -> dict[str, str]:
        """The options of the command: argument of the stage's `run` -> value."""
        flags = [flag.removeprefix("--").replace("-", "_") for flag in self.argv[1::2]]
        return dict(zip(flags, self.argv[2::2], strict=True))


@cache
def stages() -> dict[str, Any]:
    """Return the `stages` of dvc.yaml, unresolved. The result is cached: do not change it."""
    loaded: dict[str, Any] = plain_yaml.parse((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    return loaded


def jobs(params: Mapping[str, Any]) -> dict[str, Job]:
    """Return the jobs that dvc.yaml defines for these params, by name, in the order of the file."""
    return {job.name: job for stage, block in stages().items() for job in _expanded(stage, block, params)}


def _expanded(stage: str, block: Mapping[str, Any], params: Mapping[str, Any]) -> Iterator[Job]:
    if "foreach" not in block:
        yield _job(stage, _filled(block, {**params, **_variables(block)}))
        return
    for key, item in _filled(block["foreach"], params).items():
        scope = {**params, **_variables(block["do"]), "key": key, "item": item}
        yield _job(f"{stage}@{key}", _filled(block["do"], scope))


def _variables(block: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for entry in block.get("vars", []) for key, value in entry.items()}


def _job(name: str, block: Mapping[str, Any]) -> Job:
    python, m, intrada, *argv = shlex.split(block["cmd"])
    assert (python, m, intrada) == ("python", "-m", "intrada"), block["cmd"]
    outs = [entry for kind in ("outs", "metrics", "plots") for entry in block.get(kind, [])]
    paths = [path for entry in outs for path in ([entry] if isinstance(entry, str) else entry)]
    return Job(name, argv, list(block["deps"]), list(block.get("params", [])), paths)


def _filled(value: Any, scope: Mapping[str, Any]) -> Any:
    if isinstance(value, Mapping):
        return {key: _filled(inner, scope) for key, inner in value.items()}
    if isinstance(value, list):
        return [_filled(inner, scope) for inner in value]
    if not isinstance(value, str):
        return value
    if whole := TEMPLATE.fullmatch(value):
        return _at(scope, whole[1])
    return TEMPLATE.sub(lambda match: str(_at(scope, match[1])), value)


def _at(scope: Any, key: str) -> Any:
    for name in key.split("."):
        scope = scope[name]
    return scope
