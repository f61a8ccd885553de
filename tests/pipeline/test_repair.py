"""`verify --repair` on a small DVC project: after it, DVC ends with the right bytes for each kind of damage."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from dvc.repo import Repo

from intrada.__main__ import main
from intrada.core.config import plain_yaml
from intrada.core.errors import UserError
from intrada.pipeline import cache_objects, dvc_api, dvc_command, locked_outs, repair

pytestmark = pytest.mark.slow
FILES = ("flipped", "empty", "edited", "truncated", "runs", "in_cache")
FOLDERS = ("list_flipped", "list_empty", "member", "gone")
CACHE = Path(".dvc/cache/files/md5")
# runs each line of stdin as a command of DVC
DVC = "import sys; from dvc.cli import main\nfor line in sys.stdin: assert main(line.split()) == 0, line"


def dvc(*lines: str) -> None:
    """Run commands of DVC in one process of their own, since DVC sets up the logging of its process."""
    subprocess.run([sys.executable, "-c", DVC], input="\n".join(lines), text=True, check=True)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A DVC project whose stages, one for each kind of damage, have run."""
    folder = tmp_path_factory.mktemp("made")
    write = "mkdir -p results && echo {0} >> runs.txt"
    one = {
        name: {
            "cmd": f"{write.format(name)} && echo {name} of a run > results/{name}.txt",
            "deps": ["in.txt"],
            "outs": [f"results/{name}.txt"],
        }
        for name in FILES
    }
    many = {
        name: {
            "cmd": f"{write.format(name)} && mkdir -p results/{name} && "
            f"for i in 1 2 3; do echo {name} $i > results/{name}/$i.txt; done",
            "deps": ["in.txt"],
            "outs": [f"results/{name}"],
        }
        for name in FOLDERS
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        Repo.init(no_scm=True).close()
        Path("in.txt").write_text("in\n")
        Path("dvc.yaml").write_text(plain_yaml.dump({"stages": one | many}))
        dvc("repro -q")
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory: a copy of it."""
    copy = shutil.copytree(made, tmp_path / "copy", symlinks=True)
    monkeypatch.chdir(copy)
    return copy


def contents() -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(Path("results").rglob("*.txt")) if path.exists()}


def object_of(name: str) -> Path:
    """The object of the cache with the output of a stage."""
    [out] = [out for out in locked_outs.read(Path()).values() if out.stage == name]
    return cache_objects.path_of(CACHE, out.md5, out.is_folder)


def members(name: str) -> list[Path]:
    return [cache_objects.path_of(CACHE, entry["md5"]) for entry in json.loads(object_of(name).read_text())]


def put(path: Path, data: bytes) -> None:
    """Write other bytes behind DVC's back: rights and times stay."""
    before = path.stat()
    path.chmod(0o644)
    path.write_bytes(data)
    path.chmod(before.st_mode)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[0] ^= 1
    put(path, bytes(data))


def damage() -> None:
    """One kind for each stage; those that DVC restores from its cache are restored, damaged as they are."""
    flip(object_of("flipped"))
    put(object_of("empty"), b"")
    flip(members("member")[1])
    members("gone")[0].unlink()  # a half-pulled cache
    put(object_of("list_flipped"), object_of("list_flipped").read_bytes().replace(b"3.txt", b"4.txt"))
    for name in ("flipped", "empty"):
        Path(f"results/{name}.txt").unlink()
    for name in ("member", "list_flipped"):
        shutil.rmtree(f"results/{name}")
    dvc("checkout -q flipped empty member list_flipped")
    put(object_of("list_empty"), b"")
    flip(Path("results/edited.txt"))
    put(Path("results/truncated.txt"), b"trunc")
    for path in Path(".dvc/cache/runs").rglob("*"):
        if path.is_file() and "results/runs.txt" in path.read_text():
            path.write_text("cmd: ec")


@pytest.mark.parametrize("link", ["copy", "symlink"])
def test_after_the_repair_dvc_ends_with_the_right_bytes(
    folder: Path, link: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before, lock = contents(), Path("dvc.lock").read_bytes()
    if link != "copy":
        dvc(f"config cache.type {link}", "checkout -q --relink")
    damage()
    flip(object_of("in_cache"))
    assert contents() != before
    assert main(["verify"]) == 1
    said = capsys.readouterr()
    assert "results/flipped.txt: other content than dvc.lock names" in said.out
    assert "results/empty.txt: an empty file (0 bytes)" in said.out and "verify --repair" in said.err
    assert main(["verify", "--repair"]) == 0
    out = capsys.readouterr().out
    assert "nothing was deleted\nnext: `dvc repro` or `snakemake`" in out
    assert ("copied from results/in_cache.txt" in out) == (link == "copy")  # else the output is the object
    runs = Path("runs.txt").read_text()
    dvc("repro -q")
    assert contents() == before and Path("dvc.lock").read_bytes() == lock
    again = Path("runs.txt").read_text().removeprefix(runs).split()
    assert {"flipped", "empty", "member"} <= set(again) and "runs" not in again
    assert main(["verify"]) == 0 and main(["verify", "--repair"]) == 0
    assert "nothing is damaged" in capsys.readouterr().out


def test_a_stage_whose_entry_in_the_run_cache_is_damaged_runs_again(folder: Path) -> None:
    before = contents()
    for path in Path(".dvc/cache/runs").rglob("*"):
        if path.is_file() and "results/runs.txt" in path.read_text():
            path.write_text("cmd: ec")  # which DVC can read, and fails at
    repair.repair(folder)
    Path("dvc.lock").unlink()
    Path("results/runs.txt").unlink()
    runs = Path("runs.txt").read_text()
    dvc("repro -q")
    assert Path("runs.txt").read_text().removeprefix(runs) == "runs\n" and contents() == before


def test_the_project_of_a_folder_is_repaired_from_the_folder_above(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    flip(Path("results/edited.txt"))
    monkeypatch.chdir(folder.parent)
    assert main(["verify", "--repair", f"{folder.name}/results"]) == 0
    assert f"moved   {folder.name}/results/edited.txt: other content" in capsys.readouterr().out
    assert not (folder / "results/edited.txt").exists()


def test_an_intact_project_is_left_alone(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("results/mine.csv").write_text("of no stage\n")
    state = {path: path.lstat().st_mtime_ns for path in (*CACHE.rglob("*"), *Path("results").rglob("*"))}
    assert main(["verify", "--repair"]) == 0 and "nothing is damaged" in capsys.readouterr().out
    assert {path: path.lstat().st_mtime_ns for path in state} == state
    assert not Path(".dvc/tmp/damaged").exists()


def test_damaged_files_are_kept(folder: Path) -> None:
    put(object_of("flipped"), b"other")
    flip(Path("results/edited.txt"))
    name, edited = object_of("flipped").relative_to(CACHE), Path("results/edited.txt").read_bytes()
    done = repair.repair(folder)
    assert (done.folder / "cache" / name).read_bytes() == b"other"
    assert (done.folder / "results/edited.txt").read_bytes() == edited


def test_an_object_that_an_output_still_holds_is_written_again(folder: Path) -> None:
    path = object_of("list_flipped")
    expected = {item: item.read_bytes() for item in (path, members("member")[0])}
    for item in expected:
        put(item, b"")
    assert set(repair.repair(folder).restored) == {folder / item for item in expected}
    assert {item: item.read_bytes() for item in expected} == expected
    assert path.stat().st_mode & 0o777 == cache_objects.MODE


def test_while_a_stage_runs_nothing_is_touched(folder: Path) -> None:
    flip(Path("results/edited.txt"))
    owner = {"pid": os.getpid(), "cmd": "dvc repro"}
    Path(".dvc/tmp/rwlock").write_text(json.dumps({"write": {"/a": owner}, "read": {}}))
    with pytest.raises(UserError, match="a stage is run by another process"):
        repair.repair(folder)
    assert Path("results/edited.txt").exists()


@pytest.mark.parametrize("name", ["empty", "member", "list_empty"])
def test_a_driver_does_not_start_on_a_cache_with_files_of_the_wrong_size(
    folder: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    put(members(name)[0] if name == "member" else object_of(name), b"")
    assert dvc_command.main(["status"]) == 1
    said = capsys.readouterr().err
    assert "damaged files (other sizes than in dvc.lock)" in said and f"results/{name}" in said
    assert "verify --repair" in said


def test_a_cache_that_lacks_files_is_no_damage(folder: Path) -> None:
    members("gone")[0].unlink()
    object_of("flipped").unlink()
    with dvc_api.opened(folder) as repo:
        cache_objects.refuse_wrong_sizes(repo)


def test_outside_of_a_dvc_project_there_is_nothing_to_repair(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["verify", "--repair"]) == 1
    assert "is not in a DVC project" in capsys.readouterr().err
