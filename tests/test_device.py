from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from intrada.device import prepare
from intrada.errors import UserError
from intrada.params import Compute


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
    assert prepare(Compute(device=asked, threads=1)) == torch.device(given)


def test_cuda_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError, match="compute.device: cuda, but torch sees no CUDA device"):
        prepare(Compute(device="cuda", threads=1))


def test_the_number_of_threads_is_set() -> None:
    for count in (1, 3):
        prepare(Compute(device="cpu", threads=count))
        assert torch.get_num_threads() == count
