"""The imports between the modules of intrada, from the syntax trees; imports in functions are included."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

from tests.support.definition import ROOT

PACKAGE = ROOT / "intrada"


@cache
def modules() -> dict[str, Path]:
    """Return the file of every module by its dotted name; a package is its __init__.py."""
    by_name = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        by_name[name.removesuffix(".__init__")] = path
    return by_name


@cache
def parsed(name: str) -> ast.Module:
    return ast.parse(modules()[name].read_text(encoding="utf-8"))


@cache
def imports(name: str) -> frozenset[str]:
    """Return the modules of intrada that a module imports."""
    names: set[str] = set()
    for node in ast.walk(parsed(name)):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name} has a relative import"
            base = node.module or ""
            names |= {
                f"{base}.{alias.name}" if f"{base}.{alias.name}" in modules() else base
                for alias in node.names
            }
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return frozenset(names & modules().keys())


def is_package(name: str) -> bool:
    return modules()[name].name == "__init__.py"


def closure(name: str) -> set[str]:
    """Return `name` and its direct and indirect imports; the imports of packages (registries) are left out."""
    visited: set[str] = set()
    pending = [name]
    while pending:
        current = pending.pop()
        if current not in visited:
            visited.add(current)
            pending += [] if is_package(current) else imports(current)
    return visited
