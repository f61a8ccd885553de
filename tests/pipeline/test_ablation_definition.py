"""ablation/dvc.yaml, resolved by DVC itself, against the code and ablation.yaml."""

from __future__ import annotations

import ast
import shutil
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from dvc.repo import Repo
from dvc.repo.index import Index

from intrada.core.config import plain_yaml
from intrada.data.datasets import DATASETS
from intrada.methods import METHODS
from intrada.pipeline.ablation import definition
from intrada.pipeline.ablation.settings import with_changes
from tests.support.definition import ROOT
from tests.support.imports import closure, is_package, modules

ABLATION = definition.load(ROOT / definition.FILE)
# job -> the stages of the pipeline that it runs, and the module that runs them
RUNS = {
    "data": (("toycity", "check", "preprocess"), "steps"),
    "source": (("train_source",), "steps"),
    "inter": (("train_inter", "score", "evaluate"), "steps"),
    "recipe": (("train_inter", "score", "rank", "pseudo_label", "train_intra", "evaluate"), "recipes"),
}
SHELL = {"definition"}  # says what is valid, and changes no result


def resolved(folder: Path) -> dict[str, dict[str, Any]]:
    """Stage -> what DVC makes of its entry; paths from the checkout's root."""
    with Repo(str(folder / "ablation")) as repo:
        index = Index.from_file(repo, str(folder / "ablation/dvc.yaml"))
        return {stage.name: _entry(stage, folder) for stage in index.stages}


def _entry(stage: Any, folder: Path) -> dict[str, Any]:
    def relative(entry: Any) -> str:
        return Path(entry.fs_path).relative_to(folder).as_posix()

    params = {relative(dep): sorted(dep.params) for dep in stage.deps if hasattr(dep, "params")}
    deps = [relative(dep) for dep in stage.deps if not hasattr(dep, "params")]
    outs = [relative(out) for out in stage.outs]
    plain = not any(out.metric or out.plot for out in stage.outs)
    return {
        "cmd": stage.cmd,
        "deps": deps,
        "params": params,
        "outs": outs,
        "meta": stage.meta,
        "plain": plain,
    }


@cache
def stages() -> dict[str, dict[str, Any]]:
    return resolved(ROOT)


def benchmark_of(name: str) -> str:
    return name.split("@")[0].split("_", 1)[1]


def of_jobs() -> list[Any]:
    """(job, benchmark, entry) of every stage that runs stages of the pipeline."""
    found = [(name.split("_")[0], name) for name in stages()]
    return [(job, benchmark_of(name), stages()[name]) for job, name in found if job in RUNS]


@cache
def preset(benchmark: str) -> dict[str, Any]:
    path = ROOT / "presets" / f"{ABLATION.benchmarks[benchmark].preset}.yaml"
    loaded: dict[str, Any] = plain_yaml.parse(path.read_text(encoding="utf-8"))
    return loaded


def test_every_benchmark_seed_and_recipe_is_a_stage() -> None:
    expected = {"collect", *(f"code_{job}" for job in RUNS)}
    for name, benchmark in ABLATION.benchmarks.items():
        expected |= {f"summary@{name}"}
        expected |= {
            f"{job}_{name}@{seed}" for job in ("data", "source", "inter") for seed in benchmark.seeds
        }
        expected |= {
            f"recipe_{name}@{seed}-{recipe}" for seed in benchmark.seeds for recipe in ABLATION.recipes
        }
    assert set(stages()) == expected


def test_a_recipe_more_is_one_entry_more(tmp_path: Path) -> None:
    (tmp_path / "ablation").mkdir()
    for name in ("dvc.yaml", "ablation.yaml"):
        shutil.copyfile(ROOT / "ablation" / name, tmp_path / "ablation" / name)
    Repo.init(str(tmp_path / "ablation"), no_scm=True).close()
    before = resolved(tmp_path)
    path = tmp_path / definition.FILE
    path.write_text(
        path.read_text(encoding="utf-8")
        + "  again:\n    label: once more\n    how: {start: inter, steps: [continue], changes: {}}\n",
        encoding="utf-8",
    )
    after = resolved(tmp_path)
    runs = [(name, seed) for name, block in ABLATION.benchmarks.items() for seed in block.seeds]
    assert set(after) - set(before) == {f"recipe_{name}@{seed}-again" for name, seed in runs}
    assert all(after[name] == entry for name, entry in before.items())


