"""Hash the code of each stage: all modules that it imports, each with the hash of its syntax tree.

    results/code/<stage>.txt                            a stage and its direct and indirect imports
    results/code/{datasets,models,methods}/<name>.txt   the same for each module that params choose by name

DVC and Snakemake do not follow imports, so each stage in dvc.yaml depends on these files. Edits of comments,
blanks and docstrings do not change them. The fingerprint of a checkpoint uses the same text.
"""

from __future__ import annotations

import ast
import hashlib
import os
import re
import sys
from collections.abc import Iterator, Mapping
from functools import cached_property, lru_cache
from importlib.util import resolve_name
from pathlib import Path
from typing import Any, NamedTuple

from intrada.core import atomic, hashing
from intrada.core.errors import UserError
from intrada.core.file_errors import unreadable
from intrada.data.datasets import DATASETS
from intrada.methods import METHODS
from intrada.models import MODELS

PACKAGE = Path(__file__).parents[1]
FOLDER = Path("results/code")
REGISTRIES: dict[str, dict[str, str]] = {"datasets": DATASETS, "models": MODELS, "methods": METHODS}
ASSETS = (".css", ".j2", ".js")  # read by the modules of the folder that they are in
# Imports that are not followed: the public API, which no stage uses, and the modules that read params and run
# a stage. The values that a stage gets from them are in its `params` in dvc.yaml.
EXEMPT = (
    "intrada",
    "intrada.core.config.load",
    "intrada.pipeline.stage_runner",
    "intrada.pipeline.ablation.definition",
)
_IS_HASHES = re.compile(rb"python [0-9]+\.[0-9]+\n|$")  # or empty, as after a power cut
_VERSION = f"python {sys.version_info.major}.{sys.version_info.minor}"
Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


class Syntax(NamedTuple):
    """A module's hash, and each of its imports: level, module and names (none for `import module`)."""

    digest: str
    imports: list[tuple[int, str, list[str]]]


class Code:
    """The modules of the package at `folder`, read once. Raises UserError if one is not valid Python."""

    def __init__(self, folder: Path) -> None:
        self._top = folder.parent
        self._folder = folder
        self._read: dict[str, Syntax] = {}
        self._imports: dict[str, set[str]] = {}
        self._texts: dict[tuple[str, ...], str] = {}

    @cached_property
    def modules(self) -> dict[str, Path]:
        """Dotted name -> file; for a package its __init__.py."""
        paths = sorted(self._folder.rglob("*.py"))
        names = [".".join(path.relative_to(self._top).with_suffix("").parts) for path in paths]
        return {name.removesuffix(".__init__"): path for name, path in zip(names, paths, strict=True)}

    def closure(self, *names: str) -> list[str]:
        """Return `names` and all modules of the package that they import, directly or indirectly, sorted."""
        modules: set[str] = set()
        pending = [*names]
        while pending:
            current = pending.pop()
            if current not in modules:
                modules.add(current)
                pending += self.imports(current)
        return sorted(modules)

    def imports(self, name: str) -> set[str]:
        """Return the modules that a module imports, inside functions too, without those in EXEMPT."""
        if name not in self._imports:
            self._imports[name] = ({*self._named(name)} & self.modules.keys()) - {name, *EXEMPT}
        return self._imports[name]

    def text(self, *names: str) -> str:
        """Return a hash file's content: Python's minor version, then name and hash of each module.

        The version is included because the dump of a syntax tree differs between versions of Python.
        """
        if names not in self._texts:
            self._texts[names] = self._text(self.closure(*names))
        return self._texts[names]

    def _text(self, modules: list[str]) -> str:
        lines = [_VERSION, *(f"{name} {self._syntax(name).digest}" for name in modules)]
        folders = {self.modules[name].parent for name in modules}
        assets = {path for folder in folders for path in folder.iterdir() if path.suffix in ASSETS}
        lines += [f"{self._relative(path)} {hashing.fingerprint(path)}" for path in sorted(assets)]
        return "\n".join(lines) + "\n"

    def of_stage(self, stage: str, values: Mapping[str, Any]) -> dict[str, str]:
        """Return the hash files of `stage`, path below FOLDER -> module, with those of the chosen modules.

        values: the values of the params that the stage reads, by dotted key. They choose datasets, model and
        method.
        """
        own = f"intrada.stages.{stage}"
        used = self.closure(own)
        modules = {f"{stage}.txt": own}
        for kind, name in _chosen(values):
            if f"intrada.{_package(kind)}" in used:
                modules[f"{kind}/{name}.txt"] = REGISTRIES[kind][name]
        return modules

    def texts(self, files: Mapping[str, str]) -> dict[str, str]:
        """Return path -> content of the hash files, given path -> module."""
        return {path: self.text(module) for path, module in files.items()}

    def _named(self, importer: str) -> Iterator[str]:
        imports = self._syntax(importer).imports
        is_package = self.modules[importer].name == "__init__.py"
        package = importer if is_package else importer.rpartition(".")[0]
        for level, module, names in imports:
            whole = resolve_name("." * level + module, package)
            inner = [f"{whole}.{name}" for name in names]
            yield from (name if name in self.modules else whole for name in inner or [whole])

    def _syntax(self, name: str) -> Syntax:
        if name not in self.modules:
            fix = "fix the import string, or add the module"
            raise UserError(name, "no such module", "the modules of this package", fix)
        if name not in self._read:
            path = self.modules[name]
            try:
                self._read[name] = _syntax(path.read_bytes(), path.name)
            except (OSError, ValueError, SyntaxError) as error:
                raise unreadable(path, error, "a module of valid Python") from error
        return self._read[name]

    def _relative(self, path: Path) -> str:
        return path.relative_to(self._top).as_posix()


