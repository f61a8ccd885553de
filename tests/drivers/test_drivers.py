"""dvc and snakemake on one checkout, in any order: what runs is read from the execution log."""

from __future__ import annotations

import itertools
import json
import os
import re
import shlex
import shutil
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from tests.support.project import AFTER_LAMBDA, ROOT, Project, by

pytestmark = pytest.mark.drivers

GPU_STAGES = ("train_source", "train_inter", "train_intra", "score", "evaluate")
EVERYTHING = (
    22  # jobs of the card, the evaluations and preprocess counted three times, toycity and join twice
)


def jobs(output: str) -> list[str]:
    """The stages that Snakemake says it starts, whether DVC has anything to compute for them or not."""
    return re.findall(r"^Job \d+: (\S+):", output, re.M)


def test_snakemake_runs_every_stage_once(first: Project) -> None:
    names = [line["stage"] for line in first.executed()[:EVERYTHING]]
    assert len(set(names)) == EVERYTHING
    assert {line["outcome"] for line in first.executed()} == {"done"}


def test_a_run_modifies_no_tracked_file_and_leaves_dvc_lock_for_the_user_to_commit(first: Project) -> None:
    assert first.run("git", "status", "--porcelain").stdout == "?? dvc.lock\n"


def test_dvc_lock_is_no_longer_than_a_person_reads(first: Project) -> None:
    """The tiny toy city allows each of 11 classes to be absent, in six places."""
    assert len((first.folder / "dvc.lock").read_text().splitlines()) - 6 * 11 < 1800


def test_gpu_stages_take_turns_and_the_preprocess_jobs_do_not(first: Project) -> None:
    """On three cores with no --resources: the first run's log and its execution log."""
    lines = [line for line in first.executed()[:EVERYTHING] if line["stage"].startswith(GPU_STAGES)]
    spans = sorted((line["start"], line["end"]) for line in lines)
    assert all(end <= start for (_, end), (start, _) in itertools.pairwise(spans))
    batches = (first.folder / "logs/first_run.log").read_text().split("Execute ")
    together = [set(jobs(batch)) for batch in batches]
    assert {"preprocess@source", "preprocess@target", "preprocess@val"} in together
    assert max(sum(name.startswith(GPU_STAGES) for name in batch) for batch in together) == 1


def test_the_rules_have_the_edges_of_the_stages(first: Project) -> None:
    """Between stages: Snakemake's graph of jobs against `dvc dag`."""
    dot = first.snakemake("--forceall", "--dag", "dot").stdout
    rules = dict(re.findall(r"^\s*(\d+)\[label = \"(\w+)", dot, re.M))
    seen = {(rules[a], rules[b]) for a, b in re.findall(r"^\s*(\d+) -> (\d+)", dot, re.M)}
    dag = first.dvc("dag", "--dot").stdout
    expected = {(a.replace("@", "_"), b.replace("@", "_")) for a, b in re.findall(r'"(\S+)" -> "(\S+)"', dag)}
    assert {edge for edge in seen if "all" not in edge} == expected


def test_the_commands_of_dvc_show_the_main_pipeline_alone(first: Project, tmp_path: Path) -> None:
    """On a finished checkout that was committed, then with another lambda: nothing of the ablation."""
    done = Project(shutil.copytree(first.folder, tmp_path / "done", symlinks=True))
    done.commit("finished")
    assert done.dvc("status").stdout == "Data and pipelines are up to date.\n"
    assert done.dvc("params", "diff").stdout == ""
    done.set_params(rank__easy_fraction=0.5)
    changed = done.dvc("params", "diff").stdout.splitlines()[1:]
    assert [line.split() for line in changed] == [["params.yaml", "rank.easy_fraction", "0.67", "0.5"]]
    shown = "import dvc.api, json; print(json.dumps(list(dvc.api.params_show())))"
    assert json.loads(done.run(sys.executable, "-c", shown).stdout) == list(done.params())
    columns = done.dvc("exp", "show", "--csv").stdout.splitlines()[0].split(",")
    assert "rank.easy_fraction" in columns
    assert not [name for name in columns if re.match("ablation|presets|benchmarks|recipes", name)]


