"""DVC as the project's environment has it: what it writes is the old file or the new one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from dvc import rwlock
from dvc.fs import localfs
from dvc.lock import LockError
from dvc.utils.serialize import _common, _yaml, modify_yaml
from ruamel.yaml.representer import RepresenterError

from intrada.pipeline import dvc_command


@pytest.fixture
def patched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_common, "_dump_data", _common._dump_data)  # to come back after the test
    monkeypatch.setattr(_yaml, "parse_yaml_for_update", _yaml.parse_yaml_for_update)
    monkeypatch.setattr(rwlock, "psutil", rwlock.psutil)
    dvc_command.install()


def test_what_a_stage_has_locked_is_free_once_it_is_killed_even_if_nobody_has_waited_for_it(
    tmp_path: Path, patched: None
) -> None:
    def lock(process: int) -> None:
        held = {"read": {}, "write": {"/out": {"pid": process, "cmd": "dvc repro"}}}
        (tmp_path / "rwlock").write_text(json.dumps(held))
        with rwlock.rwlock(str(tmp_path), localfs, "dvc status", ["/out"], [], False):
            pass

    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        with pytest.raises(LockError, match=rf"PID {process.pid}"):
            lock(process.pid)
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # a zombie from here on
        lock(process.pid)


def test_a_lock_file_whose_writing_is_cut_short_is_the_old_one(tmp_path: Path, patched: None) -> None:
    lock = tmp_path / "dvc.lock"
    with modify_yaml(lock) as data:
        data["stages"] = {"rank": 1}
    before = lock.read_bytes()
    with pytest.raises(RepresenterError), modify_yaml(lock) as data:  # DVC's own has opened the file by then
        data["stages"] = {"rank": object()}
    assert lock.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["dvc.lock"]


def test_what_a_killed_dvc_has_left_is_removed_by_the_next_write(tmp_path: Path, patched: None) -> None:
    left = tmp_path / f".dvc.{'0' * 8}-1-{'0' * 8}.tmp.lock"
    left.write_text("of another machine")
    gone = tmp_path / dead_name()
    gone.write_text("half a lo")
    with modify_yaml(tmp_path / "dvc.lock") as data:
        data["schema"] = "2.0"
    assert left.exists() and not gone.exists()


VALUES = {"1e5": "0777", "on": ["12e345", 5.0e-4, 1e-10, True, None, "", "é\n"], "far": "word " * 60}


def test_the_lock_file_has_the_bytes_that_dvc_itself_would_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Written, then read and written once more: strings that look like numbers stay strings, words wrap alike."""
    lock = tmp_path / "dvc.lock"
    written = {}
    for name, acquire_device in {"dvc": lambda: None, "ours": dvc_command.install}.items():
        monkeypatch.setattr(_common, "_dump_data", _common._dump_data)
        monkeypatch.setattr(_yaml, "parse_yaml_for_update", _yaml.parse_yaml_for_update)
        monkeypatch.setattr(rwlock, "psutil", rwlock.psutil)
        acquire_device()
        lock.unlink(missing_ok=True)
        for stage in ("zeta", "alpha"):
            with modify_yaml(lock) as data:
                data[stage] = VALUES
        written[name] = lock.read_bytes()
    assert written["ours"] == written["dvc"]


def test_other_files_keep_their_comments(tmp_path: Path, patched: None) -> None:
    definition = tmp_path / "dvc.yaml"
    definition.write_text("stages: {}  # none yet\n")
    with modify_yaml(definition) as data:
        data["vars"] = [1]
    assert "# none yet" in definition.read_text()


def test_the_dvc_of_the_environment_is_this_one() -> None:
    ours = [entry.value for entry in entry_points(group="console_scripts", name="dvc")]
    assert "intrada.pipeline.dvc_command:main" in ours
    script = Path(sys.executable).with_name("dvc")
    assert "from intrada.pipeline.dvc_command import main" in script.read_text(encoding="utf-8")


def dead_name() -> str:
    """The temporary name of a process of this machine that has ended."""
    script = (
        "from pathlib import Path; from intrada.core import atomic; print(atomic._sibling(Path('dvc.lock')))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return done.stdout.strip()
