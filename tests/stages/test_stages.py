"""Every stage except the report writes the same bytes again; scores, ranking and pseudo-labels."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from intrada.core import files
from intrada.core.config.classes import IGNORE
from intrada.data import tables
from intrada.methods import pseudo_labels
from tests.support.definition import jobs
from tests.support.stage_runs import CLASSES, TARGET, TARGET_IMAGES, contents, use
from tests.support.tiny_project import ORDER, forget_records, run, tree

pytestmark = pytest.mark.usefixtures("one_thread")


# --- every stage


@pytest.mark.parametrize("name", ORDER)
def test_a_stage_writes_its_outputs_with_the_same_bytes_again(project: Path, name: str) -> None:
    outs = jobs(tree())[name].outs
    before = contents(outs)
    assert len(before) >= len(outs)
    for out in outs:  # DVC removes them before a run
        shutil.rmtree(out) if Path(out).is_dir() else Path(out).unlink()
    assert run(name) == 0
    assert contents(outs) == before


def test_these_tests_run_every_job_except_the_report() -> None:
    assert set(jobs(tree())) - set(ORDER) == {"validate", "report"}


# --- score, rank, pseudo_label


def test_scores_match_the_written_predictions(project: Path) -> None:
    scores = tables.read(Path("results/score/scores.csv"), tables.SCORES)
    index = tables.read(TARGET / "index.csv", tables.INDEX)
    assert scores["image"].tolist() == index["id"].tolist()
    columns = [tables.PIXELS + name for name in CLASSES]
    assert list(scores.columns) == ["image", "entropy", *columns]
    assert scores["entropy"].between(0, 1, inclusive="neither").all()
    for row in scores.to_dict("records"):
        prediction = files.read_label(Path(f"results/score/predictions/{row['image']}.png"))
        assert prediction.shape == (32, 64)
        counts = np.bincount(prediction.ravel(), minlength=len(CLASSES))
        assert [row[column] for column in columns] == counts.tolist()
        confidence = files.read_label(Path(f"results/score/confidence/{row['image']}.png"))
        assert confidence.shape == prediction.shape and confidence.min() >= 255 // len(CLASSES)


def test_scores_do_not_depend_on_the_batch_size(project: Path) -> None:
    before = tables.read(Path("results/score/scores.csv"), tables.SCORES)
    use(score__batch_size=3)
    assert run("score") == 0
    after = tables.read(Path("results/score/scores.csv"), tables.SCORES)
    assert after["entropy"].tolist() == pytest.approx(before["entropy"].tolist(), abs=1e-6)


@pytest.mark.parametrize("fraction, easy", [(0, 0), (0.34, 3), (0.67, 6), (1, 10)])
def test_the_fraction_of_the_lowest_entropy_is_easy(project: Path, fraction: float, easy: int) -> None:
    use(rank__rule="mean_entropy", rank__easy_fraction=fraction)
    assert run("rank") == 0
    split = tables.read(Path("results/rank/split.csv"), tables.SPLIT)
    scores = tables.read(Path("results/score/scores.csv"), tables.SCORES).set_index("image")["entropy"]
    assert split["image"].tolist() == scores.sort_values(kind="stable").index.tolist()
    assert split["subset"].tolist() == ["easy"] * easy + ["hard"] * (TARGET_IMAGES - easy)
    assert split["rank"].tolist() == list(range(1, TARGET_IMAGES + 1))


def test_rank_refuses_a_table_with_a_duplicate_image(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    forget_records()
    path = Path("results/score/scores.csv")
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines, lines[1]]) + "\n")
    assert run("rank") == 1
    assert f"{path}: line 2, column image" in capsys.readouterr().err


@pytest.mark.parametrize("threshold", [0, 0.2, 1])
def test_easy_images_get_the_predictions_of_high_confidence(project: Path, threshold: float) -> None:
    use(pseudo_label__min_confidence=threshold)
    assert run("pseudo_label") == 0
    easy, hard = (tables.read(Path(f"results/pseudo_label/{p}.csv"), tables.INDEX) for p in ("easy", "hard"))
    split = tables.read(Path("results/rank/split.csv"), tables.SPLIT)
    assert [*easy["id"], *hard["id"]] == split["image"].tolist()
    assert len(easy) == 6 and set(hard["label"]) == {""}
    written = {path.stem for path in Path("results/pseudo_label/labels").iterdir()}
    assert written == set(easy["id"])
    for row in easy.itertuples():
        prediction = files.read_label(Path(f"results/score/predictions/{row.id}.png"))
        confidence = files.read_label(Path(f"results/score/confidence/{row.id}.png"))
        assert Path(row.image) == TARGET / "images" / f"{row.id}.png"
        expected = pseudo_labels.select(prediction, confidence, threshold)
        assert np.array_equal(files.read_label(Path(row.label)), expected)
        assert threshold or np.array_equal(expected, prediction)


def test_the_pixels_that_pseudo_labels_keep_are_counted_by_class(project: Path) -> None:
    use(pseudo_label__min_confidence=0.2)
    assert run("pseudo_label") == 0
    kept = tables.read(Path("results/pseudo_label/classes.csv"), tables.KEPT)
    assert kept["class"].tolist() == CLASSES
    labels = np.stack([files.read_label(path) for path in Path("results/pseudo_label/labels").iterdir()])
    counts = np.bincount(labels.ravel(), minlength=256)
    assert kept["kept"].tolist() == counts[: len(CLASSES)].tolist() and counts[IGNORE] > 0
    scores = tables.read(Path("results/score/scores.csv"), tables.SCORES).set_index("image")
    easy = scores.loc[tables.read(Path("results/pseudo_label/easy.csv"), tables.INDEX)["id"]]
    assert kept["predicted"].tolist() == easy[[f"pixels_{name}" for name in CLASSES]].sum().tolist()


def test_a_split_of_other_images_is_refused(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    forget_records()
    path = Path("results/rank/split.csv")
    lines = path.read_text().splitlines()
    path.write_text("\n".join(lines[:-1]) + "\n")
    assert run("pseudo_label") == 1
    missing = lines[-1].split(",")[0]
    assert f"1 images are in the split or in the target index only, {missing}" in capsys.readouterr().err
