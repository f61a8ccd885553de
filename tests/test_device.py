from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from intrada.device import prepare
from intrada.errors import UserError
from intrada.params import Compute


def compute(device: str, threads: int) -> Compute:
    return Compute(device=device, threads=threads, deterministic=False, tf32=False)  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    "asked, there, given",
    [("auto", False, "cpu"), ("auto", True, "cuda"), ("cpu", True, "cpu"), ("cuda", True, "cuda")],
)
def test_auto_takes_cuda_where_there_is_one(
    monkeypatch: pytest.MonkeyPatch, asked: str, there: bool, given: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
    assert prepare(compute(asked, 1)) == torch.device(given)


def test_cuda_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError, match="compute.device: cuda, but torch sees no CUDA device"):
        prepare(compute("cuda", 1))


def test_the_number_of_threads_is_set() -> None:
    for count in (1, 3):
        prepare(compute("cpu", count))
        assert torch.get_num_threads() == count


@pytest.mark.parametrize("asked", [True, False])
def test_params_say_what_cuda_may_do_with_float32(asked: bool) -> None:
    prepare(Compute(device="cpu", threads=1, deterministic=asked, tf32=asked))
    assert torch.are_deterministic_algorithms_enabled() == torch.backends.cudnn.deterministic == asked
    assert torch.backends.cudnn.allow_tf32 == asked
    assert torch.get_float32_matmul_precision() == ("high" if asked else "highest")
    prepare(compute("cpu", 1))
