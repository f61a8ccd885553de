from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from intrada.core.config.compute_block import Compute
from intrada.core.distributed import device, device_lock
from intrada.core.distributed.device import acquire_device, acquire_devices, uses_bf16
from intrada.core.errors import UserError
from tests.support import processes

UUIDS = ("6c6b6e2f-0000-0000-0000-000000000001", "6c6b6e2f-0000-0000-0000-000000000002")


def compute(device: str) -> Compute:
    return Compute.model_validate(
        {
            "device": device, "threads": 1, "inference_threads": 1, "deterministic": False, "tf32": False,
            "precision": "float32", "channels_last": False, "activation_checkpointing": False,
            "compile": False, "devices": 1, "sync_batch_norm": True,
        }
    )  # fmt: skip


pytestmark = pytest.mark.usefixtures("restored_threads")


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[list[int]]:
    """Patch torch to have two CUDA devices; the list receives the arguments of torch.cuda.set_device."""
    chosen: list[int] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: SimpleNamespace(uuid=UUIDS[index]))
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(device, "_locks", [])
    yield chosen
    for lock in device._locks:
        lock.handle.close()


def test_auto_and_cuda_lock_the_first_free_device_by_its_uuid_and_keep_it(cuda: list[int]) -> None:
    with device_lock.acquire([f"cuda-{UUIDS[0]}"])[0].handle:
        assert acquire_device(compute("auto"), 1) == torch.device("cuda", 1)
    # the other device is free now; the second call must not lock again, which would wait for ever
    assert acquire_device(compute("cuda"), 1) == torch.device("cuda", 1)
    assert cuda == [1]


def test_several_devices_are_locked_together_and_the_first_is_the_current_one(cuda: list[int]) -> None:
    two = compute("cuda").model_copy(update={"devices": 2})
    assert acquire_devices(two, 1) == [torch.device("cuda", 0), torch.device("cuda", 1)]
    assert cuda == [0]
    assert acquire_device(two, 1) == torch.device("cuda", 0)


def test_more_devices_than_available_are_refused(cuda: list[int]) -> None:
    with pytest.raises(UserError, match="compute.devices: 3, but torch sees 2 CUDA devices"):
        acquire_devices(compute("cuda").model_copy(update={"devices": 3}), 1)
    assert not cuda


def test_several_devices_on_a_cpu_are_the_cpu_repeated() -> None:
    assert acquire_devices(compute("cpu").model_copy(update={"devices": 2}), 1) == [torch.device("cpu")] * 2


def test_cpu_locks_no_cuda_device(cuda: list[int], tmp_path: Path) -> None:
    assert acquire_device(compute("cpu"), 1) == torch.device("cpu")
    assert not cuda and not list(tmp_path.iterdir())


def test_auto_is_the_cpu_without_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert acquire_device(compute("auto"), 1) == torch.device("cpu")


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device; to run: on a machine with one")
def test_a_real_device_computes_and_its_lock_is_named_by_a_uuid() -> None:
    script = (
        "import torch; from intrada.core.distributed import device; from intrada.core.config.compute_block import Compute\n"
        "own = device.acquire_device(compute('cuda'), 1)\n"
        "print(device._locked(1)[0].name, torch.ones(2, device=own).sum().item(), flush=True)"
    )
    with processes.begun("-c", script) as process:
        assert re.fullmatch(r"cuda-\w{8}(-\w{4}){3}-\w{12} 2\.0", processes.said(process))


def test_cuda_without_a_device_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError, match="compute.device: cuda, but torch sees no CUDA device"):
        acquire_device(compute("cuda"), 1)


def test_the_number_of_threads_is_set() -> None:
    for count in (1, 3):
        acquire_device(compute("cpu"), count)
        assert torch.get_num_threads() == count


DENORMAL = """
import threading, torch
from intrada.core.distributed import device
from tests.core.distributed.test_device import compute

def kept():
    x = torch.full((1 << 20,), 1e-30, requires_grad=True)  # large enough for all four threads
    (x * 1e-10).sum().backward(torch.tensor(1e-30))
    return int((x.detach() * 1e-10).count_nonzero() + x.grad.count_nonzero())

counts = []
{setup}
thread = threading.Thread(target=lambda: counts.append(kept()))
thread.start()
thread.join()
print(kept(), *counts, flush=True)
"""


@pytest.mark.parametrize(
    ("setup", "kept"),
    [
        ("device.acquire_device(compute('cpu'), 4)", "0 0"),
        ("device.configure_torch(compute('cpu'), 4, torch.device('cpu'))", "0 0"),
        ("torch.set_num_threads(4)", f"{2 << 20} {2 << 20}"),  # without it, each of these numbers is kept
    ],
)
def test_every_thread_of_a_stage_treats_denormal_numbers_as_zero(setup: str, kept: str) -> None:
    if not torch.set_flush_denormal(True):
        pytest.skip("this CPU always computes with denormal numbers; to run: on x86 or ARM64")
    with processes.begun("-c", DENORMAL.format(setup=setup)) as process:
        assert processes.said(process) == kept


@pytest.mark.parametrize("enabled", [True, False])
def test_params_set_determinism_and_tf32(enabled: bool) -> None:
    acquire_device(compute("cpu").model_copy(update={"deterministic": enabled, "tf32": enabled}), 1)
    assert torch.are_deterministic_algorithms_enabled() == torch.backends.cudnn.deterministic == enabled
    assert torch.backends.cudnn.allow_tf32 == enabled
    assert torch.get_float32_matmul_precision() == ("high" if enabled else "highest")
    acquire_device(compute("cpu"), 1)


def test_bf16_is_used_if_chosen_and_with_auto_if_the_device_supports_it() -> None:
    cpu = torch.device("cpu")

    def used(precision: str) -> bool:
        return uses_bf16(compute("cpu").model_copy(update={"precision": precision}), cpu)

    assert used("bf16") and not used("float32")
    assert used("auto") == torch.cpu._is_avx512_bf16_supported()
