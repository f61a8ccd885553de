"""No output may destroy an input, raw data, the params file, the cache, another output or the project."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intrada.commands import COMMANDS
from intrada.core import atomic
from intrada.core.errors import UserError
from intrada.core.stage import Argument, In, Option, Out
from intrada.pipeline import kept_files, output_guard
from tests.support.definition import ROOT
from tests.support.tiny_project import change, tree, write_params

MARKS: dict[str, object] = {
    "read": In(""),
    "folder": In("", raw=True),
    "images": Argument("", many=True),
    "model": Option("", "PATH", Path),
    "out": Out(""),
    "more": Out("", optional=True),
    "toy": Out("", raw=True),
    "named": Out("", inside=True),
    "schema": Out("", replaces="workflow/schemas/params.schema.yaml"),
}


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with files and folders to read, and links to them."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    folder = tmp_path / "place"
    for path in ("table.csv", "raw/images/a.png", "elsewhere/b.png", "far/c.png", "weights.bin"):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(path)
    monkeypatch.chdir(folder)
    Path("to_table").symlink_to("table.csv")
    Path("to_raw").symlink_to("raw")
    Path("raw/link").symlink_to(folder / "elsewhere")
    Path("raw/one.png").symlink_to(folder / "far/c.png")
    Path("hard").hardlink_to("table.csv")
    Path("dangling").symlink_to("raw/new")
    return folder


def refused(**options: Any) -> str:
    """Return the message for these options; "" if they are accepted."""
    try:
        output_guard.check(MARKS, {key: _path(value) for key, value in options.items()})
    except UserError as error:
        return error.found
    return ""


def _path(value: Any) -> Any:
    return Path(value) if isinstance(value, str) else value


@pytest.mark.parametrize(
    ("out", "how"),
    [
        ("table.csv", "is the input --read"),
        ("./raw/../table.csv", "is table.csv"),
        ("to_table", "is table.csv"),
        ("hard", "is table.csv"),
        ("raw", "is the input --folder"),
        ("to_raw", "is raw"),
        ("raw/images", "lies in raw"),
        ("to_raw/new/deep", "lies in raw"),
        ("dangling", "lies in raw"),
        (".", "contains"),
        ("..", "contains"),
        ("elsewhere/new", "lies in"),  # a link in the raw data leads there
        ("far", "contains"),
        ("far/c.png", "is"),
        ("params.yaml", "is the params file"),
        ("first", "is the output --more"),
        ("first/deep", "lies in first"),
        ("a", "contains a/model"),
    ],
)
def test_an_output_that_would_destroy_something_is_refused(out: str, how: str) -> None:
    given = {"read": "table.csv", "folder": "raw", "model": "a/model"}
    assert how in refused(**given, out=out, more="first")


@pytest.mark.parametrize("out", ["other.csv", "rawer", "raw.csv", "new/deep/x", "table.csv.bak", "far.csv"])
def test_other_outputs_are_accepted(out: str) -> None:
    assert refused(read="table.csv", folder="raw", out=out, more="first") == ""


def test_an_output_beside_an_input_in_a_folder_that_is_no_input_is_accepted() -> None:
    Path("results/evaluate/inter").mkdir(parents=True)
    assert refused(read="results/evaluate", out="results/report", more="results/table.csv") == ""
    assert refused(read="results/../results/evaluate", out="results/evaluate/../report") == ""


def test_a_link_in_an_output_to_a_folder_of_inputs_is_refused() -> None:
    Path("out/deep").mkdir(parents=True)
    Path("out/deep/overlay").symlink_to(Path("raw/images").absolute())
    assert "raw/images lies in raw" in refused(images=["raw"], out="out")
    Path("out/deep/overlay").unlink()
    Path("out/deep/a.png").symlink_to(Path("raw/images/a.png").absolute())  # is replaced, not written to
    assert refused(images=["raw"], out="out") == ""


def test_arguments_are_inputs_and_so_are_the_files_that_an_input_names() -> None:
    assert "lies in raw" in refused(images=["raw", "table.csv"], out="raw/predicted")
    assert "contains" in refused(images=["raw/images/a.png"], out="raw")
    with pytest.raises(UserError, match=r"raw contains raw/images/a\.png, a file that an input names"):
        output_guard.check(MARKS, {"out": Path("raw")}, [Path("raw/images/a.png")])


def test_raw_data_and_split_lists_of_the_params_are_kept() -> None:
    params = change(tree(), toycity={}, preprocess__source__root="raw", preprocess__val__root="elsewhere")
    write_params(change(params, preprocess__val__split="list:../far/c.png"))
    assert "lies in raw, raw data that" in refused(out="raw/new")
    assert "raw data" in refused(out="far/c.png")
    Path("other.yaml").write_bytes(Path("params.yaml").read_bytes())
    Path("params.yaml").unlink()
    assert "lies in raw, raw data that" in refused(out="raw/new", model="other.yaml")
    assert refused(out="raw/new") == ""


def test_the_toy_city_may_be_drawn_again_and_nothing_else_may_replace_it() -> None:
    Path("dvc.yaml").touch()
    Path("data/raw/toycity/gta5").mkdir(parents=True)
    Path("data/raw/mine").mkdir()
    write_params(tree())
    assert refused(toy="data/raw/toycity/gta5", out="table") == ""
    assert "raw data" in refused(out="data/raw/toycity/gta5/x")
    assert "raw data" in refused(toy="data/raw/mine")
    assert "raw data" in refused(out="data/raw/other")
    Path("data/raw/linked").symlink_to(Path("elsewhere").absolute())
    assert "raw data" in refused(out="elsewhere/x")


def test_dvcs_cache_and_remotes_are_kept_where_the_config_says() -> None:
    Path("dvc.yaml").touch()
    Path(".dvc").mkdir()
    Path(".dvc/config").write_text(
        "[core]\n    autostage = false\n['remote \"disk\"']\n    url = ../elsewhere\n"
    )
    Path(".dvc/config.local").write_text(f"[cache]\n    dir = {Path('far').absolute()}\n")
    for path in ("far/files", "elsewhere", ".dvc/cache/files"):
        assert "DVC's cache" in refused(out=path)
    Path("home/dvc").mkdir(parents=True)


@pytest.mark.parametrize("kind", ["symlink", "hardlink"])
def test_outputs_of_equal_content_may_share_an_object_of_the_cache(kind: str) -> None:
    """evaluate_snapshots copies its input: with these cache types DVC links both to one file."""
    Path("dvc.yaml").touch()
    cached = Path(".dvc/cache/files/md5/ab/c")
    cached.parent.mkdir(parents=True)
    cached.write_text("weights")
    cached.chmod(0o444)
    for name in ("last", "oracle", "label_free"):
        path = Path("results", name)
        path.parent.mkdir(exist_ok=True)
        path.symlink_to(cached.absolute()) if kind == "symlink" else path.hardlink_to(cached)
    shared = {"out": "results/oracle", "more": "results/label_free"}
    assert refused(read="results/last", **shared) == ""
    assert "is the input" in refused(read="results/oracle", **shared)
    assert "is the output" in refused(out="results/oracle", more="results/oracle")


def test_every_file_of_the_project_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    marks = {"out": Out("")}
    outputs = [*listed.stdout.split("\n")[:-1:20], *kept_files.OWN, ".", "ablation/.dvc/x", ".git/config"]
    for name in outputs:
        with pytest.raises(UserError):
            output_guard.check(marks, {"out": Path(name)})
    for name in ("results/x", "model.onnx", "data/preprocess/x", "ablation/results/x", "weights/mine.pth"):
        output_guard.check(marks, {"out": Path(name)})
    top = {name.split("/")[0] for name in listed.stdout.split()} - {"data", "weights", "ablation"}
    assert top <= set(kept_files.OWN)


def test_only_the_schema_may_replace_the_schema() -> None:
    shutil.copyfile(ROOT / "dvc.yaml", "dvc.yaml")
    Path("intrada").mkdir()
    Path("workflow/schemas").mkdir(parents=True)
    name = "workflow/schemas/params.schema.yaml"
    Path(name).touch()
    assert refused(schema=name) == ""
    assert "a file of the project" in refused(out=name)
    assert "a file of the project" in refused(schema="workflow/Snakefile")


@pytest.mark.parametrize("out", ["/outside", "../outside", "results/../../outside"])
def test_an_output_whose_table_names_its_files_must_be_inside(out: str) -> None:
    assert "outside of the project's folder" in refused(named=out)
    assert refused(named="results/inside") == ""


def test_an_experiment_below_dvcs_folder_may_write_its_results(monkeypatch: pytest.MonkeyPatch) -> None:
    """`dvc exp run --temp` runs in .dvc/tmp/exps/NAME."""
    inner = Path(".dvc/tmp/exps/tmp1")
    inner.mkdir(parents=True)
    for folder in (Path(), inner):
        (folder / "dvc.yaml").touch()
    monkeypatch.chdir(inner)
    assert refused(out="results/x") == ""
    assert "a file of the project" in refused(out="dvc.yaml")


def test_every_command_goes_through_the_guard(monkeypatch: pytest.MonkeyPatch) -> None:
    from intrada import cli

    seen = []
    monkeypatch.setattr(output_guard, "check", lambda marks, options, *_: seen.append(marks))
    monkeypatch.setattr(cli, "_module", lambda word: _Command)
    monkeypatch.setattr(cli, "_parsed", lambda name, arguments: {"level": logging.INFO})
    for word in COMMANDS:
        cli.run([word])
    assert len(seen) == len(COMMANDS)


class _Command:
    @staticmethod
    def run() -> None:
        """Do nothing."""


@pytest.mark.parametrize("link", [False, True])
def test_an_output_that_is_a_device_a_pipe_or_a_socket_is_refused(tmp_path: Path, link: bool) -> None:
    """A command writes a new file and renames it: run by root, it would replace /dev/null."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    named = tmp_path / "link" if link else pipe
    if link:
        named.symlink_to(pipe)
    with pytest.raises(UserError, match="is a device, a pipe or a socket"):
        output_guard.check({"out": Out("")}, {"out": named})
    assert pipe.is_fifo()


