"""The rules of the house, read from the code."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from importlib import import_module

import pytest

from intrada.commands import COMMANDS
from intrada.data.datasets import DATASETS
from intrada.methods import METHODS
from intrada.models import MODELS
from intrada.stages import STAGES
from tests.support.definition import ROOT
from tests.support.imports import PACKAGE, closure, imports, modules, parsed

# The rooms, bottom first: a module imports its own room or one above it in this list.
ROOMS = {
    "core": "errors, files, locks, signals, seeding, hashing: nothing of the method, and no torch",
    "core.config": "params.yaml: its schema, how it is read, the classes",
    "core.distributed": "worker processes, the data-parallel process group, devices",
    "models": "the networks by name, and what prepares one",
    "data": "datasets by name, index.csv, batches",
    "methods": "the adaptation methods by name, losses, entropy, ranking, pseudo-labels",
    "inference": "predictions of a trained model, scores",
    "inference.deployment": "predictions for a user: images, videos, ONNX",
    "training": "the training loop, optimizers, checkpoints",
    "evaluation": "confusion matrices, IoU, selection of snapshots",
    "evaluation.reporting": "figures and the page",
    "pipeline": "running a stage, provenance, DVC and Snakemake, the ablation",
    "stages": "one file a stage: read, call, write",
    "commands": "one file a command",
    "cli": "the command line",
    "__main__": "python -m intrada",
}
LEVEL = {room: level for level, room in enumerate(ROOMS)}
HEAVY = ("torch", "torchvision", "matplotlib", "timm", "tensorboard")
REGISTRIES = {"data.datasets": DATASETS, "methods": METHODS, "models": MODELS}
Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def room(name: str) -> str:
    """`models` for intrada.models.small, `core.config` for intrada.core.config.schema."""
    inner = name.removeprefix("intrada.")
    return max((room for room in ROOMS if f"{inner}.".startswith(f"{room}.")), key=len, default=inner)


def below(name: str) -> list[str]:
    """What a module imports of intrada but the package itself."""
    return [imported for imported in imports(name) if imported != "intrada"]


MODULES = [name for name in modules() if name != "intrada"]


def test_every_module_is_in_a_room() -> None:
    assert {room(name) for name in MODULES} == set(LEVEL)


def test_imports_go_down_only() -> None:
    found = [(name, imported) for name in MODULES for imported in below(name)]
    assert not [(name, imported) for name, imported in found if LEVEL[room(imported)] > LEVEL[room(name)]]


def test_no_import_goes_round() -> None:
    order = list(TopologicalSorter({name: below(name) for name in MODULES}).static_order())
    assert len(order) >= len(MODULES)


def test_stages_never_import_stages() -> None:
    for name in MODULES:
        if room(name) == "stages":
            assert not [imported for imported in below(name) if room(imported) in ("stages", "commands")], (
                name
            )


def test_at_the_top_are_packages_and_the_command_line_alone() -> None:
    found = {path.name for path in PACKAGE.iterdir()} - {"__pycache__"}
    assert len(found) <= 14
    assert found - {path.name for path in PACKAGE.iterdir() if path.is_dir()} == {
        "__init__.py", "__main__.py", "cli.py", "py.typed",
    }  # fmt: skip


def test_one_module_alone_parses_yaml() -> None:
    for name, path in modules().items():
        found = {"yaml", "ruamel"} & set(re.findall(r"^\s*(?:import|from) (\w+)", path.read_text(), re.M))
        assert found == ({"ruamel"} if name == "intrada.core.config.plain_yaml" else set()), name


def test_only_the_pipeline_imports_the_drivers() -> None:
    for name in modules():
        if room(name) == "pipeline":
            continue
        for node in ast.walk(parsed(name)):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not {part.split(".")[0] for part in names} & {"tests", "dvc", "snakemake"}, name


@pytest.mark.parametrize("kind, name", [(kind, name) for kind, found in REGISTRIES.items() for name in found])
def test_a_registry_names_a_module_by_its_own_name(kind: str, name: str) -> None:
    path = REGISTRIES[kind][name]
    assert path == f"intrada.{kind}.{name}"
    assert callable(getattr(import_module(path), "losses" if kind == "methods" else "build"))


@pytest.mark.parametrize("kind, words", [("stages", STAGES), ("commands", COMMANDS)])
def test_each_word_of_the_command_line_is_a_file(kind: str, words: dict[str, str]) -> None:
    files = {path.stem for path in (PACKAGE / kind).glob("*.py")} - {"__init__"}
    assert files == set(words)
    assert all(callable(import_module(f"intrada.{kind}.{word}").run) for word in words)


def test_every_stage_says_which_params_it_reads() -> None:
    assert all(isinstance(import_module(f"intrada.stages.{stage}").READS, tuple) for stage in STAGES)


def public(node: ast.Module | ast.ClassDef, where: str) -> Iterator[tuple[str, bool]]:
    """(name, whether it has a docstring) of the public classes and functions in `node`.

    A method that overrides one, such as `forward`, is explained where it is first defined. A block of
    params (a subclass of Block) is explained key by key in params.yaml and at its fields.
    """
    for child in node.body:
        if isinstance(child, Definition) and not child.name.startswith("_"):
            bases = [base.id for base in getattr(child, "bases", []) if isinstance(base, ast.Name)]
            explained = ast.get_docstring(child) is not None or "Block" in bases
            yield f"{where}.{child.name}", explained or child.name in ("forward", "normalise", "step")
            if isinstance(child, ast.ClassDef):
                yield from public(child, f"{where}.{child.name}")


def test_everything_public_is_explained() -> None:
    assert not [name for name in modules() if not ast.get_docstring(parsed(name))]
    found = [each for name in modules() for each in public(parsed(name), name)]
    assert not [where for where, explained in found if not explained]


def test_files_and_functions_are_short() -> None:
    for name, path in modules().items():
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 300, name
        for node in ast.walk(parsed(name)):
            if isinstance(node, ast.FunctionDef):
                assert (node.end_lineno or 0) - node.lineno < 60, f"{name}.{node.name}"


def test_light_stages_import_nothing_heavy() -> None:
    script = f"""
import sys
from importlib import import_module
from intrada.__main__ import main
for stage in ("toycity", "check", "preprocess", "rank", "pseudo_label"):
    import_module("intrada.stages." + stage)
try:
    main(["rank", "--help"])
except SystemExit:
    pass
print([name for name in {HEAVY} if name in sys.modules])
"""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"


def test_what_the_drivers_start_imports_no_pandas_and_no_opencv() -> None:
    """They take longer to import than the modules take to do their work, once for each job."""
    script = """
import sys
import intrada.pipeline.job, intrada.pipeline.dvc_command, intrada.pipeline.plan, intrada.commands.validate
print([name for name in ("pandas", "cv2", "torch") if name in sys.modules])
"""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


@pytest.mark.parametrize(
    "name",
    [
        "core.config.classes",
        "core.files",
        "core.config.schema",
        "data.tables",
        "methods.ranking",
        "methods.pseudo_labels",
        "evaluation.metrics",
        "data.datasets",
    ],
)
def test_light_modules_name_nothing_heavy(name: str) -> None:
    for module in closure(f"intrada.{name}"):
        for node in ast.walk(parsed(module)):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not {part.split(".")[0] for part in names} & set(HEAVY), module
