"""Run the tiny project and print the SHA-256 of each artifact: `python -m tests.support.tiny_run`.

Compare the lines of two versions of the code with `diff`, see CONTRIBUTING.md. A model has a second line for its
tensors only, since the header of its file names the version that wrote it. It takes about 20 s.
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
        for name in ("validate", *tiny_project.ORDER, "report"):
            if status := tiny_project.run(name):
                raise SystemExit(status)
        for path in sorted([*Path("data/preprocess").rglob("*"), *Path("results").rglob("*")]):
            if path.is_file():
                content = path.read_bytes()
                print(hashlib.sha256(content).hexdigest(), path.as_posix())
                if path.suffix == ".safetensors":  # after 8 bytes, the length of the header, and the header
                    tensors = content[8 + int.from_bytes(content[:8], "little") :]
                    print(hashlib.sha256(tensors).hexdigest(), path.as_posix(), "(tensors)")
        os.chdir("/")  # some systems cannot remove the working directory


if __name__ == "__main__":
    main()
