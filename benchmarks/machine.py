"""The machine of a run: its processor, how fast that multiplies matrices, what other programs take of it."""

from __future__ import annotations

import os
import platform
import resource
import time
from pathlib import Path

import psutil
import torch

from benchmarks import peak
from intrada.core.distributed.device import has_bf16

CPU = torch.device("cpu")


def describe() -> dict[str, object]:
    """Return the name of the processor, its cores, and GFLOP/s of a matrix product by one thread and type."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    types = [torch.float32, *[torch.bfloat16] * has_bf16(CPU)]
    gflops = {str(kind).removeprefix("torch."): peak.matrix_product(CPU, kind) / 1e9 for kind in types}
    torch.set_num_threads(threads)
    return {"processor": processor(), "cores": psutil.cpu_count(), "peak_gflops": gflops}


def processor(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """Return the name of the processor."""
    if cpuinfo.exists():
        for line in cpuinfo.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


class Others:
    """The cores that other programs use from the start of a row on.

    The work of this process and of the children that it waited for does not count: a row does not make the
    next one's machine look busy, as the load average does.
    """

    def __init__(self) -> None:
        self._wall, self._busy, self._own = time.perf_counter(), _busy_seconds(), _own_seconds()

    def cores(self) -> float:
        """Return the mean number of cores that other programs used, 0 or more."""
        wall = time.perf_counter() - self._wall
        others = _busy_seconds() - self._busy - (_own_seconds() - self._own)
        return max(0.0, others / max(wall, 1 / os.sysconf("SC_CLK_TCK")))


def _busy_seconds() -> float:
    """Return the processor seconds of all programs since the machine started."""
    times = psutil.cpu_times()._asdict()
    return float(sum(times[name] for name in ("user", "nice", "system", "irq", "softirq") if name in times))


def _own_seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)
