"""The code of the ablation's jobs: a file of hashes for each, as the pipeline has for each stage.

ablation/results/code/<benchmark>/<job>.txt      the stages that the job runs, with what its params choose
ablation/results/code/<benchmark>/toycity.txt    what draws the data, where they are generated
ablation/results/code/<benchmark>/criteria.txt   what measures the snapshots
ablation/results/code/summary.txt                tables and figures
"""

from __future__ import annotations

from typing import Any

from intrada.pipeline import code_hash
from intrada.pipeline.ablation import definition
from intrada.pipeline.ablation.places import FOLDER
from intrada.pipeline.ablation.settings import tree_of
from intrada.pipeline.kept_files import OF_DATA

RESULTS = FOLDER / code_hash.FOLDER
# job -> the stages of the pipeline that it runs; a recipe is a job of its own name
SHARED = {
    "data": ("check", "check_set", "preprocess", "join"),
    "source": ("train_source",),
    "inter": ("train_inter", "score", "evaluate"),
}
RECIPE = ("train_source", "train_inter", "score", "rank", "pseudo_label", "train_intra", "evaluate")


def texts(ablation: definition.Ablation | None = None) -> dict[str, str]:
    """Path below RESULTS -> content of every file; without an argument, of the ablation in FILE."""
    code, ablation = code_hash.Code(code_hash.PACKAGE), ablation or definition.load()
    texts = {"summary.txt": code.text(f"{__package__}.summaries")}
    for name, benchmark in ablation.benchmarks.items():
        tree = tree_of(benchmark, seed=0)
        for job, stages in SHARED.items():
            texts[job_file(name, job)] = _text(code, "steps", stages, tree)
        texts[job_file(name, "criteria")] = _text(code, "selection", ("evaluate_snapshots",), tree)
        if tree["toycity"]:
            texts[job_file(name, "toycity")] = _text(code, "steps", ("toycity",), tree)
        for recipe, block in definition.chosen(ablation, benchmark).items():
            tree = tree_of(benchmark, seed=0, how=block.how)
            texts[job_file(name, f"recipes/{recipe}")] = _text(code, "recipes", RECIPE, tree)
    return texts


def job_file(benchmark: str, job: str) -> str:
    """The path below RESULTS of a job's file."""
    return f"{benchmark}/{job}.txt"


def _text(code: code_hash.Code, module: str, stages: tuple[str, ...], tree: dict[str, Any]) -> str:
    """The code of `stages` and of the module of the ablation that runs them."""
    modules = {f"{__package__}.{module}"}
    for stage in stages:
        keys = ("model", *OF_DATA, stage)  # the blocks in which a stage finds a name of a module
        modules |= {*code.of_stage(stage, {key: tree[key] for key in keys if key in tree}).values()}
    return code.text(*sorted(modules))
