from __future__ import annotations

import base64
import hashlib
import json
import re
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest

from intrada.core import files, hashing
from intrada.core.errors import UserError
from intrada.data import tables
from intrada.evaluation.reporting import diagnosis, views
from intrada.evaluation.reporting.views import View
from tests.support.report_tree import label, tree, write_report

TABLE = """\
| model | mIoU | easy | hard | pixel accuracy |
| --- | ---: | ---: | ---: | ---: |
| source | 50.0 | 60.0 | 30.3 | 80.0 |
| inter | 57.3 | 68.0 | 39.0 | 85.5 |
| intra | 58.7 | 68.6 | 41.9 | 100.0 |
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of the whole tree, for the tests that only read it."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("project")
        patch.chdir(folder)
        tree()
        return folder / write_report()


def test_the_table_has_one_row_per_model_with_one_decimal(written: Path) -> None:
    assert (written / "table.md").read_text() == TABLE


def test_the_diagnosis_equals_the_one_computed_by_hand(written: Path) -> None:
    actual = json.loads((written / "diagnosis.json").read_text())
    assert actual["note"] == diagnosis.NOTE
    # easy: 7 of 8 pixels, IoU 4/5 and 3/4; hard: 2 of 8, IoU 1/5, 1/5 and 0/4
    assert actual["easy"] == pytest.approx({"images": 2, "pixel_accuracy": 87.5, "mIoU": 77.5})
    assert actual["hard"] == pytest.approx({"images": 2, "pixel_accuracy": 25.0, "mIoU": 40 / 3})
    assert actual["easy_minus_hard"] == pytest.approx({"pixel_accuracy": 62.5, "mIoU": 77.5 - 40 / 3})
    # ranks of the entropy 1 2 3 4, of the mIoU 4 3 1 2: 1 - 6 * 18 / (4 * 15)
    assert actual["spearman_entropy_mIoU"] == pytest.approx(-0.8)
    # 6 of 8 pixels kept, 5 of them right; IoU 4/5 and 1/2
    by_class = actual["pseudo_labels"].pop("by_class")
    # road: predicted 5, kept 5, right 4, IoU 4/5; sky: predicted 3, kept 1 (right), IoU 1/2; car: never
    assert by_class == [
        {"kept": pytest.approx(100), "precision": pytest.approx(80), "iou": pytest.approx(80)},
        {"kept": pytest.approx(100 / 3), "precision": pytest.approx(100), "iou": pytest.approx(50)},
        {"kept": None, "precision": None, "iou": None},
    ]
    assert actual["pseudo_labels"] == pytest.approx(
        {"pixels_kept": 75, "pixel_accuracy": 500 / 6, "mIoU": 65}
    )


def test_the_page_has_no_external_resource(written: Path) -> None:
    html = (written / "index.html").read_text(encoding="utf-8")
    assert "http:" not in html and "https:" not in html
    assert "url(" not in html
    urls = re.findall(r'(?:src|href)="(?!#)([^"]*)"', html)
    assert len(urls) == 30 and all(url.startswith("data:") for url in urls)
    assert html.count("<script") == 1


def test_the_content_security_policy_allows_only_the_pages_own_script(written: Path) -> None:
    html = (written / "index.html").read_text(encoding="utf-8")
    script = html[html.rindex("<script>") + 8 : html.rindex("</script>")]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert (
        f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'" in html
    )


def test_the_page_has_the_fingerprints_and_says_that_no_run_is_recorded(written: Path) -> None:
    html = (written / "index.html").read_text(encoding="utf-8")
    assert "<dd>mean_entropy (of params.yaml; the run is not recorded)</dd>" in html
    assert "<code>rank</code>" in html and "easy_fraction: 0.5" not in html
    assert re.search(r"\d\d of the files of this report have no record in this checkout", html)
    assert hashing.fingerprint(written.parent / "intra.safetensors") in html
    assert str(written.parent) not in html, "no absolute path"


def test_the_page_shows_the_numbers(written: Path) -> None:
    html = (written / "index.html").read_text(encoding="utf-8")
    for shown in (
        "57.3",
        "85.5",
        "87.5",
        "62.5",
        "64.2",
        "-0.80",
        "75.0 %",
        "On 1 evaluation image of the target, the adapted model (intra) gets 58.7&nbsp;% mIoU, source-only 50.0&nbsp;%:",
        "7 labelled of the source, 5 of the target, 3 for evaluation",
        "5: 2 easy, 3 hard",
        "mean_entropy",
    ):
        assert shown in html, shown
    assert "prefers-color-scheme: dark" in html and 'name="viewport"' in html


def test_the_figures_have_no_version_and_no_date(written: Path) -> None:
    names = sorted(path.name for path in (written / "figures").iterdir())
    assert names == ["class_iou.png", "entropy_histogram.png", "samples.png", "training_curves.png"]
    for name in names:
        data = (written / "figures" / name).read_bytes()
        assert data.startswith(b"\x89PNG") and b"tEXt" not in data and b"tIME" not in data


def test_two_runs_give_the_same_bytes_with_any_matplotlib_style(
    written: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(written.parent)
    with mpl.rc_context({"font.size": 25, "figure.facecolor": "pink", "savefig.bbox": "tight"}):
        second = write_report("second")
    names = [path.relative_to(written) for path in files.list_files(written)]
    assert len(names) == 8
    for name in names:
        assert (written / name).read_bytes() == (second / name).read_bytes(), name


def test_without_labels_the_page_says_so_and_has_no_numbers(project: Path) -> None:
    tree(labelled=False)
    folder = write_report()
    assert json.loads((folder / "diagnosis.json").read_text()) == diagnosis.without_labels()
    assert "| intra | - | - | - | - |" in (folder / "table.md").read_text()
    html = (folder / "index.html").read_text(encoding="utf-8")
    assert "On 3 images of the target, the adapted model (intra) is surer than source-only: mean" in html
    assert "mean entropy 0.125 against 0.300." in html and "They agree on 91.7 % of the pixels." in html
    assert "No diagnosis" in html and not re.search(r"\bnan\b", html, re.IGNORECASE)
    shown = html.split("<main>")[1].split('id="provenance"')[0]
    of_target = re.sub(r"[Ss]ource( |<br>)mIoU", "", shown)  # the source images have labels
    assert "<td>-" not in html and "mIoU" not in of_target


def test_lambda_0_has_no_easy_image_and_skips_step_3(project: Path) -> None:
    tree(split=0)
    Path("truth/index.csv").unlink()  # a missing index.csv has the same meaning as one without rows
    folder = write_report(split=0)
    html = (folder / "index.html").read_text(encoding="utf-8")
    assert "<dt>step 3</dt><dd>skipped" in html and "there is no cut: all images are hard" in html
    assert json.loads((folder / "diagnosis.json").read_text()) == diagnosis.without_labels()


def test_lambda_1_has_no_hard_image(project: Path) -> None:
    tree(split=1)
    folder = write_report(split=1)
    html = (folder / "index.html").read_text(encoding="utf-8")
    assert "<dt>step 3</dt><dd>self-training" in html and "there is no cut: all images are easy" in html
    actual = json.loads((folder / "diagnosis.json").read_text())
    assert actual["hard"]["images"] == 0 and actual["easy_minus_hard"]["pixel_accuracy"] is None
    # 14 of 16 pixels kept: a 3, b 3 and all of c and d
    assert actual["pseudo_labels"]["pixels_kept"] == 87.5


def test_the_title_is_escaped(written: Path) -> None:
    html = (written / "index.html").read_text(encoding="utf-8")
    assert r"<h1>&lt;b&gt;A &amp; B&lt;/b&gt;\x1b[2J\u202e</h1>" in html
    assert html.replace("\n", "").isprintable()


def test_an_image_name_cannot_add_an_element(project: Path) -> None:
    tree()
    name = "<script>&'\""  # a file name cannot contain a slash
    for path in (*Path("evaluate").rglob("v.png"), Path("v.png")):
        path.rename(path.with_name(f"{name}.png"))
    for path in Path("evaluate").glob("*/images.csv"):
        images = tables.read(path, tables.IMAGES).replace(
            {"id": {"v": name}, "image": {"v.png": f"{name}.png"}}
        )
        tables.write(path, images, tables.IMAGES)
    html = (write_report() / "index.html").read_text(encoding="utf-8")
    assert html.count("<script") == 1 and 'data-name="&lt;script&gt;&amp;&#39;&#34;"' in html


def test_labels_of_other_images_are_refused(project: Path) -> None:
    tree()
    index = tables.read(Path("truth/index.csv"), tables.INDEX).replace({"id": {"c": "z"}})
    tables.write(Path("truth/index.csv"), index, tables.INDEX)
    with pytest.raises(
        UserError, match=r"truth/index.csv: 1 images that were not scored and ranked, z first"
    ):
        write_report()


@pytest.mark.parametrize(
    ("invalid", "message"),
    [([[0]], r"\(1, 1\)"), ([[0, 0, 0]], r"\(1, 3\)"), ([[0, 0], [7, 1]], r"holds \[7\], outside 0..2")],
)
def test_a_prediction_of_another_size_or_class_is_refused(
    project: Path, invalid: list[list[int]], message: str
) -> None:
    tree()
    label(Path("predictions/c.png"), invalid)
    with pytest.raises(UserError, match=rf"predictions/c.png: .*{message}"):
        write_report()
    assert not Path("report").exists()


def test_a_missing_sample_is_named(project: Path) -> None:
    tree()
    Path("evaluate/source/samples/prediction/v.png").unlink()
    with pytest.raises(UserError, match=r"source/samples/prediction/v.png: no such file"):
        write_report()
    for name in ("v", "w"):
        Path(f"evaluate/inter/samples/entropy/{name}.png").unlink()
    with pytest.raises(UserError, match="no sample of any image"):
        write_report()


def test_the_page_shows_what_a_training_with_crops_and_colours_sees(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree()
    assert "What the network sees" not in (write_report() / "index.html").read_text()
    shown = View("<name>", "source", *[np.zeros((4, 8, 3), np.uint8)] * 2, np.zeros((4, 8), np.uint8))
    monkeypatch.setattr(views, "read", lambda *_: ("train_inter", [shown]))
    page = (write_report("other") / "index.html").read_text()
    assert "What the network sees in train_inter" in page
    assert all(f'alt="{layer}: &lt;name&gt;"' in page for layer in ("before", "seen", "label"))
