"""A DVC project in a folder of its own, for tests that call DVC in their process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from dvc.repo import Repo


@contextmanager
def made(folders: pytest.TempPathFactory) -> Iterator[Path]:
    """A new DVC project without stages, which is the working directory within the block."""
    folder = folders.mktemp("project")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        Repo.init(no_scm=True).close()
        yield folder
