from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from intrada.core.errors import UserError
from intrada.methods import near_ties, ranking
from tests.support.definition import ROOT

TABLE = pd.DataFrame(
    {
        "image": ["a", "b", "c", "d"],
        "entropy": [0.5, 0.25, 0.75, 0.25],
        "pixels_road": [9, 9, 9, 9],
        "pixels_pole": [1, 0, 5, 0],
        "pixels_rider": [0, 0, 1, 0],
    }
)
RARE = ["pole", "rider"]


# n_rare is 1, 0, 2, 0 of R = 2, so the published factors are 1, 3/2, 1/2, 3/2
@pytest.mark.parametrize(
    "rule, scores, order",
    [
        ("mean_entropy", (0.5, 0.25, 0.75, 0.25), "bdac"),
        ("published_normalized", (0.5, 0.375, 0.375, 0.375), "bcda"),
        ("paper_normalized", (0.5, 0.25, 0.375, 0.25), "bdca"),
    ],
)
def test_rules_by_hand_with_ties_in_table_order(rule: str, scores: tuple[float, ...], order: str) -> None:
    assert ranking.score(TABLE, rule, RARE) == pytest.approx(scores)
    assert "".join(ranking.rank(TABLE, rule, 0.5, RARE).image) == order


@pytest.mark.parametrize("fraction, easy", [(0, ""), (0.24, ""), (0.25, "b"), (0.67, "bd"), (1, "bdac")])
def test_the_easy_subset_is_the_low_entropy_prefix(fraction: float, easy: str) -> None:
    ranked = ranking.rank(TABLE, "mean_entropy", fraction)
    assert "".join(ranked.image[ranked.subset == "easy"]) == easy
    assert set(ranked.subset) <= {"easy", "hard"}


def test_the_number_of_easy_images_is_rounded_down_as_in_the_published_code() -> None:
    table = pd.DataFrame({"image": [str(i) for i in range(100)], "entropy": [0.5] * 100})
    assert (ranking.rank(table, "mean_entropy", 0.29).subset == "easy").sum() == 28


def test_images_of_equal_score_keep_the_order_of_the_table() -> None:
    table = pd.DataFrame({"image": [str(i) for i in range(100)], "entropy": [0.5, 0.25] * 50})
    ranked = ranking.rank(table, "mean_entropy", 0.5)
    assert list(ranked.image) == [str(i) for i in [*range(1, 100, 2), *range(0, 100, 2)]]


def test_output_is_sorted_by_rank_and_has_four_columns() -> None:
    ranked = ranking.rank(TABLE, "mean_entropy", 0.5)
    assert list(ranked.columns) == ["image", "score", "rank", "subset"]
    assert list(ranked["rank"]) == [1, 2, 3, 4]
    assert list(ranked.score) == sorted(ranked.score)


def test_order_does_not_depend_on_the_scale_of_entropy() -> None:
    published = TABLE.assign(
        entropy=TABLE.entropy / 19
    )  # the published code also takes the mean over classes
    for rule in ranking.RULES:
        ours, theirs = (ranking.rank(table, rule, 0.5, RARE).image for table in (TABLE, published))
        assert list(ours) == list(theirs)


def test_an_empty_table_gives_an_empty_table() -> None:
    assert len(ranking.rank(TABLE.iloc[:0], "published_normalized", 0.67, RARE)) == 0


@pytest.mark.parametrize("fraction", [-0.1, 1.01, float("nan"), float("inf")])
def test_fraction_outside_0_to_1_is_refused(fraction: float) -> None:
    with pytest.raises(UserError, match="easy_fraction"):
        ranking.rank(TABLE, "mean_entropy", fraction)


