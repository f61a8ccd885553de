"""A copy of this project with a tiny configuration, on which the real dvc and snakemake are run."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from intrada.core.config import plain_yaml

ROOT = Path(__file__).resolve().parents[2]
LOG = Path("logs/execution.jsonl")
DVC = (sys.executable, "-m", "dvc")
DVC_AFTER_KILL = (sys.executable, "-m", "intrada.pipeline.dvc_command")  # puts right what a kill has left
SNAKEMAKE = (sys.executable, "-m", "snakemake", "--cores", "all")
TRAINING = ("train_source", "train_inter", "train_intra")
Driver = Callable[["Project"], subprocess.CompletedProcess[str]]
# the intra model is evaluated twice: alone, and beside the other snapshots of its run
AFTER_LAMBDA = [
    "evaluate@intra", "evaluate_snapshots@intra", "pseudo_label", "rank", "report", "train_intra",
]  # fmt: skip


@dataclass(frozen=True)
class Project:
    """A checkout in a temporary folder."""

    folder: Path

    def run(self, *command: str, ok: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command in the checkout; its output, both streams, must be looked at when it fails."""
        result = subprocess.run(
            command,
            cwd=self.folder,
            env=environment(),
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        assert not ok or result.returncode == 0, f"{command}\n{result.stdout[-6000:]}"
        return result

    def dvc(self, *arguments: str, ok: bool = True) -> subprocess.CompletedProcess[str]:
        return self.run(*DVC, *(arguments or ("repro",)), ok=ok)

    def snakemake(self, *arguments: str, ok: bool = True) -> subprocess.CompletedProcess[str]:
        return self.run(*SNAKEMAKE, *arguments, ok=ok)

    def commit(self, message: str) -> None:
        """Commit everything that Git does not ignore."""
        self.run("git", "add", "-A")
        user = ("-c", "user.name=t", "-c", "user.email=t@example.org")
        self.run("git", *user, "commit", "-qm", message)

    def executed(self) -> list[dict[str, Any]]:
        """The lines of the execution log."""
        log = self.folder / LOG
        return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []

    def stages_run_by(self, work: Callable[[], object]) -> list[str]:
        """The stages that the execution log says ran meanwhile, sorted."""
        before = len(self.executed())
        work()
        return sorted(line["stage"] for line in self.executed()[before:])

    def params(self) -> dict[str, Any]:
        loaded: dict[str, Any] = plain_yaml.parse((self.folder / "params.yaml").read_text())
        return loaded

    def set_params(self, **changes: Any) -> None:
        """Change dotted keys, given with __ for the dot: rank__easy_fraction=0.5."""
        params = self.params()
        for key, value in changes.items():
            *above, last = key.split("__")
            block = params
            for name in above:
                block = block[name]
            block[last] = value
        (self.folder / "params.yaml").write_text(plain_yaml.dump(params))

    def stamps(self) -> dict[str, tuple[int, int]]:
        """Time and size of every file that a stage reads or writes, but for params.yaml, and of dvc.lock."""
        files = [self.folder / "dvc.lock"]
        for top in ("intrada", "data", "results", "weights"):
            files += [
                path for path in (self.folder / top).rglob("*") if path.is_file() and path.suffix != ".pyc"
            ]
        stats = {path: path.stat() for path in files}
        return {str(path): (stat.st_mtime_ns, stat.st_size) for path, stat in stats.items()}

    def contents(self, *paths: str) -> dict[str, bytes]:
        """Every file at or below `paths` with its bytes, but what the drivers put there."""
        found: dict[str, bytes] = {}
        for path in paths:
            top = self.folder / path
            for file in sorted(top.rglob("*")) if top.is_dir() else [top]:
                if file.is_file() and not file.name.startswith("."):
                    found[file.relative_to(self.folder).as_posix()] = file.read_bytes()
        return found


@contextmanager
def started(project: Project, *command: str) -> Iterator[subprocess.Popen[str]]:
    """A command in a process group of its own, which does not outlive the block."""
    process = subprocess.Popen(
        command, cwd=project.folder, env=environment(), text=True, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, start_new_session=True,
    )  # fmt: skip
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if process.stdout:
            process.stdout.close()


def wait_for(project: Project, pattern: str, seconds: float = 900) -> Path:
    """The first new file that matches; files that were there when the wait began do not count."""
    known = set(project.folder.glob(pattern))
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if new := set(project.folder.glob(pattern)) - known:
            return new.pop()
        time.sleep(0.05)
    raise AssertionError(f"no new {pattern} in {project.folder} within {seconds} s")


def environment() -> dict[str, str]:
    """Ours, with this Python first on the PATH, and with bytecode: stages start by the hundred."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    ours = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**ours, "PATH": path, "GIT_CONFIG_GLOBAL": os.devnull}


def make(folder: Path) -> Project:
    """Copy the project's tracked and new files to `folder`, shrink its params and its ablation, commit it."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, text=True, capture_output=True, check=True,
    )  # fmt: skip
    for name in listed.stdout.splitlines():
        left_out = name.startswith(("tests/", "docs/")) or Path(name).name == "dvc.lock"
        if not left_out and (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    shutil.copyfile(ROOT / "presets/toycity.yaml", folder / "params.yaml")
    project = Project(folder)
    project.set_params(**tiny())
    _shrink_ablation(folder / "ablation/ablation.yaml")
    project.run("git", "init", "-q")
    project.commit("start")
    return project


def tiny() -> dict[str, Any]:
    """Params that make every stage a matter of a second."""
    small: dict[str, Any] = {
        "compute__device": "auto",  # so that the stages that compute ask for a GPU
        "compute__threads": 1,
        "compute__inference_threads": 1,
        "toycity__source__images": 8,
        "toycity__target__train": 6,
        "toycity__target__val": 3,
        "evaluate__samples": 1,
        "evaluate__gallery": 2,
    }
    for stage in TRAINING:
        small |= {f"{stage}__iterations": 4, f"{stage}__max_iters": 4, f"{stage}__batch_size": 2}
        small |= {f"{stage}__log_every": 1, f"{stage}__checkpoint_every": 2, f"{stage}__snapshot_every": 2}
    for domain in ("source", "target", "val"):
        small[f"preprocess__{domain}__size"] = [64, 32]
        small[f"preprocess__{domain}__allow_absent"] = list(plain_yaml.parse(_preset())["classes"])
    return small


def _shrink_ablation(path: Path) -> None:
    """One seed a benchmark, two recipes and tiny trainings: much that DVC does begins with all stages."""
    tree = plain_yaml.parse(path.read_text())
    changes = {key.replace("__", "."): value for key, value in tiny().items()}
    for benchmark in tree["benchmarks"].values():
        preset = plain_yaml.read(ROOT / "presets" / f"{benchmark['preset']}.yaml")
        known = {key: value for key, value in changes.items() if preset["toycity"] or "toycity." not in key}
        benchmark |= {"seeds": [7], "changes": known}
    tree["recipes"] = {name: tree["recipes"][name] for name in ("advent_continued", "intrada")}
    path.write_text(plain_yaml.dump(tree))


def _preset() -> str:
    return (ROOT / "presets/toycity.yaml").read_text()


DRIVERS: dict[str, Driver] = {"dvc": Project.dvc, "snakemake": Project.snakemake}


def by(project: Project, driver: str) -> Callable[[], subprocess.CompletedProcess[str]]:
    """A run of `driver`, to be called."""
    return lambda: DRIVERS[driver](project)