NAMES = st.sampled_from(["a", "b", "c"])
PATHS = st.lists(st.one_of(NAMES, st.just("..")), min_size=1, max_size=4).map("/".join)


@settings(max_examples=80)
@given(
    files=st.lists(PATHS, max_size=5),
    links=st.lists(st.tuples(PATHS, PATHS), max_size=4),
    read=PATHS,
    out=PATHS,
    is_folder=st.booleans(),
)
def test_what_is_accepted_leaves_every_input_as_it_was(
    files: list[str], links: list[tuple[str, str]], read: str, out: str, is_folder: bool
) -> None:
    with tempfile.TemporaryDirectory() as name, contextlib.chdir(name):
        # Four links, each at a path of four names and to one, and a path: .. never leads out of the temporary folder,
        # above which `content` would read the whole machine
        top = Path(*["w"] * (4 * (4 + 4) + 4))
        top.mkdir(parents=True)
        with contextlib.chdir(top):
            for path in files:
                with contextlib.suppress(OSError):
                    Path(path).parent.mkdir(parents=True, exist_ok=True)
                    Path(path).write_text(path)
            for path, target in links:
                with contextlib.suppress(OSError):
                    Path(path).symlink_to(target)
            before = content(Path(read))
            if before and not refused(folder=read, out=out):
                with contextlib.suppress(OSError), output_writer(Path(out), is_folder) as temporary:
                    (temporary / "new" if is_folder else temporary).write_text("new")
                assert content(Path(read)) == before


def output_writer(path: Path, is_folder: bool) -> contextlib.AbstractContextManager[Path]:
    return atomic.atomic_folder(path) if is_folder else atomic.atomic_file(path)


def content(path: Path) -> dict[str, str]:
    """Return the text of every file at or below `path` by name; links are followed."""
    if path.is_file():
        return {"": path.read_text()}
    found: list[Path] = []
    seen = set[str]()
    for above, folders, names in os.walk(path, followlinks=True):
        if os.path.realpath(above) in seen:  # links can form cycles, which a walk would follow for ever
            folders.clear()
            continue
        seen.add(os.path.realpath(above))
        found += [Path(above, name) for name in names]
    return {str(file): file.read_text() for file in found if file.is_file()}
