"""The hash files of the code: what an edit changes, on a copy of the package."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from intrada.core.errors import UserError
from intrada.pipeline import code_hash
from intrada.stages import STAGES
from tests.support.definition import ROOT
from tests.support.tiny_project import tree

TRAININGS = {"train_source.txt", "train_inter.txt", "train_intra.txt"}


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the package, whose code is hashed in place of the package's own."""
    copy = tmp_path / "copy/intrada"
    shutil.copytree(ROOT / "intrada", copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(code_hash, "PACKAGE", copy)
    return copy


def changed_by(edit: Callable[[], object]) -> set[str]:
    """The hash files that differ after `edit`."""
    before = code_hash.texts()
    edit()
    after = code_hash.texts()
    assert after.keys() == before.keys()
    return {name for name, text in after.items() if text != before[name]}


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def modules_of(text: str) -> list[str]:
    return [line.split()[0] for line in text.splitlines()[1:]]


def test_there_is_a_file_for_each_stage_and_each_choice() -> None:
    named = {f"{kind}/{name}" for kind, found in code_hash.REGISTRIES.items() for name in found}
    assert code_hash.texts().keys() == {f"{name}.txt" for name in {*STAGES, *named}}


def test_a_file_begins_with_the_version_of_python_and_names_each_module_with_its_hash() -> None:
    first, *lines = code_hash.texts()["rank.txt"].splitlines()
    assert first == f"python {sys.version_info.major}.{sys.version_info.minor}"
    names = [line.split()[0] for line in lines]
    assert {"intrada.stages.rank", "intrada.methods.ranking", "intrada.core.files"} <= set(names)
    assert names == sorted(names)
    assert all(len(line.split()[1]) == 32 for line in lines)


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["preprocess", "train_intra", "evaluate", "report"])
def test_a_stage_that_runs_has_imported_no_module_that_its_file_leaves_out(stage: str) -> None:
    """Packages aside: their files are docstrings, registries and the public API."""
    script = f"""
import sys
from importlib import import_module
import_module("intrada.stages.{stage}")
print(*[n for n, m in sys.modules.items() if n.split(".")[0] == "intrada" and not hasattr(m, "__path__")])
"""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    text = code_hash.texts()[f"{stage}.txt"]
    of_registries = {"intrada.data.datasets.base", "intrada.models.base", "intrada.methods.base"}
    assert set(done.stdout.split()) <= {*modules_of(text), *of_registries}


@pytest.mark.parametrize(
    "module", ["core/files.py", "core/config/schema.py", "methods/losses.py", "stages/rank.py"]
)
def test_comments_blanks_and_docstrings_change_nothing(package: Path, module: str) -> None:
    path = package / module

    def edit() -> None:
        text = re.sub(r'"""(?=[A-Z`])', '"""Another word. ', path.read_text(encoding="utf-8"))
        lines = text.splitlines()
        path.write_text("# a comment\n" + "\n".join(f"{line}  " for line in lines) + "\n\n", encoding="utf-8")

    assert changed_by(edit) == set()


def test_a_docstring_more_or_less_changes_nothing(package: Path) -> None:
    path = package / "methods/ranking.py"
    path.write_text(path.read_text() + "\n\ndef new() -> None:\n    return\n")
    assert (
        changed_by(lambda: replace(path, "def new() -> None:\n", 'def new() -> None:\n    """New."""\n'))
        == set()
    )


def test_a_string_that_is_no_docstring_counts(package: Path) -> None:
    path = package / "methods/ranking.py"
    path.write_text(path.read_text() + '\nNAME = "one"\n')
    assert changed_by(lambda: replace(path, 'NAME = "one"', 'NAME = "two"')) == {"rank.txt"}


def test_a_constant_in_the_losses_changes_the_trainings_and_the_methods_alone(package: Path) -> None:
    path = package / "methods/losses.py"
    path.write_text(path.read_text() + "\nSCALE = 1.0\n")
    found = changed_by(lambda: replace(path, "SCALE = 1.0", "SCALE = 2.0"))
    assert found == TRAININGS | {f"methods/{name}.txt" for name in code_hash.REGISTRIES["methods"]}


def test_a_formula_in_the_ranking_changes_rank_alone_and_put_back_nothing(package: Path) -> None:
    path, before = package / "methods/ranking.py", code_hash.texts()
    text = path.read_text()
    edited = text.replace("np.argsort(scores", "np.argsort(-scores")
    assert edited != text
    assert changed_by(lambda: path.write_text(edited)) == {"rank.txt"}
    path.write_text(text)
    assert code_hash.texts() == before


@pytest.mark.parametrize(
    "module, names",
    [
        ("models/small.py", {"models/small.txt"}),
        ("data/datasets/gta5.py", {"datasets/gta5.txt"}),
        ("methods/advent.py", {"methods/advent.txt"}),
        ("methods/source_only.py", {"methods/source_only.txt", "train_intra.txt"}),  # where no image is hard
    ],
)
def test_a_module_that_params_choose_changes_its_own_file(
    package: Path, module: str, names: set[str]
) -> None:
    path = package / module
    assert changed_by(lambda: path.write_text(path.read_text() + "\nEDITED = 1\n")) == names


def test_the_pages_style_script_and_template_count_by_their_bytes(package: Path) -> None:
    for name in ("base.css", "viewer.js", "page.html.j2"):
        path = package / "evaluation/reporting/page" / name
        assert changed_by(lambda path=path: path.write_text(path.read_text() + " ")) == {"report.txt"}


