"""torch.compile changes the rounding of a training and nothing else."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from intrada.core.config.load import validate
from intrada.core.errors import UserError
from intrada.data.train_batches import TrainBatch
from intrada.models.compile import is_wanted
from intrada.training import cost_estimate
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
def test_a_compiled_training_has_the_losses_and_the_names_of_the_plain_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As dynamo and autograd trace it, with torch's own kernels: inductor's take a minute to build."""
    monkeypatch.setattr("intrada.models.compile.BACKEND", "aot_eager")
    torch.manual_seed(1)
    steps = [TrainBatch(*(noise_batch(2, (64, 32), CPU) for _ in range(2)), None) for _ in range(2)]
    found, expected = trainer(True, train_inter__ema=0.9), trainer(False, train_inter__ema=0.9)
    for step in steps:
        torch.testing.assert_close(found.step(step), expected.step(step), rtol=1e-4, atol=1e-4)
    compiled, plain = found.networks.segmenter.state_dict(), expected.networks.segmenter.state_dict()
    torch.testing.assert_close(compiled, plain, rtol=1e-4, atol=1e-4)
    assert list(compiled) == list(plain)
    assert list(found.model.state_dict()) == list(expected.model.state_dict())
    assert (
        found.networks.segmenter._compiled_call_impl and not expected.networks.segmenter._compiled_call_impl
    )


@pytest.mark.parametrize("asked, wanted", [("auto", {"cuda"}), (True, {"cuda", "cpu"}), (False, set())])
def test_auto_compiles_on_cuda_alone(asked: bool | str, wanted: set[str]) -> None:
    compute = validate(PARAMS, change(tree(), compute__compile=asked)).compute
    assert {name for name in ("cuda", "cpu", "meta") if is_wanted(compute, torch.device(name))} == wanted


def test_what_is_only_counted_is_not_compiled() -> None:
    assert trainer(True, META).networks.segmenter._compiled_call_impl is None


def test_compiling_on_a_cpu_without_a_compiler_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(UserError, match="compute.compile: true, but there is no C\\+\\+ compiler no-such"):
        trainer(True)


@pytest.mark.parametrize("compiled", [True, "auto"])
def test_compiling_does_not_go_with_activation_checkpointing(compiled: bool | str) -> None:
    with pytest.raises(UserError) as caught:
        trainer(compiled, compute__activation_checkpointing=True)
    assert caught.value.found.endswith(f"goes with compile false alone, compile is {compiled!r}")


@pytest.mark.parametrize("written", ["yes", None])
def test_another_word_for_compile_is_refused(written: object) -> None:
    with pytest.raises(UserError) as caught:
        validate(PARAMS, change(tree(), compute__compile=written))
    assert caught.value.found.startswith("compute.compile") and "; " not in caught.value.found


def test_the_speed_of_a_compiled_training_is_taken_after_it_was_compiled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("intrada.models.compile.BACKEND", "eager")
    monkeypatch.setattr(cost_estimate, "WIDTHS", (64,))
    params = validate(PARAMS, change(tree(), compute__compile=True))
    assert cost_estimate.measured_throughput(params, CPU) > 1e7
