"""Fuzz dvc.lock, DVC's list of locked paths and the output of `published`.

Each content and each path is accepted, or a UserError says what to do.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intrada.commands import published
from intrada.core.config import plain_yaml
from intrada.core.errors import UserError
from intrada.pipeline import dvc_api, dvc_recovery, output_guard, stage_runner
from tests.support import dvc_project
from tests.support.fuzzing import TEXT, VALUES, damaged, fuzz, mutated, user_error

HASH = {"hash": "md5", "md5": "d41d8cd98f00b204e9800998ecf8427e", "size": 0}
STAGE = {"cmd": "true", "deps": [{"path": "in.txt", **HASH}], "outs": [{"path": "out.txt", **HASH}]}
LOCK: dict[str, Any] = {"schema": "2.0", "stages": {"alpha": STAGE, "beta": STAGE}}
OWNER = {"pid": 1, "cmd": "dvc repro"}
HELD: dict[str, Any] = {"write": {"/a": OWNER}, "read": {"/b": [OWNER, {**OWNER, "pid": 2**22 + 1}]}}
HARD = (b"{a: " * 5000 + b"\n", b"a: &x [*x]\n", b"[" + b"1" * 5000 + b"]\n", b'{"a":' * 10**5)
MARKERS = (b"<<<<<<< HEAD\n", b"=======\n", b">>>>>>> theirs\n", b"||||||| base\n")


@pytest.fixture(autouse=True)
def working_directory(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests run in the project."""
    monkeypatch.chdir(project)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A DVC project without stages."""
    with dvc_project.made(tmp_path_factory) as folder:
        return folder


@fuzz
@given(st.data())
def test_a_dvc_lock_of_any_content(project: Path, data: st.DataObject) -> None:
    text = plain_yaml.dump(LOCK).encode()
    content = data.draw(
        damaged(text)
        | mutated(LOCK).map(lambda tree: plain_yaml.dump(tree).encode("utf-8", "replace"))
        | VALUES.map(lambda tree: json.dumps(tree).encode())
        | st.binary(max_size=60)
        | st.sampled_from(HARD)
    )
    lock, good = project / "dvc.lock", project / ".dvc/tmp" / dvc_recovery.GOOD
    lock.write_bytes(content)
    if data.draw(st.booleans()):
        good.write_bytes(text)
    else:
        good.unlink(missing_ok=True)
    if not user_error(lambda: dvc_recovery.prepare(project)) and lock.exists():
        with dvc_api.opened(project) as repo:
            assert dvc_api.readable(repo, lock)


@fuzz
@given(st.lists(st.sampled_from(MARKERS), max_size=3), st.integers(0, 20))
def test_a_dvc_lock_with_a_conflict_is_refused_wherever_the_markers_are(
    project: Path, more: list[bytes], line: int
) -> None:
    lines = plain_yaml.dump(LOCK).encode().splitlines(keepends=True)
    for marker in [*more, MARKERS[0]]:
        lines.insert(min(line, len(lines)), marker)
    content = b"".join(lines)
    (project / "dvc.lock").write_bytes(content)
    with pytest.raises(UserError, match="contains a merge conflict"):
        dvc_recovery.prepare(project)
    assert (project / "dvc.lock").read_bytes() == content


@fuzz
@given(st.data())
def test_a_list_of_locked_paths_of_any_content(project: Path, data: st.DataObject) -> None:
    content = data.draw(
        damaged(json.dumps(HELD).encode())
        | (mutated(HELD) | VALUES).map(lambda tree: json.dumps(tree).encode("utf-8", "replace"))
        | st.binary(max_size=60)
        | st.sampled_from(HARD)
    )
    (project / "dvc.lock").unlink(missing_ok=True)
    (project / ".dvc/tmp/rwlock").write_bytes(content)
    user_error(lambda: dvc_recovery.prepare(project))


@pytest.mark.parametrize("pid", [2**70, -(2**31) - 1, 1.5, None, "1", [1]])
def test_a_process_id_that_is_none_is_refused(project: Path, pid: object) -> None:
    (project / "dvc.lock").unlink(missing_ok=True)
    path = project / ".dvc/tmp/rwlock"
    path.write_text(json.dumps({"write": {"/a": {"pid": pid, "cmd": "x"}}, "read": {}}))
    with pytest.raises(UserError, match="rwlock: cannot be read"):
        dvc_recovery.prepare(project)


def test_the_command_of_an_ended_process_reaches_the_terminal_without_control_characters(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "dvc.lock").unlink(missing_ok=True)
    held = {"write": {"/a": {"pid": 2**22 + 1, "cmd": "\x1b[2Jdvc"}}, "read": {}}
    (project / ".dvc/tmp/rwlock").write_text(json.dumps(held))
    dvc_recovery.prepare(project)
    assert "('\\x1b[2Jdvc')" in capsys.readouterr().err


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo])
def test_a_dvc_lock_that_is_no_file_is_refused(project: Path, make: Callable[[Path], object]) -> None:
    lock = project / "dvc.lock"
    lock.unlink(missing_ok=True)
    make(lock)
    with pytest.raises(UserError, match=r"dvc\.lock: a (folder|pipe)"):
        dvc_recovery.prepare(project)
    lock.rmdir() if lock.is_dir() else lock.unlink()


PARTS = (
    st.sampled_from(["..", ".", "", "a", "~", " ", "results", "x\n", "\x1b[2J", "-", "\udcff", "a" * 300])
    | TEXT
)


@fuzz
@given(st.lists(PARTS, min_size=1, max_size=4).map("/".join), st.booleans())
def test_an_output_of_published_is_accepted_or_refused_before_anything_is_written(
    project: Path, text: str, absolute: bool
) -> None:
    out = Path(("/" if absolute else "") + text.replace("\0", ""))  # no command line contains a zero byte
    missing = {"params": Path("gone.yaml"), "model": [Path("gone.pth")], "root": Path("gone"), "weights": []}
    before = {path.name for folder in ("/", "..", ".") for path in Path(folder).iterdir()}
    marks = stage_runner.marks_of(published)
    error = user_error(lambda: output_guard.check(marks, missing | {"out": out}))
    assert {path.name for folder in ("/", "..", ".") for path in Path(folder).iterdir()} == before
    if absolute or ".." in out.parts:
        assert error and error.where == "--out"