def reading(stage: str) -> Code:
    """Return the package with the modules of `stage` already read.

    Call it before Python imports them: an edit of a module between the two is then a difference.
    """
    code = Code(PACKAGE)
    code.text(f"intrada.stages.{stage}")
    return code


def of_stage(stage: str, values: Mapping[str, Any], code: Code | None = None) -> dict[str, str]:
    """Return path below FOLDER -> content of the hash files of `stage`; see Code.of_stage.

    code: the package as read earlier; None: as it is now.
    """
    code = code or Code(PACKAGE)
    return code.texts(code.of_stage(stage, values))


def refuse_edits(before: Mapping[str, str], now: Mapping[str, str]) -> None:
    """Raise UserError, which names the modules, unless the hash files of a stage are the same.

    DVC records a result under the hash files of the run, also if Python has loaded another version.
    """
    old, new = ({line for text in texts.values() for line in text.splitlines()} for texts in (before, now))
    if edited := sorted({line.partition(" ")[0] for line in old ^ new}):
        raise UserError(
            ", ".join(edited),
            "the code was edited while the stage ran, so its result belongs to neither version",
            "code that is not edited during a run",
            "run the same command again; a training whose code is put back resumes from its last checkpoint",
        )


def texts() -> dict[str, str]:
    """Return path below FOLDER -> content of the hash files of all stages and registered modules."""
    code = Code(PACKAGE)
    stages = [name for name in code.modules if name.startswith("intrada.stages.")]
    files = {f"{name.rpartition('.')[2]}.txt": name for name in stages}
    for kind, registry in REGISTRIES.items():
        files |= {f"{kind}/{name}.txt": module for name, module in registry.items()}
    return code.texts(files)


def write(folder: Path, texts: Mapping[str, str]) -> bool:
    """Write the files of `texts` (path below `folder` -> content). Returns whether any file has changed.

    Only files whose content differs are written, atomically; the others keep their modification time. Hash
    files that are not in `texts`, such as the file of a removed model, are deleted. UserError, and nothing is
    written, if it would delete another text file: the folder is not one of hashes.
    """
    atomic.sweep([folder, *folder.glob("*/")])
    present = {path.relative_to(folder).as_posix() for path in folder.rglob("[!.]*.txt")}
    if other := sorted(
        name for name in present - texts.keys() if not _IS_HASHES.match((folder / name).read_bytes())
    ):
        raise UserError(
            folder / other[0],
            "it is in a folder for hashes of the code, and holds something else",
            "a new folder, or one that `validate` wrote: it deletes text files that belong to removed code",
            "name another folder, or move the file away; nothing was written",
        )
    for name in present - texts.keys():
        (folder / name).unlink(missing_ok=True)
    changed = [name for name, text in texts.items() if not _holds(folder / name, text)]
    for name in changed:
        atomic.write_bytes(folder / name, texts[name].encode())
    return bool(changed or present - texts.keys())


def is_of_this_python(folder: Path) -> bool:
    """Return whether all files in `folder` were written by this minor version of Python."""
    return all(path.read_bytes().startswith(_VERSION.encode()) for path in folder.rglob("[!.]*.txt"))


def check(folder: Path, texts: Mapping[str, str]) -> None:
    """Raise UserError if DVC runs this process and the code differs from the hashes in `folder`.

    The files are written when a run begins, and the code may be edited while earlier stages run. DVC would
    then record the result under the hash of the old code.
    """
    if "DVC_STAGE" in os.environ:
        for name, text in texts.items():
            path = folder / name
            if path.is_file() and not _holds(path, text):
                raise UserError(
                    path, "the code was edited since this run began", "code that is not edited during a run",
                    "start again: what is finished is kept; after a change of Python's version, "
                    "`dvc repro -f -s validate` first",
                )  # fmt: skip


@lru_cache(maxsize=1024)
def _syntax(source: bytes, name: str) -> Syntax:
    """Parse a module's source; one is parsed once, since a stage hashes its code before and after it runs.

    name: of the file, for errors. ValueError and SyntaxError if it is not valid Python.
    """
    tree = ast.parse(source, name)
    imports: list[tuple[int, str, list[str]]] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imports += [(0, alias.name, []) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            imports.append((node.level, node.module or "", [alias.name for alias in node.names]))
        elif isinstance(node, Documented):
            node.body = [child for child in node.body if not _is_text(child)]
    tree.body = [node for node in tree.body if not _is_registry(node)]
    digest = hashlib.blake2b(ast.dump(tree).encode(), digest_size=16).hexdigest()
    return Syntax(digest, imports)


def _holds(path: Path, text: str) -> bool:
    return path.is_file() and path.read_bytes() == text.encode()


def _package(kind: str) -> str:
    return "data.datasets" if kind == "datasets" else kind


def _chosen(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """(registry, name) of every dataset, method and model that the params name, at any depth."""
    for key, value in values.items():
        if key in ("dataset", "method"):
            yield f"{key}s", value
        elif isinstance(value, Mapping):
            if key == "model":
                yield "models", value["name"]
            yield from _chosen(value)


def _is_text(node: ast.stmt) -> bool:
    """Whether the statement is nothing but a string."""
    value = node.value if isinstance(node, ast.Expr) else None
    return isinstance(value, ast.Constant) and isinstance(value.value, str)


def _is_registry(node: ast.stmt) -> bool:
    """Whether it assigns a dict of import strings."""
    if not isinstance(node, ast.Assign | ast.AnnAssign) or not isinstance(node.value, ast.Dict):
        return False
    values = [value.value if isinstance(value, ast.Constant) else None for value in node.value.values]
    return bool(values) and all(isinstance(value, str) and value.startswith("intrada.") for value in values)
