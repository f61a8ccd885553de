"""The stage analyse on the tiny project, with and without labels."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from intrada.core import files
from intrada.data import tables
from intrada.evaluation.validators import CRITERIA, CRITERION
from tests.support.tiny_project import change, forget_records, run, tree, write_params

OUT = Path("results/analyse")
pytestmark = pytest.mark.usefixtures("one_thread")


def test_the_agreement_is_that_of_the_label_maps(project: Path) -> None:
    table = tables.read(OUT / "tables/agreement.csv", tables.AGREEMENT)
    assert list(table.columns) == ["image", "source_inter", "inter_intra", "source_intra"]
    for row in table.itertuples():
        maps = [
            files.read_label(Path(f"results/evaluate/{model}/predictions/{row.image}.png"))
            for model in ("source", "intra")
        ]
        assert row.source_intra == pytest.approx(100 * (maps[0] == maps[1]).mean())
    findings = json.loads((OUT / "findings.json").read_text())
    assert findings["pairs"]["source_intra"]["agreement"] == pytest.approx(table["source_intra"].mean())


def test_the_shares_add_up_and_the_suggested_images_exist(project: Path) -> None:
    shares = files.read_csv(OUT / "tables/shares.csv")
    assert shares["class"].tolist() == tree()["classes"]
    assert shares.drop(columns="class").sum().to_numpy() == pytest.approx(100)
    suggested = tables.read(OUT / "tables/label_next.csv", tables.LABEL_NEXT)
    assert len(suggested) and all(Path(path).is_file() for path in suggested["path"])
    assert suggested["entropy"].is_monotonic_decreasing and suggested["rank"].iloc[0] == 1


def test_each_criterion_of_each_model_has_a_choice_and_its_regret(project: Path) -> None:
    table = tables.read(OUT / "tables/criteria.csv", tables.CRITERIA)
    assert len(table) == 3 * len(CRITERIA) and table["correlation"].isna().all()  # of two snapshots
    snapshots = files.read_csv(Path("results/evaluate_snapshots/intra/snapshots.csv"))
    found = table[(table["model"] == "intra") & (table["criterion"] == CRITERION)].iloc[0]
    chosen = snapshots[snapshots["label_free"] == 1].iloc[0]
    assert found["chosen"] == chosen["iteration"]
    assert found["regret"] == pytest.approx(snapshots["mIoU"].max() - chosen["mIoU"])


def test_the_metrics_that_dvc_shows_are_rounded(project: Path) -> None:
    assert sorted(path.stem for path in (OUT / "metrics").iterdir()) == ["inter", "intra", "source"]
    exact = json.loads(Path("results/evaluate/intra/metrics.json").read_text())
    shown = json.loads((OUT / "metrics/intra.json").read_text())
    assert next(iter(shown)) == "mIoU" and shown["mIoU"] == round(exact["mIoU"], 1)


def test_without_labels_all_but_the_tables_of_iou_are_as_rich(project: Path) -> None:
    forget_records()
    shutil.rmtree("data/raw/toycity/cityscapes/gtFine/val")
    write_params(change(tree(), preprocess__val__options={"labels": "none"}))
    before = {name: files.read_csv(OUT / f"tables/{name}.csv") for name in ("agreement", "label_next")}
    for name in ("check", "preprocess@val", "evaluate@inter", "evaluate@source", "evaluate@intra"):
        assert run(name) == 0
    for name in ("source", "inter", "intra"):
        assert run(f"evaluate_snapshots@{name}") == 0
    assert run("analyse") == 0
    after = {name: files.read_csv(OUT / f"tables/{name}.csv") for name in before}
    assert all(before[name].equals(after[name]) for name in before)
    shares = files.read_csv(OUT / "tables/shares.csv")
    assert shares["labels"].isna().all() and np.isclose(shares["intra"].sum(), 100)
    assert files.read_csv(OUT / "tables/confusion.csv").empty
    assert files.read_csv(OUT / "tables/iou.csv").empty
    choices = files.read_csv(OUT / "tables/criteria.csv")
    assert choices["regret"].isna().all() and (choices["chosen"] > 0).all()
    findings = json.loads((OUT / "findings.json").read_text())
    assert findings["vanished_compared_with"] == "source"
    assert json.loads((OUT / "metrics/intra.json").read_text())["mIoU"] is None
