"""Two processes on the CPU (gloo) give the results of one: training and inference of the small network."""

from __future__ import annotations

import multiprocessing
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from intrada.__main__ import main
from intrada.core import files
from intrada.core.distributed import process_group
from intrada.core.distributed.launcher import SINGLE_RANK
from intrada.core.errors import UserError
from intrada.data import tables
from intrada.models import build_model, sync_batch_norm
from tests.support import tiny_project
from tests.support.definition import ROOT
from tests.support.optional import needs

ITERATIONS = 5
MODEL, LOSSES, RUNS = Path("model.safetensors"), Path("losses.csv"), Path("runs/train_inter")
TRAIN = [
    "train_inter", "--source", "source.csv", "--sources", "sources.csv", "--target", "target.csv", "--init", "weights/random",
    "--model", str(MODEL), "--snapshots", "snapshots", "--losses", str(LOSSES),
]  # fmt: skip


@pytest.fixture
def images(checkout: Path) -> Path:
    """Six source images, each with another fraction of ignored pixels (one fully), and five target images."""
    for domain, count in (("source", 6), ("target", 5)):
        random, rows = np.random.default_rng(count), []
        for number in range(count):
            name = f"{domain}{number}"
            files.write_image(Path(f"{name}.png"), random.integers(0, 256, (32, 64, 3), np.uint8))
            label = random.integers(0, 11, (32, 64), np.uint8)
            label[: 32 - 6 * number] = 255
            files.write_label(Path(f"{name}_label.png"), label, [])
            rows.append((name, f"{name}.png", f"{name}_label.png", 64, 32))
        tables.write(Path(f"{domain}.csv"), pd.DataFrame(rows, columns=tables.INDEX_COLUMNS), tables.INDEX)
    tables.write(Path("sources.csv"), pd.DataFrame(columns=list(tables.SETS.columns)), tables.SETS)
    return checkout


def setup(devices: int, compute: Mapping[str, Any] | None = None, **changes: Any) -> None:
    params = tiny_project.tree()
    params["compute"] |= {"devices": devices, **(compute or {})}
    block = {
        "iterations": ITERATIONS,
        "max_iters": 20,
        "batch_size": 4,
        "log_every": 1,
        "checkpoint_every": 3,
    }
    params["train_inter"] |= {**block, "checkpoints_kept": 9, "snapshot_every": 4, **changes}
    tiny_project.write_params(params)


def no_process_is_left() -> bool:
    return not multiprocessing.active_children()


def group_members(group: int) -> list[str]:
    """Return the command lines of the running processes of a process group."""
    lines = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # the process has ended
            state, _, process_group = stat.read_text().rpartition(")")[2].split()[:3]
            if int(process_group) == group and state != "Z":
                lines.append(stat.with_name("cmdline").read_text())
    return lines


def eventually(condition: Callable[[], bool]) -> bool:
    """Return whether the condition becomes true within 30 seconds."""
    end = time.monotonic() + 30
    while not (true := condition()) and time.monotonic() < end:
        time.sleep(0.05)
    return true


def outputs() -> dict[str, bytes]:
    return {path.as_posix(): path.read_bytes() for path in [MODEL, LOSSES, *Path("snapshots").iterdir()]}


def largest_distance(ours: dict[str, Tensor], others: dict[str, Tensor]) -> float:
    """Return the largest relative distance (L2) of two tensors of a name.

    Not of single weights: at a kink of ReLU, rounding changes a single weight by more.
    """

    def norm(tensor: Tensor) -> float:
        return float(torch.linalg.vector_norm(tensor.double()))

    return max(norm(ours[name] - others[name]) / norm(others[name]) for name in ours | others)


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [{"ema": 0.9}, {"method": "mean_teacher", "self_training": tiny_project.SELF_TRAINING}],
    ids=["advent", "mean_teacher"],
)
def test_two_processes_train_as_one_does_and_resume_to_the_same_bytes(
    images: Path, changes: dict[str, Any]
) -> None:
    setup(1, **changes)
    assert main(TRAIN) == 0
    alone, weights = files.read_csv(LOSSES), load_file(MODEL)
    shutil.rmtree(RUNS)
    setup(2, **changes)
    assert main(TRAIN) == 0
    pd.testing.assert_frame_equal(files.read_csv(LOSSES), alone, rtol=1e-4)
    assert largest_distance(load_file(MODEL), weights) < 5e-3
    uninterrupted = outputs()
    (last,) = RUNS.glob("*/checkpoint_00000005.pt")
    assert len(torch.load(last)["random"]) == 2
    assert [path.name for path in RUNS.glob("*/tensorboard/*")] != []
    last.unlink()
    assert main(TRAIN) == 0
    assert outputs() == uninterrupted and no_process_is_left()


@pytest.mark.slow
def test_without_sync_batch_norm_two_processes_equal_one_with_two_micro_batches(
    images: Path,
) -> None:
    runs = []
    for devices, changes in ((1, {"gradient_accumulation_steps": 2}), (2, {})):
        setup(devices, {"sync_batch_norm": False}, **changes)
        assert main(TRAIN) == 0
        runs.append((files.read_csv(LOSSES), load_file(MODEL)))
        shutil.rmtree(RUNS)
    (alone, weights), (losses, trained) = runs
    pd.testing.assert_frame_equal(losses, alone, rtol=1e-4)
    learned = [
        name for name in weights if name.endswith((".weight", ".bias"))
    ]  # each process has its own statistics
    assert 0 < len(learned) < len(weights)
    first, second = ({name: tensors[name] for name in learned} for tensors in (trained, weights))
    assert largest_distance(first, second) < 5e-3