@pytest.mark.parametrize(
    "table, rule, rare, message",
    [
        (TABLE, "median", RARE, "unknown rule 'median'\n.*paper_normalized"),
        (TABLE, "paper_normalized", [], "rare_classes: empty"),
        (TABLE, "paper_normalized", ["train"], "no column pixels_train"),
        (TABLE.drop(columns="entropy"), "mean_entropy", [], "no column entropy"),
        (TABLE.assign(entropy=float("nan")), "mean_entropy", [], "row 0 is not a number"),
        (pd.concat([TABLE, TABLE]), "mean_entropy", [], "image a is in two rows"),
    ],
)
def test_wrong_tables_and_parameters_are_refused(
    table: pd.DataFrame, rule: str, rare: list[str], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        ranking.rank(table, rule, 0.5, rare)


@pytest.mark.parametrize("precision", ["f32", "f64"])
def test_published_scores_and_splits_follow_from_the_published_entropies(precision: str) -> None:
    stored = json.loads((ROOT / "tests/golden" / "e_ranking.json").read_text())
    plain, normalized = stored[f"nonorm_{precision}"], stored[f"norm_{precision}"]
    rare = [str(number) for number in (3, 4, 5, 6, 7, 9, 12, 14, 15, 16, 17)]
    table = pd.DataFrame(
        {"image": image, "entropy": 19 * entropy}  # the stored value is a mean over the 19 classes as well
        | {f"pixels_{name}": int(int(name) in normalized["rare_classes"][image]) for name in rare}
        for image, entropy in plain["entropy"].items()
    )
    for rule, expected in (("mean_entropy", plain), ("published_normalized", normalized)):
        ranked = ranking.rank(table, rule, stored["lambda1"], rare)
        assert (ranked.score / 19).tolist() == pytest.approx(
            [expected["entropy"][i] for i in ranked.image], rel=1e-7
        )
        for subset in ("easy", "hard"):
            assert ranked.image[ranked.subset == subset].tolist() == expected[subset]


@pytest.mark.parametrize("rule", ranking.RULES)
def test_largest_factor_is_the_largest_ratio_of_score_to_entropy(rule: str) -> None:
    scores = ranking.rank(TABLE, rule, 0.5, RARE).set_index("image")["score"]
    factors = scores / TABLE.set_index("image")["entropy"]
    assert factors.max() == near_ties.LARGEST_FACTOR[rule]


def test_the_bf16_tolerance_bounds_the_variance_of_log_probabilities() -> None:
    """The variance is largest where all classes but one are equally probable (Reeb and Wolf, 2015)."""
    for classes in (2, 3, 19, 254):
        first = np.linspace(1e-4, 1 - 1e-4, 20001)
        variance = first * (1 - first) * np.log(first * (classes - 1) / (1 - first)) ** 2
        largest = 3 * 2**-9 * variance.max() / np.log(classes)
        assert 0.4 * near_ties.bf16_tolerance(classes) < largest < near_ties.bf16_tolerance(classes)


def test_near_ties_are_the_images_that_could_change_their_subset() -> None:
    tolerance = near_ties.bf16_tolerance(19)
    scores = [0.1, 0.5 - 1.9 * tolerance, 0.5, 0.5 + 0.05 * tolerance, 0.9]
    split = pd.DataFrame({"score": scores, "subset": ["easy", "easy", "hard", "hard", "hard"]})
    # easy: at most 2 t below the lowest hard score, 0.5; hard: at most 2 t above the highest easy score
    near = [False, True, True, True, False]
    assert near_ties.near_ties(split, "mean_entropy", 19).tolist() == near
    further = split.assign(score=[0.1, 0.5 - 2.1 * tolerance, 0.5, 0.5 + 0.5 * tolerance, 0.9])
    assert not near_ties.near_ties(further, "mean_entropy", 19).any()
    assert near_ties.near_ties(further, "published_normalized", 19).tolist() == near
    assert not near_ties.near_ties(split.assign(subset="easy"), "mean_entropy", 19).any()


def test_the_rule_shuffled_orders_by_the_ids_and_the_seed_alone() -> None:
    table = pd.DataFrame(
        {"image": [f"image{number}" for number in range(200)], "entropy": np.arange(200) / 200}
    )
    split = ranking.rank(table, "shuffled", 0.5, seed=1)
    other_entropies = table.assign(entropy=table["entropy"][::-1].to_numpy())
    pd.testing.assert_frame_equal(ranking.rank(other_entropies, "shuffled", 0.5, seed=1), split)
    reordered = ranking.rank(table[::-1], "shuffled", 0.5, seed=1)
    assert reordered["image"].tolist() == split["image"].tolist()
    assert ranking.rank(table, "shuffled", 0.5, seed=2)["image"].tolist() != split["image"].tolist()
    easy = table["entropy"][table["image"].isin(split["image"][:100])]
    assert 0.4 < easy.mean() < 0.6  # a ranking by entropy would give 0.25
