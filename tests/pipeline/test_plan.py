"""What Snakemake is made to run, by DVC's status and by its own command line, in a DVC project of two stages."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from dvc.repo import Repo
from snakemake.settings.types import ConfigSettings, DAGSettings

from intrada.core.config import plain_yaml
from intrada.core.config.load import load
from intrada.core.errors import UserError
from intrada.pipeline import bridge, job, plan, run_monitor
from tests.support.definition import ROOT

pytestmark = pytest.mark.filterwarnings("ignore:_NoneStep:DeprecationWarning")  # DVC and ruamel.yaml

PARAMS = load(ROOT / "presets/toycity.yaml")
HASHES = Path("results/code/alpha.txt")
STAGES = {
    "validate": {"cmd": "true", "deps": ["in.txt"], "outs": ["results/validate.txt"]},
    "alpha": {"cmd": "true", "deps": [HASHES.as_posix(), "raw"], "outs": ["results/alpha.csv", "results/images"]},
    "beta": {"cmd": "true", "deps": ["results/alpha.csv"], "outs": ["results/beta.csv"]},
}  # fmt: skip
FILES = [HASHES, Path("in.txt"), Path("raw/a.png"), Path("results/images/b.png")]
FILES += [Path(f"results/{name}") for name in ("validate.txt", "alpha.csv", "beta.csv")]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project; DVC calls it up to date."""
    folder = tmp_path_factory.mktemp("made")
    for path in FILES:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(f"{path}\n")
    (folder / "dvc.yaml").write_text(plain_yaml.dump({"stages": STAGES}))
    Repo.init(str(folder), no_scm=True).close()
    commit = [sys.executable, "-m", "dvc", "commit", "-q", "-f"]
    subprocess.run(commit, cwd=folder, check=True)
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory: a copy of it. `validate` would write the same hash as there is."""
    copy = shutil.copytree(made, tmp_path / "copy")
    monkeypatch.chdir(copy)
    monkeypatch.setitem(plan.FIRST, ".", ("validate", lambda: {"alpha.txt": f"{HASHES}\n"}))
    return copy


def planned(folder: Path, *, runs: bool = False, touch: bool = False, **settings: Any) -> set[str]:
    """Make the plan and return the rules whose token is newer than the marker."""
    workflow = SimpleNamespace(
        is_main_process=True,
        executor_plugin=object(),
        dryrun=not runs,
        touch=touch,
        local_exec=True,
        global_resources={},
        dag_settings=DAGSettings(**settings),
        resource_settings=SimpleNamespace(cores=2),
    )
    stages = bridge.stages(folder, main=True, dry=not runs, on_cpu=True)
    one = plan.Plan(workflow, folder, stages, PARAMS)
    assert one.made({}) == []
    if one._lock:
        one._lock.close()  # as at the end of a process
    return {stage.rule for stage in stages if stage.token.stat().st_mtime > stage.marker.stat().st_mtime}


@pytest.fixture(autouse=True)
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The stages whose progress a run tells; no thread is started."""
    names: list[str] = []
    monkeypatch.setattr(run_monitor, "start", lambda stages, *_: names.extend(one.name for one in stages))
    return names


def test_no_time_of_a_file_matters(folder: Path) -> None:
    for number, path in enumerate(FILES):
        os.utime(path, (0, 10**9 if number % 2 else 10**10))
    assert planned(folder) == set()
    Path("results/alpha.csv").write_text("other\n")
    os.utime("results/alpha.csv", (0, 1))
    assert planned(folder) == {"alpha", "beta"}
    Path("results/alpha.csv").write_text("results/alpha.csv\n")
    assert planned(folder) == set()


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"forcerun": {"alpha"}}, {"alpha"}),
        ({"forcerun": {"results/beta.csv"}}, {"beta"}),
        ({"forcerun": {"./results/images/"}}, {"alpha"}),
        ({"forcetargets": True, "targets": {"beta", "results/images"}}, {"alpha", "beta"}),
        ({"targets": {"beta"}}, set()),
        ({"forceall": True}, {"validate", "alpha", "beta"}),
        ({"forcerun": {"nosuch"}}, set()),
    ],
)
def test_forced_stages_are_planned_and_their_jobs_are_told(
    folder: Path, settings: dict[str, Any], expected: set[str], told: list[str]
) -> None:
    assert planned(folder, **settings) == expected
    assert not job.FORCED.exists() and not told  # a dry run changes nothing for the jobs of a run
    assert planned(folder, runs=True, **settings) == expected
    assert set(job.FORCED.read_text().split()) == expected
    assert {*told} >= expected
    assert planned(folder) == set()