@pytest.mark.slow
def test_a_nan_loss_stops_both_and_names_the_images_of_both(
    images: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    optimizer = tiny_project.tree()["train_inter"]["optimizer"]
    setup(2, optimizer={**optimizer, "lr": 1e18})
    assert main(TRAIN) == 1
    (error,) = [line for line in capfd.readouterr().err.splitlines() if line.startswith("error:")]
    assert error.startswith("error: iteration 2: losses ") and "nan" in error
    named = re.search(r"on the images (.*)", error)
    assert named and re.findall(r"[a-z]+", named[1]).count("source") == 4
    assert no_process_is_left() and not MODEL.exists()


@pytest.mark.slow
def test_a_signal_leaves_one_checkpoint_and_no_process(images: Path) -> None:
    setup(2, iterations=500, max_iters=500, checkpoint_every=2, checkpoints_kept=2)
    command = [sys.executable, "-m", "intrada", *TRAIN]
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, start_new_session=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as process:  # fmt: skip
        while process.poll() is None and not list(RUNS.glob("*/checkpoint_*.pt")):
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGTERM)  # to all processes, as a cluster does
        _, errors = process.communicate()
    assert process.returncode == 143, errors
    said = "; the checkpoint is saved, run the same command again to continue"
    assert errors.splitlines()[-1].startswith("stopped after iteration ") and said in errors
    assert "Traceback" not in errors and "distributed" not in errors and not MODEL.exists()
    assert eventually(lambda: not group_members(process.pid))


@pytest.mark.slow
def test_an_error_of_one_process_ends_both_with_its_message(
    images: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    setup(2, batch_size=2)
    broken = Path("source4.png")  # the second process reads it in some iteration
    broken.write_bytes(broken.read_bytes()[:100])
    assert main(TRAIN) == 1
    errors = capfd.readouterr().err
    assert "error: source4.png: " in errors and "Traceback" not in errors
    assert no_process_is_left() and not MODEL.exists()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["score", "evaluate@inter", "evaluate_snapshots@inter"])
def test_two_processes_write_the_bytes_of_one(project: Path, name: str) -> None:
    options = {"label_ids": "results/label_ids"} if name == "evaluate@inter" else {}

    def outputs(devices: int) -> dict[Path, bytes]:
        shutil.rmtree(Path("results", *name.split("@")))
        tiny_project.write_params(tiny_project.change(tiny_project.tree(), compute__devices=devices))
        assert tiny_project.run(name, **options) == 0
        content = {path: path.read_bytes() for path in Path("results").rglob("*") if path.is_file()}
        shutil.rmtree("results/label_ids", ignore_errors=True)
        return content

    assert outputs(2) == outputs(1) and no_process_is_left()


def test_a_batch_that_the_devices_do_not_divide_is_refused(
    images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    setup(2, batch_size=3)
    assert main(TRAIN) == 1
    assert "compute.devices 2 does not divide train_inter.batch_size 3" in capsys.readouterr().err


@pytest.fixture
def group() -> Iterator[Any]:
    """Initialise a process group of this process alone; yields its store."""
    store = process_group.create_store()
    process_group.join(SINGLE_RANK, None, store.port, [torch.device("cpu")])
    yield store
    process_group.leave()


def test_the_store_listens_on_the_loopback_address_alone(group: Any) -> None:
    """Other machines cannot reach the store."""
    connections = psutil.Process().net_connections()
    listening = [connection.laddr for connection in connections if connection.status == "LISTEN"]
    assert [address for address, port in listening if port == group.port] == ["127.0.0.1"]


@pytest.mark.parametrize("affine", [True, False])
def test_synchronised_normalisation_of_one_process_equals_torchs(group: None, affine: bool) -> None:
    torch.manual_seed(0)
    usual = nn.BatchNorm2d(3, affine=affine)
    ours = nn.BatchNorm2d(3, affine=affine)
    sync_batch_norm.synchronise(ours)
    assert ours.state_dict().keys() == usual.state_dict().keys()
    for training in (True, True, False):
        values = (5 + torch.randn(2, 3, 4, 5)).requires_grad_()
        results = []
        for module in (usual, ours):
            values.grad = None
            output = module.train(training)(values)
            (output * torch.linspace(0, 1, 20).view(4, 5)).square().sum().backward()
            results.append([output, values.grad, *[weight.grad for weight in module.parameters()]])
        torch.testing.assert_close(results[1], results[0], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(ours.state_dict(), usual.state_dict())


def test_other_normalisation_is_refused() -> None:
    network = nn.Sequential(nn.BatchNorm1d(2))
    with pytest.raises(UserError, match="network's 0 is a BatchNorm1d"):
        sync_batch_norm.synchronise(network)


def test_timms_normalisation_keeps_its_activation(group: None) -> None:
    layers = needs("timm.layers", "efficientnet")
    usual, ours = (layers.BatchNormAct2d(3, act_layer=nn.ReLU6) for _ in range(2))
    sync_batch_norm.synchronise(ours)
    values: Tensor = 9 * torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(ours(values), usual(values))


@pytest.mark.slow
def test_a_compiled_network_has_the_outputs_and_gradients_of_synchronised_normalisation(group: None) -> None:
    """Traced by dynamo and autograd (aot_eager), with torch's own kernels."""
    image = torch.randn(2, 3, 32, 64, generator=torch.Generator().manual_seed(0))
    results = []
    for compiled in (False, True):
        torch.manual_seed(0)
        network = build_model("small", 4, {}).train()
        sync_batch_norm.synchronise(network)
        if compiled:
            network.compile(backend="aot_eager", dynamic=False)
        output = network(image)
        sum(head.square().sum() for head in output.values()).backward()
        gradients = {name: weight.grad for name, weight in network.named_parameters()}
        results.append((output, gradients, network.state_dict()))
    torch.testing.assert_close(results[1], results[0], rtol=1e-4, atol=1e-4)
