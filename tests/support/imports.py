"""Who imports whom in intrada, read from the code: at any depth of it, so a late import counts too."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

from tests.support.definition import ROOT

PACKAGE = ROOT / "intrada"


@cache
def modules() -> dict[str, Path]:
    """Dotted name -> file of every module; a package is its __init__.py."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        found[name.removesuffix(".__init__")] = path
    return found


@cache
def parsed(name: str) -> ast.Module:
    return ast.parse(modules()[name].read_text(encoding="utf-8"))


@cache
def imports(name: str) -> frozenset[str]:
    """The modules of intrada that a module names in an import; `from intrada.models import X` too."""
    found: set[str] = set()
    for node in ast.walk(parsed(name)):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name} has a relative import"
            whole = node.module or ""
            found |= {
                f"{whole}.{alias.name}" if f"{whole}.{alias.name}" in modules() else whole
                for alias in node.names
            }
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return frozenset(found & modules().keys())


def is_package(name: str) -> bool:
    return modules()[name].name == "__init__.py"


def closure(name: str) -> set[str]:
    """`name` and all that it imports, directly or not; packages, which are registries, end the way."""
    found: set[str] = set()
    pending = [name]
    while pending:
        current = pending.pop()
        if current not in found:
            found.add(current)
            pending += [] if is_package(current) else imports(current)
    return found
