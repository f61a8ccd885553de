"""Run the parts one after another; write results/gpu_check.json and print a table for docs/performance.md."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benchmarks.gpu_check import LIMITS
from intrada.core import children, files
from intrada.core.errors import UserError

OUT = Path("results/gpu_check.json")
TAIL = 600  # characters of the output of a part that failed


def main(argv: list[str] | None = None) -> int:
    """Return 0 if every part came to its end and reached its bars. UserError without a CUDA device."""
    parser = argparse.ArgumentParser("gpu_check", description=__doc__)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda", help="default: cuda")
    parser.add_argument("--small", action="store_true", help="tiny images, to try the script itself")
    parser.add_argument("--only", choices=LIMITS, nargs="+", default=list(LIMITS), help="default: all parts")
    parser.add_argument("--part", choices=LIMITS, help=argparse.SUPPRESS)  # in the process of a part
    parser.add_argument("--found", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args(argv)
    if chosen.part:
        from benchmarks.gpu_check import parts  # imports torch, so only in the process of a part

        found = parts.measure(chosen.part, parts.Setting(chosen.device, chosen.small))
        files.write_json(chosen.found, found)
        return 0
    name = _name(chosen.device)
    results = {part: run(part, chosen.device, chosen.small) for part in chosen.only}
    files.write_json(OUT, {"device": name, "small": chosen.small, "parts": results})
    print("\n".join(table(name, results)))
    return int(not all(result["passed"] for result in results.values()))


def run(part: str, device: str, small: bool, limit: float | None = None) -> dict[str, Any]:
    """Run a part in a process of its own; return its figures, its seconds and whether it passed.

    limit: seconds, default: of LIMITS. A part that fails has an `error` in place of figures.
    """
    limit = limit or LIMITS[part]
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "found.json")
        command = [sys.executable, "-m", "benchmarks.gpu_check", "--part", part, "--found", str(path)]
        command += ["--device", device, *(["--small"] if small else [])]
        # cuBLAS reads it when CUDA starts; only the part `deterministic` needs it
        env = {**os.environ, "CUBLAS_WORKSPACE_CONFIG": ":4096:8"} if part == "deterministic" else None
        found: dict[str, Any]
        try:
            done = children.run(command, env=env, capture=True, limit=limit)
            found = json.loads(path.read_text(encoding="utf-8")) if done.returncode == 0 else {}
            error = "" if found else f"exit code {done.returncode}: {done.stdout[-TAIL:].strip()}"
        except subprocess.TimeoutExpired:
            found, error = {}, f"not ended after {limit:g} s"
    seconds = round(time.monotonic() - start, 1)
    print(f"gpu_check: {part}: {error or 'done'} ({seconds:.0f} s)", file=sys.stderr, flush=True)
    if error:
        return {"passed": False, "seconds": seconds, "error": error}
    return {"passed": all(row["passed"] for row in found["rows"]), "seconds": seconds, **found}


def table(device: str, results: dict[str, dict[str, Any]]) -> Iterable[str]:
    """Yield the lines of a Markdown table of all figures, with the bar of those that have one."""
    yield f"| {device} | figure | bar |"
    yield "| --- | ---: | --- |"
    for part, result in results.items():
        if "error" in result:
            words = " ".join(result["error"].split()).replace("|", "\\|")
            yield f"| {part}: failed after {result['seconds']:.0f} s | | {words[-200:]} |"
        for row in result.get("rows", []):
            missed = "" if row["passed"] else " (missed)"
            yield f"| {part}: {row['name']} | {row['value']:.4g} {row['unit']} | {row['bar']}{missed} |"


def _name(device: str) -> str:
    """Return the name of the GPU or `CPU`. UserError for cuda without a device."""
    if device == "cpu":
        return "CPU"
    script = "import torch; print(torch.cuda.get_device_name() if torch.cuda.is_available() else '')"
    name = children.run([sys.executable, "-c", script], capture=True).stdout.strip()
    if not name:
        fix = "run it on a machine with a GPU and torch for CUDA; --device cpu --small tries the script"
        raise UserError("gpu_check", "torch sees no CUDA device", "a CUDA device", fix)
    return name.splitlines()[-1]


if __name__ == "__main__":
    try:
        sys.exit(main())
    except UserError as error:
        sys.exit(str(error))
