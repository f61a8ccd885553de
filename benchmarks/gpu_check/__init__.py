"""Check this project on one GPU, and measure it there, within eight minutes: `make gpu-check`.

Each part of parts.py runs in a process of its own with its own time limit, so that one that fails or hangs
does not end the others. `--device cpu --small` runs all parts in miniature, as a test does.
"""

from __future__ import annotations

# The parts, and how many seconds each may take. Together they stay below eight minutes.
LIMITS: dict[str, int] = {
    "tests": 90,
    "iteration": 80,
    "compiled": 90,
    "deterministic": 50,
    "memory": 40,
    "inference": 60,
    "two_processes": 60,
}
