from __future__ import annotations

import base64
import hashlib
import json
import re
from pathlib import Path

import matplotlib as mpl
import pytest

from intrada.core import files, hashing
from intrada.core.errors import UserError
from intrada.data import tables
from intrada.evaluation.reporting import diagnosis
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
    """One report of the whole tree, for the tests that only look at it."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("project")
        patch.chdir(folder)
        tree()
        return folder / write_report()


def test_the_table_has_a_row_a_model_with_one_decimal(written: Path) -> None:
    assert (written / "table.md").read_text() == TABLE


def test_the_diagnosis_of_the_labelled_images_is_the_one_worked_by_hand(written: Path) -> None:
    found = json.loads((written / "diagnosis.json").read_text())
    assert found["note"] == diagnosis.NOTE
    # easy: 7 of 8 pixels, IoU 4/5 and 3/4; hard: 2 of 8, IoU 1/5, 1/5 and 0/4
    assert found["easy"] == pytest.approx({"images": 2, "pixel_accuracy": 87.5, "mIoU": 77.5})
    assert found["hard"] == pytest.approx({"images": 2, "pixel_accuracy": 25.0, "mIoU": 40 / 3})
    assert found["easy_minus_hard"] == pytest.approx({"pixel_accuracy": 62.5, "mIoU": 77.5 - 40 / 3})
    # ranks of the entropy 1 2 3 4, of the mIoU 4 3 1 2: 1 - 6 * 18 / (4 * 15)
    assert found["spearman_entropy_mIoU"] == pytest.approx(-0.8)
    # 6 of 8 pixels kept, 5 of them right; IoU 4/5 and 1/2
    assert found["pseudo_labels"] == pytest.approx({"pixels_kept": 75, "pixel_accuracy": 500 / 6, "mIoU": 65})


def test_the_page_needs_nothing_but_itself(written: Path) -> None:
    html = (written / "index.html").read_text(encoding="utf-8")
    assert "http:" not in html and "https:" not in html
    assert "url(" not in html
    addresses = re.findall(r'(?:src|href)="(?!#)([^"]*)"', html)
    assert len(addresses) == 7 and all(address.startswith("data:") for address in addresses)
    assert html.count("<script") == 2


def test_the_policy_of_the_page_allows_its_own_script_alone(written: Path) -> None:
    html = (written / "index.html").read_text(encoding="utf-8")
    script = html[html.rindex("<script>") + 8 : html.rindex("</script>")]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert (
        f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'" in html
    )


def test_the_page_says_what_was_run_and_with_what(written: Path) -> None:
    html = (written / "index.html").read_text(encoding="utf-8")
    assert "easy_fraction: 0.5" in html and "seed: 1" in html
    assert hashing.fingerprint(written.parent / "intra.safetensors") in html
    assert str(written.parent) not in html, "no path of this machine"


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
        "5: 2 easy, 3 hard",
        "mean_entropy",
    ):
        assert shown in html, shown
    assert "prefers-color-scheme: dark" in html and 'name="viewport"' in html


def test_the_figures_are_named_and_carry_no_signature(written: Path) -> None:
    names = sorted(path.name for path in (written / "figures").iterdir())
    assert names == ["class_iou.png", "entropy_histogram.png", "samples.png", "training_curves.png"]
    for name in names:
        data = (written / "figures" / name).read_bytes()
        assert data.startswith(b"\x89PNG") and b"tEXt" not in data and b"tIME" not in data


def test_two_runs_give_the_same_bytes_whatever_the_users_style(
    written: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(written.parent)
    with mpl.rc_context({"font.size": 25, "figure.facecolor": "pink", "savefig.bbox": "tight"}):
        second = write_report("second")
    found = [path.relative_to(written) for path in files.list_files(written)]
    assert len(found) == 7
    for path in found:
        assert (written / path).read_bytes() == (second / path).read_bytes(), path


def test_without_labels_there_is_a_sentence_instead_of_numbers(project: Path) -> None:
    tree(labelled=False)
    folder = write_report()
    assert json.loads((folder / "diagnosis.json").read_text()) == diagnosis.absent()
    assert "| intra | - | - | - | - |" in (folder / "table.md").read_text()
    html = (folder / "index.html").read_text(encoding="utf-8")
    assert "have no labels, so there is no IoU" in html and "No diagnosis" in html and "nan" not in html


def test_lambda_0_calls_no_image_easy_and_skips_step_3(project: Path) -> None:
    tree(split=0)
    Path("truth/index.csv").unlink()  # an empty folder of labels says the same as an empty table
    folder = write_report(split=0)
    html = (folder / "index.html").read_text(encoding="utf-8")
    assert "<dt>step 3</dt><dd>skipped" in html and "there is no cut, all are hard" in html
    assert json.loads((folder / "diagnosis.json").read_text()) == diagnosis.absent()


def test_lambda_1_calls_no_image_hard(project: Path) -> None:
    tree(split=1)
    folder = write_report(split=1)
    html = (folder / "index.html").read_text(encoding="utf-8")
    assert "<dt>step 3</dt><dd>self-training" in html and "there is no cut, all are easy" in html
    found = json.loads((folder / "diagnosis.json").read_text())
    assert found["hard"]["images"] == 0 and found["easy_minus_hard"]["pixel_accuracy"] is None
    # 14 of 16 pixels kept: a 3, b 3 and all of c and d
    assert found["pseudo_labels"]["pixels_kept"] == 87.5


def test_the_title_is_text_and_no_markup(written: Path) -> None:
    html = (written / "index.html").read_text(encoding="utf-8")
    assert "<h1>&lt;b&gt;A &amp; B&lt;/b&gt;</h1>" in html


def test_no_name_of_an_image_can_end_the_script_that_holds_it(project: Path) -> None:
    tree()
    name = "<script>&'"  # a slash cannot stand in a file's name
    for path in (*Path("evaluate").rglob("v.png"), Path("v.png")):
        path.rename(path.with_name(f"{name}.png"))
    for path in Path("evaluate").glob("*/images.csv"):
        images = tables.read(path, tables.IMAGES).replace(
            {"id": {"v": name}, "image": {"v.png": f"{name}.png"}}
        )
        tables.write(path, images, tables.IMAGES)
    html = (write_report() / "index.html").read_text(encoding="utf-8")
    held = html.split('id="gallery-data">')[1].split("</script>")[0]
    assert "<" not in held and json.loads(held)["images"][1]["name"] == name


def test_labels_of_other_images_are_refused(project: Path) -> None:
    tree()
    index = tables.read(Path("truth/index.csv"), tables.INDEX).replace({"id": {"c": "z"}})
    tables.write(Path("truth/index.csv"), index, tables.INDEX)
    with pytest.raises(
        UserError, match=r"truth/index.csv: 1 images that were not scored and ranked, z first"
    ):
        write_report()


@pytest.mark.parametrize(
    ("broken", "words"),
    [([[0]], r"\(1, 1\)"), ([[0, 0, 0]], r"\(1, 3\)"), ([[0, 0], [7, 1]], r"holds \[7\], outside 0..2")],
)
def test_a_prediction_that_does_not_fit_its_truth_is_refused(
    project: Path, broken: list[list[int]], words: str
) -> None:
    tree()
    label(Path("predictions/c.png"), broken)
    with pytest.raises(UserError, match=rf"predictions/c.png: .*{words}"):
        write_report()
    assert not Path("report").exists()


def test_samples_that_are_missing_are_named(project: Path) -> None:
    tree()
    Path("evaluate/source/samples/prediction/v.png").unlink()
    with pytest.raises(UserError, match=r"source/samples/prediction/v.png: no such file"):
        write_report()
    for name in ("v", "w"):
        Path(f"evaluate/inter/samples/entropy/{name}.png").unlink()
    with pytest.raises(UserError, match="no sample of any image"):
        write_report()