def test_no_other_file_stands_beside_a_module() -> None:
    """One of another kind would be read without being hashed."""
    known = {".py", ".pyc", ".typed", *code_hash.ASSETS}
    assert {path.suffix for path in (ROOT / "intrada").rglob("*") if path.is_file()} <= known


def test_one_model_more_changes_no_stage(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its line in the registry is no code of the stages; what the registry does with the name is."""
    registry = package / "models/__init__.py"
    assert (
        changed_by(lambda: replace(registry, "MODELS = {", 'MODELS = {\n    "tiny": "intrada.models.tiny",'))
        == set()
    )
    found = changed_by(lambda: replace(registry, "return cast", "num_classes += 0\n    return cast"))
    assert "train_inter.txt" in found and "rank.txt" not in found


def test_an_import_within_a_function_counts(package: Path) -> None:
    path = package / "stages/rank.py"
    path.write_text(
        path.read_text() + "\n\ndef late() -> None:\n    from intrada.methods import losses\n    losses\n"
    )
    assert "intrada.methods.losses" in modules_of(code_hash.texts()["rank.txt"])


def test_a_relative_import_counts(package: Path) -> None:
    path = package / "stages/rank.py"
    path.write_text(path.read_text() + "\nfrom ..methods import losses\nfrom ..methods.entropy import *\n")
    assert {"intrada.methods.losses", "intrada.methods.entropy"} <= set(
        modules_of(code_hash.texts()["rank.txt"])
    )


def test_a_module_is_parsed_once_although_it_is_hashed_before_and_after_a_stage(
    package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code_hash.texts()
    parsed: list[str] = []
    parse = ast.parse
    monkeypatch.setattr(ast, "parse", lambda text, name: parsed.append(name) or parse(text, name))
    code_hash.texts()
    assert parsed == []
    replace(package / "stages/rank.py", "def run(", "\n\ndef run(")
    code_hash.texts()
    assert parsed == ["rank.py"]


def test_a_module_that_is_no_python_is_named(package: Path) -> None:
    (package / "methods/ranking.py").write_text("def rank(:\n")
    with pytest.raises(UserError, match=r"methods/ranking.py: invalid syntax"):
        code_hash.texts()


def test_a_registry_that_names_no_module_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(code_hash.REGISTRIES["models"], "tiny", "intrada.models.tiny")
    with pytest.raises(UserError, match=r"intrada.models.tiny: no such module"):
        code_hash.texts()


def test_the_code_of_a_stage_is_its_own_and_that_of_the_modules_that_params_choose() -> None:
    params = tree()

    def files(stage: str, *keys: str) -> set[str]:
        return set(code_hash.of_stage(stage, {key: params[key] for key in keys}))

    training = {"train_inter.txt", "models/small.txt", "methods/advent.txt"}
    assert files("train_inter", "seed", "model", "train_inter") == training
    assert files("evaluate", "model", "evaluate") == {"evaluate.txt", "models/small.txt"}
    assert files("check", "preprocess") == {"check.txt", "datasets/gta5.txt", "datasets/cityscapes.txt"}
    assert files("report", *params) == {"report.txt"}  # it prints the names of the modules
    source = {"preprocess.source": params["preprocess"]["source"]}
    assert code_hash.of_stage("preprocess", source).keys() == {"preprocess.txt", "datasets/gta5.txt"}
    found = code_hash.of_stage(
        "train_inter", {"model": params["model"], "train_inter": params["train_inter"]}
    )
    assert found == {name: text for name, text in code_hash.texts().items() if name in training}


def test_the_modules_that_are_not_followed_exist() -> None:
    assert set(code_hash.EXEMPT) <= code_hash.Code(code_hash.PACKAGE).modules.keys()


def test_files_of_another_python_are_told(tmp_path: Path) -> None:
    assert code_hash.is_of_this_python(tmp_path)  # none yet
    code_hash.write(tmp_path, code_hash.texts())
    assert code_hash.is_of_this_python(tmp_path)
    path = tmp_path / "models/small.txt"
    path.write_text("python 2.7" + path.read_text().removeprefix("python 3.11"))
    assert not code_hash.is_of_this_python(tmp_path)


def test_code_that_was_edited_after_a_run_began_stops_a_stage_that_dvc_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code_hash.write(tmp_path, {"rank.txt": "old\n"})
    code_hash.check(tmp_path, {"rank.txt": "new\n"})  # by hand: nothing is recorded
    monkeypatch.setenv("DVC_STAGE", "rank")
    code_hash.check(tmp_path, {"rank.txt": "old\n", "not_there.txt": ""})
    with pytest.raises(UserError, match=r"rank.txt: the code was edited since this run began"):
        code_hash.check(tmp_path, {"rank.txt": "new\n"})


def test_a_file_is_written_where_its_content_differs(tmp_path: Path) -> None:
    folder = tmp_path / "code"
    assert code_hash.write(folder, {"a.txt": "1\n", "models/b.txt": "python 3.11\n2\n"})
    times = {path: path.stat().st_mtime_ns for path in folder.rglob("*.txt")}
    assert not code_hash.write(folder, {"a.txt": "1\n", "models/b.txt": "python 3.11\n2\n"})
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*.txt")} == times
    assert code_hash.write(folder, {"a.txt": "3\n", "models/b.txt": "python 3.11\n2\n"})
    assert (folder / "a.txt").read_text() == "3\n"
    assert (folder / "models/b.txt").stat().st_mtime_ns == times[folder / "models/b.txt"]
    assert code_hash.write(folder, {"a.txt": "3\n"})
    assert [path.name for path in folder.rglob("*.txt")] == ["a.txt"]