@pytest.mark.parametrize("text, expected", [("new\n", {"alpha"}), (f"{HASHES}\n", set())])
def test_a_dry_run_compares_the_hashes_that_validate_would_write(
    folder: Path, monkeypatch: pytest.MonkeyPatch, text: str, expected: set[str]
) -> None:
    """On disk is a third state, which neither was recorded nor will be there."""
    HASHES.write_text("of an edit that is undone\n")
    Path("in.txt").write_text("edited\n")
    monkeypatch.setitem(plan.FIRST, ".", ("validate", lambda: {"alpha.txt": text}))
    assert planned(folder) == expected
    assert HASHES.read_text() == "of an edit that is undone\n"


@pytest.mark.parametrize("text, runs", [(f"{HASHES}\n", 0), ("new\n", 1)])
def test_where_dvc_does_not_see_the_code_validate_runs_if_the_hashes_differ(
    folder: Path, monkeypatch: pytest.MonkeyPatch, text: str, runs: int
) -> None:
    """As in a project that `intrada init` wrote: DVC calls its `validate` stale each time."""
    tree: Any = plain_yaml.read(Path("dvc.yaml"))
    tree["stages"]["validate"]["always_changed"] = True
    Path("dvc.yaml").write_text(plain_yaml.dump(tree))
    calls: list[int] = []
    monkeypatch.setattr(plan, "_validate", lambda: calls.append(1))
    monkeypatch.setitem(plan.FIRST, ".", ("validate", lambda: {"alpha.txt": text}))
    assert planned(folder, runs=True) == ({"alpha"} if runs else set())
    assert len(calls) == runs
    Path("in.txt").write_text("edited\n")
    planned(folder, runs=True)
    assert len(calls) == runs + 1


def test_the_ablation_is_refused_where_its_files_are_missing(folder: Path) -> None:
    with pytest.raises(UserError, match=r"ablation/dvc.yaml: no such file.*\n.*a checkout"):
        bridge.stages(folder, bridge.projects(["ablation"]), main=True, dry=True, on_cpu=True)


