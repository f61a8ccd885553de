"""The pages of `dvc plots show` and `dvc plots diff` draw without network access."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from intrada.core.config import plain_yaml
from tests.support.chromium import Watched, needs_chromium
from tests.support.chromium import browser as browser
from tests.support.definition import ROOT

pytestmark = [needs_chromium, pytest.mark.slow]


def write_results(factor: float) -> None:
    """Write what plots/dvc.yaml names: losses of three trainings, and tables of the stage analyse."""
    folder = Path("results/analyse/tables")
    folder.mkdir(parents=True, exist_ok=True)
    models, names = ["source", "inter", "intra"], ["road", "sky"]
    for column in ("mIoU", "information"):
        snapshots = [(model, step, 0.5 * factor) for model in models for step in (10, 20)]
        table = pd.DataFrame(snapshots, columns=["model", "iteration", column])
        table.to_csv(folder / f"{column.lower()}.csv", index=False)
    iou = [(name, model, 30 * factor) for model in models for name in names]
    pd.DataFrame(iou, columns=["class", "model", "iou"]).to_csv(folder / "iou.csv", index=False)
    cells = [(model, one, other, 50) for model in models for one in names for other in names]
    pd.DataFrame(cells, columns=["model", "truth", "predicted", "percent"]).to_csv(
        folder / "confusion.csv", index=False
    )
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
    write_results(1.0)
    git = ("git", "-c", "user.name=t", "-c", "user.email=t@example.org")
    for command in (("init", "-q"), ("add", "-A"), ("commit", "-qm", "start")):
        subprocess.run([*git, *command], check=True)
    write_results(2.0)
    return tmp_path


def test_the_rows_of_the_confusion_matrices_are_not_sorted_by_an_empty_list() -> None:
    """With `sort: []` for the rows, Vega-Lite draws the matrices of two revisions under wrong names."""
    template = plain_yaml.parse((ROOT / ".dvc/plots/confusion.json").read_text(encoding="utf-8"))
    assert template["facet"]["row"]["field"] == "rev" and "sort" not in template["facet"]["row"]


@pytest.mark.parametrize("command", [("show",), ("diff", "HEAD")])
def test_the_plots_are_drawn_without_network(browser: Any, checkout: Path, command: tuple[str, ...]) -> None:
    dvc = [sys.executable, "-m", "dvc", "plots", *command, "--out", "shown"]
    subprocess.run(dvc, check=True, capture_output=True)
    url = (checkout / "shown/index.html").as_uri()
    watched = Watched(browser, url)
    watched.page.wait_for_function("document.querySelectorAll('.vega-embed canvas').length === 6")
    assert watched.requests == [url] and watched.messages == []
    sizes = watched.page.evaluate("[...document.querySelectorAll('canvas')].map(canvas => canvas.width)")
    assert min(sizes) > 100
    text = (checkout / "shown/index.html").read_text(encoding="utf-8")
    assert "<DVC_METRIC" not in text
    for title in ("mIoU of the snapshots", "IoU by class", "confusion matrices", "adversarial losses"):
        assert f'"text": "{title}"' in text
    watched.context.close()
