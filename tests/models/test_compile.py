"""torch.compile changes only the rounding of a training."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from intrada.core.config.load import validate
from intrada.core.errors import UserError
from intrada.data.train_batches import TrainBatch
from intrada.models.compile import is_enabled
from intrada.training import cost_estimate, step_timing
from intrada.training.cost_estimate import META, build_trainer, noise_batch
from intrada.training.trainer import Trainer
from tests.support.tiny_project import PARAMS, change, tree

CPU = torch.device("cpu")


def trainer(compiled: bool | str, device: torch.device = CPU, **changes: Any) -> Trainer:
    torch.set_num_threads(1)
    params = validate(PARAMS, change(tree(), compute__compile=compiled, **changes))
    torch.manual_seed(0)
    return build_trainer(params, params.train_inter, device)


@pytest.mark.slow
def test_a_compiled_training_has_the_same_losses_and_state_dict(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Traced by dynamo and autograd, with torch's own kernels; inductor needs a minute to compile."""
    monkeypatch.setattr("intrada.models.compile.BACKEND", "aot_eager")
    torch.manual_seed(1)
    steps = [TrainBatch(*(noise_batch(2, (64, 32), CPU) for _ in range(2)), None) for _ in range(2)]
    compiled, plain = trainer(True, train_inter__ema=0.9), trainer(False, train_inter__ema=0.9)
    for step in steps:
        torch.testing.assert_close(compiled.step(step), plain.step(step), rtol=1e-4, atol=1e-4)
    actual, expected = (run.networks.segmenter.state_dict() for run in (compiled, plain))
    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-4)
    assert list(actual) == list(expected)
    assert list(compiled.model.state_dict()) == list(plain.model.state_dict())
    assert compiled.networks.segmenter._compiled_call_impl
    assert not plain.networks.segmenter._compiled_call_impl


@pytest.mark.parametrize("setting, devices", [("auto", {"cuda"}), (True, {"cuda", "cpu"}), (False, set())])
def test_auto_compiles_on_cuda_only(setting: bool | str, devices: set[str]) -> None:
    compute = validate(PARAMS, change(tree(), compute__compile=setting)).compute
    assert {name for name in ("cuda", "cpu", "meta") if is_enabled(compute, torch.device(name))} == devices


def test_a_network_on_the_meta_device_is_not_compiled() -> None:
    assert trainer(True, META).networks.segmenter._compiled_call_impl is None


def test_compiling_on_a_cpu_without_a_compiler_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(UserError, match="compute.compile: true, but there is no C\\+\\+ compiler no-such"):
        trainer(True)


@pytest.mark.parametrize("compiled", [True, "auto"])
def test_compiling_together_with_activation_checkpointing_is_refused(compiled: bool | str) -> None:
    with pytest.raises(UserError) as caught:
        trainer(compiled, compute__activation_checkpointing=True)
    assert caught.value.found.endswith(f"requires compile false, but compile is {compiled!r}")


@pytest.mark.parametrize("value", ["yes", None])
def test_other_values_of_compile_are_refused(value: object) -> None:
    with pytest.raises(UserError) as caught:
        validate(PARAMS, change(tree(), compute__compile=value))
    assert caught.value.found.startswith("compute.compile") and "; " not in caught.value.found


def test_the_time_of_a_compiled_network_can_be_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("intrada.models.compile.BACKEND", "eager")
    monkeypatch.setattr(step_timing, "MOST", 1)
    params = validate(PARAMS, change(tree(), compute__compile=True))
    cost = cost_estimate.estimate_stage(params, "train_source")
    [taken] = step_timing.measure_all(params, [cost], CPU, busy=False)
    assert 0 < taken.seconds < 1000
