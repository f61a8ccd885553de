"""The ablation: its file, its params, its statistics."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from intrada.core.config import overrides, plain_yaml
from intrada.core.errors import UserError
from intrada.pipeline import bridge
from intrada.pipeline.ablation import definition, settings, statistics, table
from tests.support.definition import ROOT

ABLATION = definition.load(ROOT / definition.FILE)


@pytest.fixture
def at_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def _swept() -> dict[str, definition.Recipe]:
    return {name: block for name, block in ABLATION.recipes.items() if block.sweep}


def _three_seeds(**gains: list[float]) -> str:
    """A table of recipes that are ahead of the control by these gains on three seeds; the others are behind."""
    gains[ABLATION.control] = [0.0] * 3
    rows = [
        {"recipe": name, "seed": seed, "iterations": 8 if name == "advent" else 9}
        | dict.fromkeys(table.METRICS, 50.0 + seed + gains.get(name, [-1.0] * 3)[seed])
        for name in ABLATION.recipes
        for seed in range(3)
    ]
    return table.markdown(pd.DataFrame(rows), _counts(3), ABLATION, ABLATION.benchmarks["toycity"])


def _counts(seeds: int) -> pd.DataFrame:
    """Two images of one class, of which every recipe hits all pixels."""
    rows = [
        {
            "recipe": recipe,
            "seed": seed,
            "image": image,
            "class": "sky",
            "truth": 5,
            "predicted": 5,
            "hits": 5,
        }
        for recipe in ABLATION.recipes
        for seed in range(seeds)
        for image in "ab"
    ]
    return pd.DataFrame(rows)


@pytest.mark.parametrize("name", ABLATION.benchmarks)
def test_every_recipe_has_valid_params_and_is_another_training(name: str, at_root: None) -> None:
    benchmark = ABLATION.benchmarks[name]
    seen = {}
    for recipe, block in definition.chosen(ABLATION, benchmark).items():
        params = settings.params_of(benchmark, benchmark.seeds[0], block.how)
        key = (block.how.start, *block.how.steps, params.model_dump_json())
        assert key not in seen, f"{recipe} is {seen[key]} again"
        seen[key] = recipe


def test_the_control_trains_for_as_long_as_intrada_on_the_domains_of_step_1(at_root: None) -> None:
    how, intra = ABLATION.recipes[ABLATION.control].how, ABLATION.recipes["intrada"].how
    assert (how.start, how.steps, how.changes) == ("inter", ["continue"], {})
    assert not [key for key in intra.changes if key.startswith("train_")]


@pytest.mark.parametrize("preset", ["toycity", "camvid_day_to_dusk"])
def test_a_plus_preset_is_its_preset_with_the_changes_of_the_recipe(preset: str) -> None:
    plain, plus = (
        plain_yaml.parse((ROOT / "presets" / f"{name}.yaml").read_text(encoding="utf-8"))
        for name in (preset, f"{preset}_plus")
    )
    changes = ABLATION.recipes["intrada_plus"].how.changes | {"report.title": plus["report"]["title"]}
    assert overrides.apply(plain, changes) == plus


def test_no_seed_that_confirms_was_one_to_choose_by() -> None:
    chosen_by, confirming = ABLATION.benchmarks["toycity_dev"], ABLATION.benchmarks["toycity"]
    assert len(confirming.seeds) >= 5

    def data(benchmark: definition.Benchmark) -> set[int]:
        return {seed + offset for seed in benchmark.seeds for offset in benchmark.data_seeds.values()}

    assert not set(chosen_by.seeds) & set(confirming.seeds)
    assert not data(chosen_by) & data(confirming)
    assert not {11, 12} & data(confirming)  # of the preset, by which the city was designed
    assert confirming.changes == chosen_by.changes and confirming.preset == chosen_by.preset


def test_the_papers_numbers_are_those_of_its_tables() -> None:
    sweep = {block.how.changes["rank.easy_fraction"]: block.paper for block in _swept().values()}
    assert sweep == {0.0: 43.8, 0.5: 45.2, 0.6: 46.0, 0.67: 46.3, 0.7: 45.6, 1.0: 45.5}


def test_rounds_follow_the_trainings_of_step_3(at_root: None) -> None:
    how = definition.How(
        start="inter", steps=["continue", "intra", "intra"], changes={"rank.easy_fraction": 0.4}
    )
    rounds = settings.params_of(ABLATION.benchmarks["toycity"], 201, how).rounds
    assert {name: (block.after, block.easy_fraction) for name, block in rounds.items()} == {
        "r2": ("train_intra", 0.4),
        "r3": ("train_intra_round/r2", 0.4),
    }


def test_a_run_has_the_seeds_of_its_benchmark(at_root: None) -> None:
    params = settings.params_of(ABLATION.benchmarks["toycity"], 203)
    assert (params.seed, params.toycity.source.seed, params.toycity.target.seed) == (203, 1203, 2203)
    assert params.toycity.target.val >= 500
    assert settings.data_seed(ABLATION.benchmarks["toycity"], 203) == "1203+2203"
    assert settings.data_seed(ABLATION.benchmarks["dusk"], 103) == ""


@pytest.mark.parametrize("key", ["rnak.rule", "rank.rlue", "rank.rule.x", "sed"])
def test_a_change_of_a_key_that_is_not_there_is_refused(at_root: None, key: str) -> None:
    how = ABLATION.recipes["intrada"].how.model_copy(update={"changes": {key: 2}})
    with pytest.raises(UserError, match=key.split(".")[0]):
        settings.params_of(ABLATION.benchmarks["toycity"], 1, how)


@pytest.mark.parametrize(
    "wrong, message",
    [
        (lambda tree: tree.update(control="nobody"), "nobody"),
        (lambda tree: tree["recipes"]["intrada"]["how"].update(steps=["outer"]), "recipes.intrada.how.steps"),
        (lambda tree: tree["recipes"]["advent"].update(sweep=True), "recipes.advent"),
        (lambda tree: tree["recipes"]["advent"].pop("how"), "recipes.advent.how"),
    ],
)
def test_a_wrong_file_is_refused_by_key(
    wrong: Callable[[dict[str, Any]], object], message: str, tmp_path: Path
) -> None:
    tree = plain_yaml.parse((ROOT / definition.FILE).read_text(encoding="utf-8"))
    wrong(tree)
    path = tmp_path / "ablation.yaml"
    path.write_text(plain_yaml.dump(tree), encoding="utf-8")
    with pytest.raises(UserError, match=message):
        definition.load(path)


def test_paired_differences_against_a_table_worked_by_hand() -> None:
    """Differences 1, 2, 3, 2, 2: mean 2, s = sqrt(1/2), s / sqrt(5) = 0.31623, t(4; .975) = 2.77645."""
    seeds = [1, 2, 3, 4, 5]
    control = pd.Series([50.0, 60, 55, 52, 58], index=seeds)
    values = pd.Series([60.0, 60, 58, 54, 51], index=[5, 4, 3, 2, 1]) - pd.Series(
        [0.0, 6, 0, -8, 0], index=[5, 4, 3, 2, 1]
    )
    found = statistics.paired(values, control)
    assert found == pytest.approx((2, 2 - 0.87799, 2 + 0.87799), abs=1e-4)
    alike = statistics.paired(control + 1, control)
    assert alike == (1, 1, 1)
    one = statistics.paired(values[:1], control[4:])
    assert one.mean == 2 and math.isnan(one.low) and math.isnan(one.high)


@pytest.mark.parametrize(
    "words, ablation",
    [
        (["--cores", "all"], False),
        (["rank", "-n"], False),
        (["ablation", "--cores", "all"], True),
        (["--cores", "2", "ablation_summary_toycity"], True),
        (["ablation/results/summary.csv"], True),
        (["results/rank/split.csv"], False),
    ],
)
def test_the_ablations_rules_are_made_only_where_they_are_asked_for(words: list[str], ablation: bool) -> None:
    assert bridge.projects(words) == [".", *["ablation"] * ablation]


def test_a_single_seed_is_called_one_and_has_no_interval() -> None:
    rows = [
        {"recipe": name, "seed": 1, "iterations": 9, "mIoU": 5.0, "mIoU_easy": 6.0, "mIoU_hard": 4.0}
        for name in ABLATION.recipes
    ]
    text = table.markdown(
        pd.DataFrame(rows),
        _counts(1),
        ABLATION,
        ABLATION.benchmarks["toycity"].model_copy(update={"seeds": [1]}),
    )
    assert "| IntraDA (lambda 0.67) | 9 | 5.00 | 6.00 | 4.00 | +0.00 | +0.00 | 46.3 |" in text
    assert "\nOne run (training seed 1), in percent." in text and " runs " not in text.partition("One run")[0]


def test_the_table_says_who_beat_the_control_at_its_budget() -> None:
    """Gains 2, 2.1, 2.2: 2.1 +- 4.303 * .1 / sqrt(3); gains -1, 1, 1.5: mean .5, zero in the interval.

    AdvEnt is ahead of all, with another number of iterations: that is no comparison.
    """
    clear, by_mean = "IntraDA (lambda 0.67) (+2.10)", "MinEnt, then continued (+0.50)"
    says = (
        "**Higher mIoU than the control with as many iterations**:"
        " with an interval above zero {}; by the mean only {}.\n"
    )
    minent, intrada = [-1.0, 1.0, 1.5], [2.0, 2.1, 2.2]
    assert says.format(clear, by_mean) in _three_seeds(advent=[9.0] * 3, minent=minent, intrada=intrada)
    assert says.format("none", by_mean) in _three_seeds(minent=minent)
    assert says.format(clear, "none") in _three_seeds(intrada=intrada)
    none = "**No recipe with as many iterations as the control has a higher mean mIoU.**"
    assert none in _three_seeds(advent=[9.0] * 3)
