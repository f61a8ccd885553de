"""The pages of `dvc plots show` and `dvc plots diff` draw without network access."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.support.chromium import Watched, needs_chromium
from tests.support.chromium import browser as browser
from tests.support.definition import ROOT

pytestmark = needs_chromium


def write_losses(factor: float) -> None:
    for name in ("source", "inter", "intra"):
        path = Path(f"results/train_{name}/losses.csv")
        path.parent.mkdir(parents=True, exist_ok=True)
        columns = ["seg_main", "adv_main", "d_source_main", "d_target_main"]
        rows = {"iteration": [10, 20, 30], **{column: [factor, factor / 2, 0.1] for column in columns}}
        pd.DataFrame(rows).to_csv(path, index=False)


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The project's plots and DVC config, with committed losses that have changed since."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    (tmp_path / ".dvc").mkdir()
    shutil.copy(ROOT / ".dvc/config", ".dvc/config")
    shutil.copytree(ROOT / ".dvc/plots", ".dvc/plots")
    shutil.copytree(ROOT / "plots", "plots")
    write_losses(1.0)
    git = ("git", "-c", "user.name=t", "-c", "user.email=t@example.org")
    for command in (("init", "-q"), ("add", "-A"), ("commit", "-qm", "start")):
        subprocess.run([*git, *command], check=True)
    write_losses(2.0)
    return tmp_path


@pytest.mark.parametrize("command", [("show",), ("diff", "HEAD")])
def test_the_plots_are_drawn_without_network(browser: Any, checkout: Path, command: tuple[str, ...]) -> None:
    dvc = [sys.executable, "-m", "dvc", "plots", *command, "--out", "shown"]
    subprocess.run(dvc, check=True, capture_output=True)
    url = (checkout / "shown/index.html").as_uri()
    watched = Watched(browser, url)
    watched.page.wait_for_function("document.querySelectorAll('.vega-embed canvas').length === 2")
    # DVC's template with smoothing starts from an empty plot
    unexpected = [text for text in watched.messages if not text.startswith("WARN Infinite extent")]
    assert watched.requests == [url] and unexpected == []
    sizes = watched.page.evaluate("[...document.querySelectorAll('canvas')].map(canvas => canvas.width)")
    assert min(sizes) > 100
    watched.context.close()
