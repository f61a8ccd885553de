"""`python -m intrada.pipeline.ablation JOB ...`: the jobs that the stages of ablation/dvc.yaml run."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from intrada.core import signals
from intrada.core.cli_types import Parser
from intrada.pipeline import code_hash
from intrada.pipeline.ablation import code, definition, progress, recipes, settings, steps
from intrada.pipeline.ablation.places import Places

SHARED = {"data": steps.data, "source": steps.source, "inter": steps.inter}
OPTIONS: dict[str, dict[str, Any]] = {
    "benchmark": {"required": True, "help": "one of ablation.yaml"},
    "seed": {"required": True, "type": int, "help": "of the training"},
    "recipe": {"required": True, "help": "one of ablation.yaml"},
}
JOBS = {
    "code": (), **dict.fromkeys(SHARED, ("benchmark", "seed")),
    "recipe": ("benchmark", "seed", "recipe"), "criteria": ("benchmark",), "summary": ("benchmark",),
    "collect": (),
}  # fmt: skip


def main(argv: list[str] | None = None) -> int:
    """Run one job and return its exit status, as `signals.exit_code` does."""
    return signals.exit_code(lambda: _run(_parser().parse_args(argv)))


def _parser() -> argparse.ArgumentParser:
    parser = Parser("intrada.pipeline.ablation", description=__doc__)
    words = parser.add_subparsers(dest="word", required=True, metavar="JOB")
    for name, options in JOBS.items():
        word = words.add_parser(name)
        for option in options:
            word.add_argument(f"--{option}", **OPTIONS[option])
    return parser


def _run(options: argparse.Namespace) -> None:
    with progress.told():
        _execute(definition.load(), options)


def _execute(ablation: definition.Ablation, options: argparse.Namespace) -> None:
    if options.word == "code":
        code_hash.write(code.RESULTS, code.texts(ablation))
    elif options.word in ("summary", "collect"):
        from intrada.pipeline.ablation import summaries  # here, since its libraries take seconds to import

        if options.word == "summary":
            summaries.summarise(ablation, options.benchmark)
        else:
            summaries.collect(ablation)
    elif options.word == "criteria":
        _measure(ablation, options.benchmark)
    else:
        _train(ablation, options)


def _measure(ablation: definition.Ablation, name: str) -> None:
    """Measure the criteria of the snapshots of a benchmark."""
    from intrada.pipeline.ablation import selection  # here, since its libraries take seconds to import

    benchmark, file = definition.one_of(ablation.benchmarks, name), code.job_file(name, "criteria")
    code_hash.check(code.RESULTS, {file: code.texts(ablation)[file]})
    chosen = definition.chosen(ablation, benchmark)
    selection.measure(name, benchmark, {recipe: block.how for recipe, block in chosen.items()})


def _train(ablation: definition.Ablation, options: argparse.Namespace) -> None:
    """Run one of the SHARED jobs or a recipe."""
    benchmark = definition.one_of(ablation.benchmarks, options.benchmark)
    chosen = definition.chosen(ablation, benchmark)
    recipe = definition.one_of(chosen, options.recipe) if options.word == "recipe" else None
    file = code.job_file(options.benchmark, f"recipes/{options.recipe}" if recipe else options.word)
    code_hash.check(code.RESULTS, {file: code.texts(ablation)[file]})
    places = Places(options.benchmark, options.seed)
    if recipe:
        tree = settings.tree_of(benchmark, options.seed, recipe.how)
        recipes.recipe(places, options.recipe, recipe.how, tree)
    else:
        SHARED[options.word](places, settings.tree_of(benchmark, options.seed))


if __name__ == "__main__":
    sys.exit(main())
