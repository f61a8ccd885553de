"""The arithmetic and the loader on each device; `make gpu-check` runs the tests marked `cuda` on a GPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from intrada.core import files
from intrada.core.config.load import validate
from intrada.core.distributed.launcher import SINGLE_RANK
from intrada.core.distributed.process_group import SINGLE_PROCESS
from intrada.data import tables
from intrada.data.batch import Batch
from intrada.data.train_batches import TrainBatch, TrainData
from intrada.training.cost_estimate import build_trainer
from intrada.training.nan_check import LossCheck
from intrada.training.streams import batches_on
from tests.support.parity_items import losses as golden
from tests.support.parity_items.reference import Reference
from tests.support.tiny_project import PARAMS, tree

GOLDEN = Path(__file__).parent / "golden"
NO_GPU = pytest.mark.skipif(
    not torch.cuda.is_available(), reason="no CUDA device; to run: on a machine with one"
)
DEVICES = pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=[pytest.mark.cuda, NO_GPU])])


def batch(seed: int, device: str) -> Batch:
    random = torch.Generator().manual_seed(seed)
    image = torch.randint(0, 256, (2, 3, 32, 64), generator=random, dtype=torch.uint8)
    label = torch.randint(0, 11, (2, 32, 64), generator=random)
    return Batch(["a", "b"], image, label).to(torch.device(device))


def iterations(device: str, **compute: Any) -> list[dict[str, float]]:
    """The losses of two AdvEnt iterations of the toy city's network."""
    params = tree()
    params["compute"] |= compute
    checked = validate(PARAMS, params)
    torch.manual_seed(0)
    trainer = build_trainer(checked, checked.train_inter, torch.device("cpu"))
    trainer.start(torch.device(device))
    found = [trainer.step(TrainBatch(batch(2 * i, device), batch(2 * i + 1, device), None)) for i in range(2)]
    return [{name: float(loss) for name, loss in losses.items()} for losses in found]


@DEVICES
def test_losses_have_the_golden_values(device: str) -> None:
    reference, name = Reference(GOLDEN), "c_losses.npz"
    comparisons = golden.compare(reference, name, golden.compute(reference, name, device))
    assert len(comparisons) == 20
    assert [one for one in comparisons if not one.passed] == []


@DEVICES
@pytest.mark.parametrize("precision, tolerance", [("float32", 1e-3), ("bf16", 5e-2)])
def test_iterations_have_the_losses_of_a_cpu_in_float32(
    device: str, precision: str, tolerance: float
) -> None:
    expected = iterations("cpu", precision="float32")
    actual = iterations(device, precision=precision, channels_last=True)
    assert actual == [pytest.approx(losses, rel=tolerance, abs=tolerance) for losses in expected]


@pytest.mark.cuda
@NO_GPU
def test_an_iteration_does_not_wait_for_the_gpu() -> None:
    params = validate(PARAMS, tree())
    trainer = build_trainer(params, params.train_inter, torch.device("cuda"))
    check = LossCheck(SINGLE_PROCESS)
    own = TrainBatch(batch(0, "cuda"), batch(1, "cuda"), None)
    trainer.step(own)
    torch.cuda.set_sync_debug_mode("error")
    try:
        check.add(2, trainer.step(own), own.ids())
    finally:
        torch.cuda.set_sync_debug_mode("default")
    check.look()


@DEVICES
def test_batches_on_a_device_are_those_that_were_read(
    device: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    random, rows = np.random.default_rng(0), []
    for number in range(3):
        files.write_image(Path(f"{number}.png"), random.integers(0, 256, (32, 64, 3), np.uint8))
        files.write_label(Path(f"{number}_label.png"), random.integers(0, 11, (32, 64), np.uint8), [])
        rows.append((str(number), f"{number}.png", f"{number}_label.png", 64, 32))
    index = pd.DataFrame(rows, columns=tables.INDEX_COLUMNS)
    block, data = validate(PARAMS, tree()).train_inter, TrainData(index, index)

    def read(place: str, threads: int) -> list[TrainBatch]:
        return [*batches_on(torch.device(place), threads, block, data, 1, 0, SINGLE_RANK)]

    for found, expected in zip(read(device, 3), read("cpu", 1), strict=True):
        assert found.ids() == expected.ids() and found.target and expected.target
        assert found.source.image.device.type == found.target.label.device.type == device
        assert torch.equal(found.source.image.cpu(), expected.source.image)
        assert torch.equal(found.source.label.cpu(), expected.source.label)
        assert torch.equal(found.target.image.cpu(), expected.target.image)
