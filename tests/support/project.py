"""A checkout of this project with tiny params, for tests that run dvc and snakemake."""

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
DVC_AFTER_KILL = (
    sys.executable,
    "-m",
    "intrada.pipeline.dvc_command",
)  # repairs the files that a killed DVC left
SNAKEMAKE = (sys.executable, "-m", "snakemake", "--cores", "all")
TRAINING = ("train_source", "train_inter", "train_intra")
Driver = Callable[["Project"], subprocess.CompletedProcess[str]]
# the intra model is evaluated by evaluate and by evaluate_snapshots
AFTER_LAMBDA = [
    "analyse",
    "evaluate@intra", "evaluate_snapshots@intra", "pseudo_label", "rank", "report", "train_intra",
]  # fmt: skip


@dataclass(frozen=True)
class Project:
    """A checkout in a temporary folder."""

    folder: Path

    def run(self, *command: str, ok: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command in the checkout; its stdout and stderr are in `stdout`. ok: it must succeed."""
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
        """Return the lines of the execution log."""
        log = self.folder / LOG
        return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []

    def stages_run_by(self, work: Callable[[], object]) -> list[str]:
        """Return the stages that ran during `work`, sorted, by the execution log."""
        before = len(self.executed())
        work()
        return sorted(line["stage"] for line in self.executed()[before:])

    def params(self) -> dict[str, Any]:
        loaded: dict[str, Any] = plain_yaml.parse((self.folder / "params.yaml").read_text())
        return loaded

    def set_params(self, **changes: Any) -> None:
        """Change keys of params.yaml, with `__` for the dot: rank__easy_fraction=0.5."""
        params = self.params()
        for key, value in changes.items():
            *above, last = key.split("__")
            block = params
            for name in above:
                block = block[name]
            block[last] = value
        (self.folder / "params.yaml").write_text(plain_yaml.dump(params))

    def stamps(self) -> dict[str, tuple[int, int]]:
        """Return the mtime (ns) and size (bytes) of dvc.lock, the code, and every input and output of a stage."""
        files = [self.folder / "dvc.lock"]
        for top in ("intrada", "data", "results", "weights"):
            files += [
                path for path in (self.folder / top).rglob("*") if path.is_file() and path.suffix != ".pyc"
            ]
        stats = {path: path.stat() for path in files}
        return {str(path): (stat.st_mtime_ns, stat.st_size) for path, stat in stats.items()}

    def contents(self, *paths: str) -> dict[str, bytes]:
        """Return the bytes of every file at or below `paths`, without hidden files."""
        by_path: dict[str, bytes] = {}
        for path in paths:
            top = self.folder / path
            for file in sorted(top.rglob("*")) if top.is_dir() else [top]:
                if file.is_file() and not file.name.startswith("."):
                    by_path[file.relative_to(self.folder).as_posix()] = file.read_bytes()
        return by_path


@contextmanager
def started(project: Project, *command: str) -> Iterator[subprocess.Popen[str]]:
    """Start a command in a new process group, which is killed at the end of the block."""
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
    """Wait for a new file that matches and return it; files that exist at the call do not count."""
    existing = set(project.folder.glob(pattern))
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if new := set(project.folder.glob(pattern)) - existing:
            return new.pop()
        time.sleep(0.05)
    raise AssertionError(f"no new {pattern} in {project.folder} within {seconds} s")


def environment() -> dict[str, str]:
    """Return the environment of commands: this Python first on the PATH, bytecode caches on (for speed)."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**variables, "PATH": path, "GIT_CONFIG_GLOBAL": os.devnull}


def tracked() -> list[str]:
    """Return the files that Git has, and new ones that it does not ignore, without dvc.lock."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, text=True, capture_output=True, check=True,
    )  # fmt: skip
    names = listed.stdout.splitlines()
    return [name for name in names if Path(name).name != "dvc.lock" and (ROOT / name).is_file()]


def make(folder: Path) -> Project:
    """Copy the tracked and new files to `folder`, write tiny params and a tiny ablation, and commit."""
    for name in tracked():
        if not name.startswith(("tests/", "docs/")):
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
    """Return params with which every stage runs for about a second."""
    small: dict[str, Any] = {
        "compute__device": "auto",  # so that stages with computations request a GPU
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
    """Keep one seed per benchmark and two recipes, with tiny trainings: DVC reads all stages at each start."""
    tree = plain_yaml.parse(path.read_text())
    changes = {key.replace("__", "."): value for key, value in tiny().items()}
    for benchmark in tree["benchmarks"].values():
        preset = plain_yaml.read(ROOT / "presets" / f"{benchmark['preset']}.yaml")
        known = {key: value for key, value in changes.items() if preset["toycity"] or "toycity." not in key}
        benchmark |= {"seeds": [7], "changes": known, "recipes": ["advent_continued", "intrada"]}
    tree["recipes"] = {name: tree["recipes"][name] for name in ("advent_continued", "intrada")}
    path.write_text(plain_yaml.dump(tree))


def _preset() -> str:
    return (ROOT / "presets/toycity.yaml").read_text()


DRIVERS: dict[str, Driver] = {"dvc": Project.dvc, "snakemake": Project.snakemake}


def by(project: Project, driver: str) -> Callable[[], subprocess.CompletedProcess[str]]:
    """Return a function that runs the pipeline with `driver`."""
    return lambda: DRIVERS[driver](project)
