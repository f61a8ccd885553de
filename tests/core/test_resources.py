"""What the machine lacks is named: memory, open files. Other errors stay what they are."""

from __future__ import annotations

import errno
import os

import numpy as np
import pytest

from intrada.core import resources
from intrada.core.errors import UserError


@pytest.mark.parametrize(
    ("error", "where"),
    [
        (MemoryError(), r"memory: exhausted \(MemoryError\)"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "memory: exhausted"),
        (ImportError("libtorch_cpu.so: failed to map segment from shared object"), "memory: exhausted"),
        (
            RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: 9 bytes"),
            "memory: exhaust",
        ),
        (RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"), "memory: .*Tried to allocate"),
        (OSError(errno.EMFILE, "Too many open files", "a.png"), "a.png: the system refuses it"),
    ],
)
def test_what_is_exhausted_is_named(error: Exception, where: str) -> None:
    with pytest.raises(UserError, match=where), resources.named():
        raise error


def test_an_array_that_is_too_large_is_named() -> None:
    with pytest.raises(UserError, match="memory: exhausted .*Unable to allocate"), resources.named():
        np.empty(2**60, np.uint8)


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOENT, os.strerror(errno.ENOENT)), RuntimeError("x"), KeyError()]
)
def test_other_errors_stay_what_they_are(error: Exception) -> None:
    with pytest.raises(type(error)) as raised, resources.named():
        raise error
    assert raised.value is error