def test_beside_a_run_its_own_plan_is_shown(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert planned(folder, forcerun={"beta"}) == {"beta"}
    with plan.hold_lock():
        assert planned(folder) == {"beta"}
        assert f"process {os.getpid()} on " in capsys.readouterr().err
        with pytest.raises(SystemExit, match="holds this checkout"):
            planned(folder, runs=True)
    assert planned(folder) == set()


def test_what_dvc_cannot_read_is_one_message_that_names_it(folder: Path) -> None:
    Path("raw/b.png").symlink_to("gone.png")
    with pytest.raises(SystemExit, match=r"raw/b.png: is a link to gone.png, which does not exist\n"):
        planned(folder)
    for name in ("dvc.lock", "dvc.yaml"):
        whole = Path(name).read_text()
        Path(name).write_text(f"<<<<<<< HEAD\n{whole}=======\n{whole}>>>>>>> other\n")
        with pytest.raises(UserError, match=name):
            planned(folder)
        Path(name).write_text(whole)


def test_a_dry_run_leaves_a_damaged_dvc_lock_alone(folder: Path) -> None:
    lock = Path("dvc.lock")
    whole = lock.read_text()
    lock.write_text(whole[: len(whole) // 2])
    with pytest.raises(UserError, match="without --dry-run, which repairs it"):
        planned(folder)
    assert lock.read_text() == whole[: len(whole) // 2]


def test_touch_is_refused_before_anything(folder: Path) -> None:
    with pytest.raises(SystemExit, match="--touch: is of no use"):
        planned(folder, runs=True, touch=True)
    assert not bridge.TOKENS.exists()


@pytest.mark.parametrize(
    ("settings", "words", "message"),
    [
        ({"config": {"seed": 2}, "config_args": ["seed=2"]}, [], r"--config seed=2: .*\n.*\n.*exp run -S seed=2"),
        ({"configfiles": [Path("presets/minent.yaml")]}, [], r"--configfile .*\n.*\n.*intrada preset minent,"),
        ({}, ["--delete-all-output"], r"would delete no result.*\n.*\n.*rm -r results"),
    ],
)  # fmt: skip
def test_words_that_would_be_ignored_stop_with_the_command_to_use(
    settings: dict[str, Any], words: list[str], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        plan.refuse(ConfigSettings(**settings), words)
    plan.refuse(ConfigSettings(), ["--cores", "all", "rank"])


def test_each_file_and_folder_is_a_target_however_it_is_spelled(folder: Path) -> None:
    stages = bridge.stages(folder, main=False, dry=True, on_cpu=True)
    words = ["results/images/", "./results/beta.csv", str(folder / "results/alpha.csv"), "other/x", "alpha"]
    found = {target: stage.rule for target, stage in bridge.aliases(stages, words).items()}
    assert found == {
        "results/validate.txt": "validate",
        "results/alpha.csv": "alpha",
        "results/images": "alpha",
        "results/beta.csv": "beta",
        "results/images/": "alpha",
        "./results/beta.csv": "beta",
        str(folder / "results/alpha.csv"): "alpha",
    }


@pytest.fixture
def run(folder: Path) -> Callable[[str], str]:
    """A job as Snakemake starts it; returns what it says on the terminal."""

    def one(name: str) -> str:
        command = [sys.executable, "-m", "intrada.pipeline.job", f"./{name}", "--log", f"logs/{name}.log"]
        done = subprocess.run(command, capture_output=True, text=True)
        return f"{done.returncode} {done.stdout}{done.stderr}"

    bridge.MARKERS.mkdir(parents=True)
    return one


@pytest.mark.slow
def test_a_job_says_what_dvc_did_and_a_failed_one_leaves_its_message(run: Callable[[str], str]) -> None:
    job.begin([])
    assert run("beta").startswith(
        "0 beta: nothing computed, it is up to date (to compute it again: snakemake"
    )
    assert not Path("logs/beta.log").read_text().startswith("beta")
    job.begin(["beta"])
    Path("dvc.yaml").write_text(
        Path("dvc.yaml").read_text().replace("cmd: 'true'", "cmd: cp in.txt results/beta.csv")
    )
    assert run("beta") == "0 "  # it computed
    assert job.failures() == "" and (bridge.MARKERS / "beta").exists()
    failing = "printf 'error%s in.txt: bad\\n  do next: this\\n' : >&2; exit 3"
    Path("dvc.yaml").write_text(plain_yaml.dump({"stages": {"beta": {"cmd": failing}}}))
    assert run("beta").startswith("255 ")
    said = "beta has failed; the whole output is in logs/beta.log\nerror: in.txt: bad\n  do next: this\n"
    assert job.failures() == f"\n{said}"
    job.begin([])
    assert job.failures() == ""


def test_the_message_of_a_failed_stage_is_shown_without_control_characters() -> None:
    output = "Running stage 'x':\n> python -m intrada x\nerror: a\x1b[31m.csv: bad\n  allowed:\tgood\n\n"
    ending = "ERROR: failed to reproduce 'x': failed to run: python -m intrada x, exited with 1\n"
    assert job.message(output + ending) == "error: a\\x1b[31m.csv: bad\n  allowed:      good"
    assert job.message("\n".join(f"line {number}" for number in range(99))).startswith("line 79\n")


def test_the_environment_of_conda_has_the_packages_of_the_project() -> None:
    tree: Any = plain_yaml.read(ROOT / "workflow/envs/stage.yaml")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    *_, pip = tree["dependencies"]
    assert pip["pip"] == project["dependencies"]
    assert f"python {project['requires-python']}" in tree["dependencies"]


class Cluster(SimpleNamespace):
    """Snakemake's object in a run on a cluster."""

    def localrules(self, *names: str) -> None:
        self.local = {*names}


@pytest.mark.parametrize("limit", [None, 2])
def test_on_a_cluster_jobs_ask_for_time_and_memory_and_short_ones_stay_on_this_node(
    folder: Path, monkeypatch: pytest.MonkeyPatch, limit: int | None
) -> None:
    monkeypatch.setenv("SBATCH_PARTITION", "long")
    monkeypatch.delenv("SBATCH_ACCOUNT", raising=False)
    given = {} if limit is None else {"gpu": limit}
    workflow = Cluster(
        is_main_process=True, executor_plugin=object(), dryrun=False, touch=False, local_exec=False,
        global_resources=given, dag_settings=DAGSettings(), resource_settings=SimpleNamespace(cores=None),
    )  # fmt: skip
    definition = plain_yaml.parse(Path("dvc.yaml").read_text())
    definition["stages"]["alpha"]["meta"] = {"threads": 1, "resources": {"gpu": 1, "mem_mb": 700}}
    definition["stages"]["beta"]["meta"] = {"takes_seconds": True}
    Path("dvc.yaml").write_text(plain_yaml.dump(definition))
    alpha, beta = bridge.stages(folder, main=True, dry=False, on_cpu=False)[1:]
    one = plan.Plan(workflow, folder, [alpha, beta], PARAMS)
    asked: dict[str, Any] = one.resources(alpha)
    assert (asked["mem"](None, 1), asked["runtime"](None, 1), asked["nodes"](None)) == (None, None, None)
    one._prepare_cluster()
    assert [asked["mem"](None, attempt) for attempt in (1, 2)] == ["700MB", "1400MB"]
    assert [asked["runtime"](None, attempt) for attempt in (1, 3)] == [60, 180]
    assert {key: value for key, value in asked.items() if not callable(value)} == {
        "gpu": 1,
        "slurm_partition": "long",
    }
    assert workflow.local == {"beta"}
    assert workflow.global_resources["gpu"] == (limit or sys.maxsize)  # the scheduler counts
