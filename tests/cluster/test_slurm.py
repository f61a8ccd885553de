"""Snakemake on a real SLURM: where jobs run, and that a stopped training resumes on another node to the same bytes."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from contextlib import AbstractContextManager, suppress
from pathlib import Path

import psutil
import pytest

from tests.cluster.conftest import Model, copied
from tests.cluster.slurm import NODES, Slurm, wait
from tests.support import project as projects
from tests.support.project import ROOT, Project

pytestmark = pytest.mark.cluster

SNAKEMAKE = (
    sys.executable, "-m", "snakemake", "--profile", "profiles/slurm", "--slurm-status-command", "squeue",
    "--slurm-no-account", "--slurm-init-seconds-before-status-checks", "1", "--seconds-between-status-checks", "1",
    "--latency-wait", "5",
)  # fmt: skip
LOCKING = """
import os, time
from pathlib import Path
from intrada.core.distributed import device_lock
given = os.environ["CUDA_VISIBLE_DEVICES"]
held = device_lock.acquire([f"fake-{number}" for number in given.split(",")])
Path(f"held.{given}").touch()
deadline = time.monotonic() + 60
while len([*Path().glob("held.*")]) < 2 and time.monotonic() < deadline:
    time.sleep(0.1)
print(os.environ["SLURMD_NODENAME"], given, held[0].name, len([*Path().glob("held.*")]))
"""
LOCKED = ".dvc/tmp/rwlock"


def snakemake(project: Project, *targets: str) -> AbstractContextManager[subprocess.Popen[str]]:
    return projects.started(project, *SNAKEMAKE, *targets)


def training(cluster: Slurm, project: Project) -> tuple[str, str]:
    """Wait until train_source has a checkpoint; return the ID of its job and the node."""
    projects.wait_for(project, "runs/train_source/*/checkpoint_*.pt", 120)
    [(job, (_, node))] = [item for item in cluster.jobs().items() if item[1][0] == "rule_train_source"]
    return job, node


def log(project: Project) -> str:
    return (project.folder / "logs/train_source.log").read_text()


def test_two_jobs_on_one_node_get_a_gpu_each_and_the_locks_of_devices_agree(
    cluster: Slurm, tmp_path: Path
) -> None:
    """Each job locks the device that SLURM gave it while the other one holds its own."""
    script = tmp_path / "lock.py"
    script.write_text(LOCKING)
    command = [
        "srun", "--gpus=1", "--nodelist=node2", "--mem=100", f"--chdir={tmp_path}", f"--export=ALL,PYTHONPATH={ROOT}",
        sys.executable, str(script),
    ]  # fmt: skip
    jobs = [
        subprocess.Popen(command, env=cluster.environment, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    said = sorted(job.communicate(timeout=120)[0].strip() for job in jobs)
    assert said == ["node2 0 fake-0 2", "node2 1 fake-1 2"]


def test_two_seeds_train_at_once_on_two_nodes_with_what_dvc_yaml_asks_for(
    cluster: Slurm, prepared: Project, project: Project, tmp_path: Path, expected: Model
) -> None:
    other = copied(prepared, tmp_path / "other")
    other.set_params(seed=2)
    with snakemake(project, "train_source") as head, snakemake(other, "train_source") as second:
        wait(lambda: len({node for _, node in cluster.jobs().values()}) == 2, "two nodes at work")
        shown = [cluster.run("scontrol", "show", "job", job) for job in cluster.jobs()]
        wait(lambda: (project.folder / LOCKED).read_text().count(".node"), "a job's lock of DVC")
        before = (project.folder / LOCKED).read_text()
        asked = project.run(*SNAKEMAKE, "-n", "train_source").stdout  # on the login node
        assert "runs here; below is what it has not finished" in asked
        assert (project.folder / LOCKED).read_text() == before  # although no such process is here
        outputs = [process.communicate()[0] for process in (head, second)]
    assert [head.returncode, second.returncode] == [0, 0], outputs
    for output, text in zip(outputs, shown, strict=True):
        assert "wall time" not in output and "memory information" not in output
        assert (
            "TimeLimit=00:11:00" in text
            and "NumNodes=1 NumCPUs=1" in text
            and "TresPerJob=gres:gpu:1" in text
        ), text
        assert re.search(r"mem=40\d\dM", text), text
    assert (
        project.contents("results/train_source") == expected.outputs != other.contents("results/train_source")
    )


def test_a_cancelled_training_is_submitted_again_and_resumes_to_the_same_bytes(
    cluster: Slurm, project: Project, expected: Model
) -> None:
    with snakemake(project, "train_source") as head:
        job, _ = training(cluster, project)
        cluster.run("scancel", job)
        output, _ = head.communicate()
    assert head.returncode == 0, output
    assert "Trying to restart job" in output
    assert "resuming from runs/train_source/" in log(project)
    assert project.contents("results/train_source") == expected.outputs


def test_a_training_on_a_node_that_is_lost_resumes_on_another_node_to_the_same_bytes(
    cluster: Slurm, project: Project, expected: Model
) -> None:
    with snakemake(project, "train_source") as head:
        job, node = training(cluster, project)
        cluster.kill_node(node)
        output, _ = head.communicate()
    again = cluster.jobs("COMPLETED")[job]  # SLURM itself has put it into the queue again
    cluster.start_node(node)
    assert head.returncode == 0, output
    assert again[1] != node
    assert "resuming from runs/train_source/" in log(project)
    assert project.contents("results/train_source") == expected.outputs


def test_a_training_that_reaches_its_time_limit_saves_a_checkpoint_and_a_retry_with_twice_the_time_resumes(
    cluster: Slurm, project: Project, expected: Model
) -> None:
    """SLURM sends SIGCONT, SIGTERM and, KillWait later, SIGKILL. The training stands still until then."""
    definition = project.folder / "dvc.yaml"
    line = 'meta: {threads: "${compute.threads}", resources: {gpu: "${compute.devices}"'
    before, rule, after = definition.read_text().partition("  train_source:\n")
    definition.write_text(before + rule + after.replace(line, f"{line}, runtime: 1", 1))
    with snakemake(project, "train_source") as head:
        job, _ = training(cluster, project)
        regular = stand_still(project)
        wait(lambda: job in cluster.jobs("TIMEOUT"), "the time limit", 300)
        wait(cluster.jobs, "the retry", 300)
        [again] = [cluster.run("scontrol", "show", "job", other) for other in cluster.jobs()]
        output, _ = head.communicate()
    assert head.returncode == 0, output
    assert "TimeLimit=00:02:00" in again, again
    [resumed] = re.findall(r"resuming from (\S+)", log(project))
    assert resumed.startswith("runs/train_source/")
    assert Path(resumed).name not in regular  # the one that SIGTERM caused
    assert project.contents("results/train_source") == expected.outputs


def stand_still(project: Project) -> set[str]:
    """Send SIGSTOP to the training; return the names of its checkpoints."""
    for process in psutil.process_iter():
        with suppress(psutil.Error):  # it has ended
            if {"intrada", "train_source"} <= {*process.cmdline()} and process.cwd() == str(project.folder):
                process.suspend()
    return {path.name for path in (project.folder / "runs/train_source").glob("*/checkpoint_*.pt")}


def test_a_new_snakemake_waits_for_the_job_of_a_killed_one_and_goes_on_from_its_checkpoint(
    cluster: Slurm, project: Project, expected: Model
) -> None:
    with snakemake(project, "train_source") as head:
        job, node = training(cluster, project)
        os.killpg(head.pid, signal.SIGKILL)
        head.wait()
    refused = project.run(*SNAKEMAKE, "train_source", ok=False)
    assert refused.returncode != 0 and job in cluster.jobs()  # it goes on
    assert f"on {node}, SLURM job {job}" in refused.stdout and "runs in this checkout" in refused.stdout
    cluster.run("scancel", job)
    wait(lambda: not cluster.jobs() and not cluster.jobs("COMPLETING"), "the end of the job")
    output = project.run(*SNAKEMAKE, "train_source").stdout
    assert "resuming from runs/train_source/" in log(project), output
    assert project.contents("results/train_source") == expected.outputs


def test_the_nodes_have_process_numbers_of_their_own(cluster: Slurm) -> None:
    """So a PID of one node says nothing on another, as on machines of their own."""
    script = "hostname; ls /proc | grep -c '^[0-9]'"
    said = [
        cluster.run("srun", f"--nodelist={node}", "--mem=10", "sh", "-c", script).split() for node in NODES
    ]
    everything = len([path for path in Path("/proc").iterdir() if path.name.isdigit()])
    assert [host for host, _ in said] == [*NODES]
    assert all(int(count) < everything for _, count in said)
