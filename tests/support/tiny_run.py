"""`python -m tests.support.tiny_run`: run the tiny project and print the SHA-256 of each artifact, with its path.

The lines of two versions of the code are compared with `diff`: see CONTRIBUTING.md. About 20 seconds.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.support import tiny_project


def main() -> None:
    """Run all stages in an empty folder, then print the hashes of `data/preprocess` and `results`."""
    with TemporaryDirectory() as folder:
        os.chdir(folder)
        tiny_project.start(Path())
        for name in (*tiny_project.ORDER, "report"):
            if status := tiny_project.run(name):
                raise SystemExit(status)
        for path in sorted([*Path("data/preprocess").rglob("*"), *Path("results").rglob("*")]):
            if path.is_file():
                print(hashlib.sha256(path.read_bytes()).hexdigest(), path.as_posix())
        os.chdir("/")  # a folder in use cannot be removed everywhere


if __name__ == "__main__":
    main()