@pytest.mark.parametrize("job", RUNS)
def test_the_code_of_a_job_is_all_that_its_stages_import(job: str) -> None:
    ran, own = RUNS[job]
    needed = set().union(*(closure(f"intrada.stages.{stage}") for stage in ran), *map(closure, chosen(job)))
    files = {modules()[name].relative_to(ROOT).as_posix() for name in needed if not is_package(name)}
    files |= {f"intrada/pipeline/ablation/{name}.py" for name in imported(own) | {"settings"}}
    if job == "data":
        files -= {"intrada/data/datasets/toycity.py"}  # a dep of the benchmarks that it draws
    assert set(stages()[f"code_{job}"]["deps"]) == files


def chosen(job: str) -> set[str]:
    """The modules that presets and recipes name; the models are deps of the stages themselves."""
    trees = [preset(name) for name in ABLATION.benchmarks]
    if job == "data":
        return {DATASETS[block["dataset"]] for tree in trees for block in tree["preprocess"].values()}
    if job == "recipe":
        changes = [recipe.how.changes for recipe in ABLATION.recipes.values()]
        named = [value for each in changes for key, value in each.items() if key.endswith(".method")]
        named += [tree["train_intra"]["method"] for tree in trees] + ["source_only"]  # no hard image
        return {METHODS[name] for name in named}
    return {METHODS[tree[f"train_{job}"]["method"]] for tree in trees}


def imported(name: str) -> set[str]:
    """The modules of intrada.pipeline.ablation that one of them imports, itself too."""
    found, pending = set(), [name]
    while pending:
        current = pending.pop()
        if current not in found | SHELL:
            found.add(current)
            tree = ast.parse(
                (ROOT / "intrada/pipeline/ablation" / f"{current}.py").read_text(encoding="utf-8")
            )
            froms = [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
            pending += [
                each.rpartition(".")[2] for each in froms if each.startswith("intrada.pipeline.ablation.")
            ]
    return found


def test_a_stage_has_the_preset_model_and_code_of_its_benchmark() -> None:
    for job, name, entry in of_jobs():
        block, tree = ABLATION.benchmarks[name], preset(name)
        assert f"--benchmark {name} " in entry["cmd"] + " "
        assert set(entry["params"]) == {f"presets/{block.preset}.yaml", "ablation/ablation.yaml"}
        assert f"ablation/results/code/{job}.txt" in entry["deps"]
        if job == "data":
            raw = {str(domain["root"]) for domain in tree["preprocess"].values()}
            assert tree["toycity"] or raw <= set(entry["deps"])
            assert not tree["toycity"] or "intrada/data/datasets/toycity.py" in entry["deps"]
        else:
            assert f"intrada/models/{tree['model']['name']}.py" in entry["deps"]


def test_the_params_of_a_stage_are_all_that_its_stages_may_read() -> None:
    for job, name, entry in of_jobs():
        reads = {key for stage in RUNS[job][0] for key in import_module(f"intrada.stages.{stage}").READS}
        blocks = {key.split(".")[0] for key in reads} - {"seed", "rounds"}  # of the run, and of its recipe
        listed = set(entry["params"][f"presets/{ABLATION.benchmarks[name].preset}.yaml"])
        assert blocks <= listed, (job, blocks - listed)
        assert f"benchmarks.{name}.changes" in entry["params"]["ablation/ablation.yaml"]


def test_initial_weights_are_markers_or_models_of_the_ablation() -> None:
    """A weight file would be an input that no stage names."""
    for name in ABLATION.benchmarks:
        for stage in ("train_source", "train_inter", "train_intra"):
            assert Path(preset(name)[stage]["init"]).parts[0] in ("weights", "results")


def test_jobs_run_side_by_side_and_keep_out_of_the_main_metrics() -> None:
    for entry in stages().values():
        assert entry["meta"] == {"threads": 1} and entry["plain"]
    for name, benchmark in ABLATION.benchmarks.items():
        compute = with_changes(preset(name), benchmark.changes)["compute"]
        assert compute["threads"] == compute["inference_threads"] == 1
