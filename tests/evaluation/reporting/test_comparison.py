"""Two hand-made runs side by side: params, metrics, classes and images."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from intrada.__main__ import main
from intrada.core import files
from intrada.core.config.classes import class_set
from intrada.core.errors import UserError
from intrada.data import tables
from intrada.evaluation.reporting import comparison
from intrada.evaluation.reporting.comparison import Row, Run

NAMES = ["road", "sky"]
PALETTE = class_set(NAMES).palette()
MAPS = {  # run -> image -> prediction
    "one": {"v": [[0, 0], [1, 1]], "w": [[0, 0], [0, 0]], "x": [[1, 1], [1, 1]]},
    "two": {"v": [[0, 1], [1, 1]], "w": [[0, 1], [1, 1]], "x": [[1, 1], [1, 1]]},
}


def write(run: str, labelled: bool = True, names: list[str] = NAMES) -> None:
    """Write RUN/results, as far as a comparison reads it, and the images that its tables name."""
    better = 10 * (run == "two")
    for model in ("source", "intra"):
        folder = Path(run) / "results/evaluate" / model
        metrics: dict[str, float | None] = {"mIoU": 40.04 + better if labelled else None, "mean_entropy": 0.5}
        files.write_json(folder / "metrics.json", metrics)
        iou = [40.0 + better, np.nan] if labelled else [np.nan, np.nan]
        files.write_csv(folder / "classes.csv", pd.DataFrame({"class": names, "iou": iou}))
        rows = [(name, f"data/{name}.png", f"data/{name}_label.png" if labelled else "") for name in "vwx"]
        images = pd.DataFrame(rows, columns=["id", "image", "label"]).assign(width=2, height=2, entropy=0.5)
        value = 50.0 + better if labelled else np.nan
        images = images.assign(subset="easy", mIoU=value, pixel_accuracy=value)
        tables.write(folder / "images.csv", images, tables.IMAGES)
        for name, indices in MAPS[run].items():
            path = folder / "predictions" / f"{name}.png"
            files.write_label(path, np.array(indices, np.uint8), PALETTE)
    for name in "vwx":
        files.write_image(Path(run) / "data" / f"{name}.png", np.full((2, 2, 3), 90, np.uint8))
        files.write_label(Path(run) / "data" / f"{name}_label.png", np.zeros((2, 2), np.uint8), PALETTE)
    values = {"seed": 1, "rank": {"easy_fraction": 0.5 if run == "two" else 0.67}}
    files.write_json(Path(run) / "results/report/params.json", {"params": values, "different": {}})


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Run]:
    """Two runs in the working directory."""
    monkeypatch.chdir(tmp_path)
    for run in MAPS:
        write(run)
    return [comparison.read(run, Path(run) / "results", lambda path: None) for run in MAPS]


def test_only_params_that_differ_are_listed(runs: list[Run]) -> None:
    assert comparison.params(runs) == [("rank.easy_fraction", ["0.67", "0.5"])]


def test_a_param_that_one_run_lacks_differs(runs: list[Run]) -> None:
    runs[1].params["new"] = None
    assert comparison.params(runs)[-1] == ("new", ["-", "null"])


def test_differences_are_those_to_the_first_run() -> None:
    assert Row("x", [1.0, 3.0, None]).differences == [2.0, None]
    assert Row("x", [None, 3.0]).differences == [None]


def test_metrics_have_a_row_for_each_model(runs: list[Run]) -> None:
    rows = {row.name: (row.values, row.differences) for row in comparison.metrics(runs)}
    assert list(rows) == ["source mIoU", "source mean_entropy", "intra mIoU", "intra mean_entropy"]
    assert rows["intra mIoU"] == ([40.04, 50.04], [pytest.approx(10)])


def test_a_model_that_one_run_lacks_has_no_difference(runs: list[Run]) -> None:
    del runs[0].metrics["source"]
    rows = {row.name: row.differences for row in comparison.metrics(runs)}
    assert rows["source mIoU"] == [None]


def test_classes_are_compared_under_the_last_model_of_each_run(runs: list[Run]) -> None:
    road, sky = comparison.classes(runs)
    assert (road.values, sky.values) == ([40, 50], [None, None])


def test_images_that_changed_most_come_first(runs: list[Run]) -> None:
    table = comparison.images(runs)
    assert table["image"].tolist() == ["w", "v", "x"]
    assert table["changed"].tolist() == [75, 25, 0] and table["gain"].tolist() == [10, 10, 10]


def test_a_map_of_another_size_is_compared_at_the_size_of_the_first(runs: list[Run]) -> None:
    large = np.array(MAPS["two"]["v"], np.uint8).repeat(2, 0).repeat(2, 1)
    files.write_label(runs[1].prediction("v"), large, PALETTE)
    assert comparison.images(runs)["changed"].tolist() == [75, 25, 0]


def test_runs_of_other_classes_are_refused(runs: list[Run]) -> None:
    write("two", names=["road", "car"])
    other = comparison.read("two", Path("two/results"), lambda path: None)
    with pytest.raises(UserError, match="others in two"):
        comparison.images([runs[0], other])


def test_the_command_writes_one_page_and_one_table(
    runs: list[Run], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", "one", "two"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["rank.easy_fraction", "0.67", "0.5"] in lines
    assert ["intra", "mIoU", "40.0", "50.0", "+10.0"] in lines
    table = files.read_csv(Path("compare/table.csv"))
    assert table["kind"].tolist() == ["param", *["metric"] * 4, *["class IoU"] * 2]
    page = Path("compare/index.html").read_text(encoding="utf-8")
    assert page.index("<h3>w</h3>") < page.index("<h3>v</h3>") < page.index("<h3>x</h3>")
    assert "75.0 % of the pixels changed" in page and "+10.0 points from one to two" in page
    urls = re.findall(r'src="([^"]*)"', page)
    assert len(urls) == 3 * 5 and all(url.startswith("data:image/") for url in urls)
    assert not re.search("https?:|<script", page)


def test_names_of_runs_and_images_cannot_inject_markup(runs: list[Run]) -> None:
    Path("one").rename("<b>one")
    assert main(["compare", "<b>one", "two"]) == 0
    page = Path("compare/index.html").read_text(encoding="utf-8")
    assert "<b>one" not in page and "&lt;b&gt;one" in page


def test_without_labels_the_pages_shows_what_changed(runs: list[Run]) -> None:
    for run in MAPS:
        write(run, labelled=False)
    assert main(["compare", "one", "two", "--out", "page"]) == 0
    page = Path("page/index.html").read_text(encoding="utf-8")
    assert "75.0 % of the pixels changed" in page and "points from" not in page
    assert len(re.findall(r'src="data:', page)) == 3 * 4


@pytest.mark.parametrize(
    "words, message",
    [
        (["one"], "two different runs or more"),
        (["one", "one"], "two different runs or more"),
        (["one", "empty"], "no evaluate/<model>/metrics.json"),
    ],
)
def test_what_is_no_run_is_named(
    runs: list[Run], capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    Path("empty").mkdir()
    assert main(["compare", *words]) == 1
    assert message in capsys.readouterr().err
    assert not Path("compare").exists()


def test_broken_metrics_name_their_file(runs: list[Run], capsys: pytest.CaptureFixture[str]) -> None:
    Path("two/results/evaluate/intra/metrics.json").write_text(json.dumps([1]))
    assert main(["compare", "one", "two"]) == 1
    assert "two/results/evaluate/intra/metrics.json" in capsys.readouterr().err