def test_the_table_of_experiments_of_the_readme_fits_a_screen(
    first: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two hundred columns, for another lambda: DVC writes an ellipsis where there is no room."""
    monkeypatch.setenv("COLUMNS", "200")
    done = Project(shutil.copytree(first.folder, tmp_path / "done", symlinks=True))
    done.commit("finished")
    done.set_params(rank__easy_fraction=0.5)
    metrics = done.folder / "results/analyse/metrics/intra.json"
    metrics.write_text(metrics.read_text().replace('mIoU": ', 'mIoU": 1'))
    words = re.search(
        r"^dvc (exp show .*?)  +#", (ROOT / "docs/pipeline.md").read_text(encoding="utf-8"), re.M
    )
    assert words is not None
    table = done.dvc(*shlex.split(words[1]), "--no-pager").stdout
    assert "rank.easy_fraction" in table and "intra.json:mIoU" in table
    assert "…" not in table and max(map(len, table.splitlines())) <= 200


def test_the_report_of_snakemake_shows_the_page_and_the_figures_with_their_captions(project: Project) -> None:
    project.snakemake("--report", "logs/report.html")
    shown = (project.folder / "logs/report.html").read_text(encoding="utf-8")
    captions = sorted((project.folder / "workflow/report").glob("*.rst"))
    assert len(captions) == 5
    for caption in captions:
        assert f"/{caption.stem}." in shown
        assert caption.read_text(encoding="utf-8").splitlines()[0] in shown


def test_a_change_of_lambda_runs_what_follows_once_whoever_ran_before(project: Project) -> None:
    """The checkout is up to date by dvc; then each driver follows the other, with something to do and without.

    DVC runs it as an experiment, with a lambda that splits the six images as before; the test of the ranking's code
    has a plain `dvc repro` of all that follows.
    """
    assert project.stages_run_by(project.snakemake) == []
    experiment = partial(project.dvc, "exp", "run", "-S", "rank.easy_fraction=0.7")
    assert project.stages_run_by(experiment) == ["rank", "report"]  # the report prints lambda
    assert project.params()["rank"]["easy_fraction"] == 0.7
    assert project.stages_run_by(project.snakemake) == []
    for path in (project.folder / "results").rglob("*"):  # as after a run with a wrong clock
        os.utime(path, (time.time() + 2 * 86400,) * 2)
    project.set_params(rank__easy_fraction=0.84)
    planned: list[str] = []
    assert project.stages_run_by(lambda: planned.extend(jobs(project.snakemake().stdout))) == AFTER_LAMBDA
    assert sorted(planned) == AFTER_LAMBDA
    assert project.stages_run_by(project.dvc) == []
    project.set_params(rank__easy_fraction=0.67)  # DVC's run cache remembers
    assert project.stages_run_by(project.snakemake) == []


def test_a_parameter_of_the_evaluation_runs_evaluations_and_report_two_at_once_on_two_gpus(
    project: Project,
) -> None:
    project.set_params(evaluate__batch_size=2)
    before = len(project.executed())
    output = project.snakemake("--cores", "3", "--resources", "gpu=2").stdout
    ran = sorted(line["stage"] for line in project.executed()[before:])
    assert [name for name in ran if name not in ("analyse", "report")] == [
        "evaluate@inter",
        "evaluate@intra",
        "evaluate@source",
    ]
    batches = [jobs(part) for part in output.split("Execute ")]
    assert max(sum(name.startswith(GPU_STAGES) for name in batch) for batch in batches) == 2


def test_a_change_of_the_ranking_code_goes_as_far_as_its_output_differs(project: Project) -> None:
    module = project.folder / "intrada/methods/ranking.py"
    before = module.read_text()
    module.write_text(before.replace("np.argsort(scores", "np.argsort(0 + scores"))
    assert project.stages_run_by(project.snakemake) == ["rank"]
    module.write_text(before.replace("np.argsort(scores", "np.argsort(-scores"))
    assert project.stages_run_by(project.dvc) == AFTER_LAMBDA
    module.write_text(before)
    assert project.stages_run_by(project.dvc) == []  # from DVC's run cache


@pytest.mark.parametrize(
    ("driver", "name"), [("dvc", "core/files.py"), ("snakemake", "core/config/schema.py")]
)
def test_a_comment_or_a_docstring_makes_no_stage_stale_but_validate(
    project: Project, driver: str, name: str
) -> None:
    module = project.folder / "intrada" / name
    module.write_text("# a comment\n" + module.read_text().replace('"""', '"""Another word. ', 1))
    assert re.findall(r"^(\S+):$", project.dvc("status").stdout, re.M) == ["validate"]  # a matter of seconds
    printed: list[str] = []
    assert project.stages_run_by(lambda: printed.append(by(project, driver)().stdout)) == []
    assert driver == "dvc" or "Nothing to be done" in printed[0]
    assert project.dvc("status").stdout == "Data and pipelines are up to date.\n"


def test_a_constant_in_the_losses_makes_the_trainings_and_what_follows_stale(project: Project) -> None:
    module = project.folder / "intrada/methods/losses.py"
    before = module.read_text()
    module.write_text(before + "\nSCALE = 1.0\n")
    stamps = project.stamps()
    planned = set(jobs(project.snakemake("--dry-run").stdout))
    trainings = {"train_source", "train_inter", "train_intra"}
    assert trainings <= planned
    assert not [name for name in planned if name.startswith(("validate", "toycity", "check", "preprocess"))]
    assert project.stamps() == stamps  # not even the hashes of the code are written
    project.dvc("repro", "-s", "validate")
    stale = set(re.findall(r"^(\S+):$", project.dvc("status").stdout, re.M))
    assert stale == trainings  # the stages that follow them are stale when a training's outputs are others
    module.write_text(before)


def test_metrics_have_one_row_a_model(first: Project) -> None:
    rows = first.dvc("metrics", "show", "--md").stdout.strip().splitlines()[2:]
    cells = [[cell.strip() for cell in row.split("|")[1:-1]] for row in rows]
    names = [row[0] for row in cells]
    assert names == [f"results/analyse/metrics/{model}.json" for model in ("source", "inter", "intra")]
    assert all(re.fullmatch(r"\d+\.\d", row[1]) for row in cells)  # mIoU
