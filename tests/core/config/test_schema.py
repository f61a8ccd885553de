from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from intrada.core.config import plain_yaml
from intrada.core.config.load import load, validate
from intrada.core.config.select import digest, select
from intrada.core.errors import UserError
from tests.support.definition import ROOT
from tests.support.tiny_project import change

FILE = Path("params.yaml")
Tree = dict[str, Any]


def found(tree: object) -> str:
    """Return the field `found` of the UserError for the tree."""
    with pytest.raises(UserError) as caught:
        validate(FILE, tree)
    assert caught.value.where.startswith(str(FILE))
    return caught.value.found


@pytest.mark.parametrize("preset", sorted(path.name for path in (ROOT / "presets").glob("*.yaml")))
def test_every_preset_is_valid(preset: str) -> None:
    assert load(ROOT / "presets" / preset).seed >= 0


@pytest.mark.parametrize("written", ["1", "1.0", "1e0", "10e-1", "01"])
def test_a_float_may_be_written_as_a_whole_number_or_with_an_exponent(
    params_tree: Tree, written: str
) -> None:
    change(params_tree, train_inter__optimizer__lr=plain_yaml.parse(written))
    rate = validate(FILE, params_tree).train_inter.optimizer.lr
    assert (rate, type(rate)) == (1.0, float)


@pytest.mark.parametrize(
    "value, words",
    [
        (1.2, "= 1.2: "),
        (-0.1, "= -0.1: "),
        ("0.5", "= '0.5': Input should be a valid number"),
        (True, "not a boolean"),
        (math.nan, "finite"),
        (math.inf, "finite"),
        (10**400, "finite"),
        (None, "valid number"),
        ([0.5], "valid number"),
    ],
)
def test_a_fraction_is_a_finite_number_from_0_to_1(params_tree: Tree, value: object, words: str) -> None:
    message = found(change(params_tree, rank__easy_fraction=value))
    assert message.startswith("rank.easy_fraction = ") and words in message


@pytest.mark.parametrize("value", [0, 1, 0.0, 1.0])
def test_the_bounds_of_a_range_are_allowed(params_tree: Tree, value: float) -> None:
    change(params_tree, rank__easy_fraction=value)
    assert validate(FILE, params_tree).rank.easy_fraction == value


@pytest.mark.parametrize(
    "key, value",
    [
        ("seed", True),
        ("seed", 1.0),
        ("seed", "1"),
        ("seed", -1),
        ("seed", 2**32),
        ("compute__threads", 0),
        ("compute__device", "gpu"),
        ("preprocess__source__size", [64]),
        ("preprocess__source__size", [64, 32, 3]),
        ("preprocess__source__size", [64, 8]),
        ("preprocess__source__root", None),
        ("train_inter__batch_size", 0),
        ("train_inter__batch_size", "2"),
        ("train_inter__optimizer__lr", 0),
        ("train_inter__optimizer__name", "adam"),
        ("train_inter__weights__target__main", -1e-9),
        ("train_inter__augment__flip", 1),
        ("train_inter__augment__flip", "yes"),
        ("rank__rule", "entropy"),
        ("rank__rare_classes", "car"),
        ("report__title", 3),
    ],
)
def test_a_wrong_value_is_named_with_its_key(params_tree: Tree, key: str, value: object) -> None:
    message = found(change(params_tree, **{key: value}))
    assert message.startswith(f"{key.replace('__', '.')}") and "; " not in message


def test_a_schedule_that_ends_before_the_training_is_refused(params_tree: Tree) -> None:
    message = found(change(params_tree, train_inter__iterations=5))
    assert message.endswith("max_iters 4 is below iterations 5")
    assert len(message) < 200  # the message does not print the whole block


@pytest.mark.parametrize(
    "block, wrong, right",
    [
        ("rank", "easy_fractoin", "easy_fraction"),
        ("train_inter__optimizer", "heads_lr_multiplyer", "heads_lr_multiplier"),
        ("toycity__source", "imags", "images"),
    ],
)
def test_an_unknown_key_is_refused_with_the_nearest_one(
    params_tree: Tree, block: str, wrong: str, right: str
) -> None:
    message = found(change(params_tree, **{f"{block}__{wrong}": 1}))
    assert message == f"{block.replace('__', '.')}.{wrong} is not a key (did you mean {right}?)"


def test_an_unknown_key_far_from_all_others_gets_no_suggestion(params_tree: Tree) -> None:
    assert found({**params_tree, "qqqqqqqq": 1}) == "qqqqqqqq is not a key"


@pytest.mark.parametrize("key", ["seed", "train_intra", "train_intra.weights.seg.aux", "preprocess.val.root"])
def test_a_missing_key_is_named(params_tree: Tree, key: str) -> None:
    *parents, last = key.split(".")
    block = params_tree
    for name in parents:
        block = block[name]
    del block[last]
    assert found(params_tree) == f"{key} is missing"


def test_one_error_names_up_to_eight_wrong_keys(params_tree: Tree) -> None:
    assert found(change(params_tree, seed=-1, rank__easy_fraction=2)).count("; ") == 1
    for number in range(9):
        params_tree[f"zzzz{number}"] = 0
    assert found(params_tree).endswith("; and 3 more")


def test_an_unknown_class_is_refused_with_the_file_named(params_tree: Tree) -> None:
    with pytest.raises(UserError, match=r"params.yaml, classes: .*'rode'") as caught:
        validate(FILE, change(params_tree, classes=["rode", "sky"]))
    assert "road" in caught.value.fix


@pytest.mark.parametrize("tree", [None, [], "seed: 1", 3])
def test_a_file_that_is_not_a_mapping_is_refused(tree: object) -> None:
    assert type(tree).__name__ in found(tree)


@pytest.mark.parametrize(
    "text",
    [
        b"seed: !!python/object/apply:os.mkdir [owned]",
        b"seed: !mine 3",
        b"seed: [1",
        b"seed: 2026-13-45",
        b"seed: \xff",
        b"\x00",
    ],
)
def test_a_file_that_is_not_plain_yaml_is_refused_and_executes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: bytes
) -> None:
    monkeypatch.chdir(tmp_path)
    FILE.write_bytes(text)
    with pytest.raises(UserError) as caught:
        load(FILE)
    assert caught.value.where == "params.yaml" and caught.value.allowed.startswith("plain YAML in UTF-8")
    assert [path.name for path in tmp_path.iterdir()] == ["params.yaml"]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none\.yaml: no such file"):
        load(tmp_path / "none.yaml")


def test_values_cannot_be_changed(params_tree: Tree) -> None:
    chosen = validate(FILE, params_tree)
    with pytest.raises(ValueError, match="frozen"):
        chosen.rank.easy_fraction = 0.5


def test_select_hides_all_other_keys(params_tree: Tree) -> None:
    whole = validate(FILE, params_tree)
    chosen = select(whole, ["rank", "preprocess.source", "train_inter.optimizer.lr"])
    assert chosen.rank == whole.rank
    assert chosen.preprocess.source == whole.preprocess.source
    assert chosen.train_inter.optimizer.lr == whole.train_inter.optimizer.lr
    for hidden in (
        lambda: chosen.seed,
        lambda: chosen.preprocess.target,
        lambda: chosen.train_inter.iterations,
        lambda: chosen.train_inter.optimizer.name,
    ):
        with pytest.raises(AttributeError):
            hidden()


def test_select_of_a_block_wins_over_one_of_its_keys(params_tree: Tree) -> None:
    whole = validate(FILE, params_tree)
    assert select(whole, ["rank.rule", "rank"]).rank == whole.rank


def test_the_loader_threads_and_the_scratch_folder_are_part_of_no_digest_and_no_dump(
    params_tree: Tree,
) -> None:
    before = validate(FILE, params_tree)
    after = validate(FILE, change(params_tree, compute__loader_threads=3, compute__scratch="$TMPDIR"))
    assert (before.compute.loader_threads, after.compute.loader_threads) == (None, 3)
    assert (before.compute.scratch, after.compute.scratch) == (None, "$TMPDIR")
    assert digest(before, ["compute"]) == digest(after, ["compute"])
    assert before.model_dump() == after.model_dump()


CHANGES = {
    "seed": ("seed", 2),
    "compute": ("compute__threads", 2),
    "classes": ("classes", ["sky", "road"]),
    "toycity": ("toycity__source__seed", 99),
    "preprocess.source": ("preprocess__source__split", "range:0:3"),
    "preprocess.target": ("preprocess__target__options", {"labels": "none"}),
    "model": ("model__name", "deeplabv2"),
    "train_inter": ("train_inter__weights__target__aux", 0.5),
    "rank": ("rank__easy_fraction", 0.5),
    "report": ("report__title", "other"),
}


@pytest.mark.parametrize("changed", CHANGES)
def test_the_digest_changes_with_the_chosen_keys_and_no_other(params_tree: Tree, changed: str) -> None:
    before = validate(FILE, params_tree)
    key, value = CHANGES[changed]
    after = validate(FILE, change(params_tree, **{key: value}))
    changes = {key for key in CHANGES if digest(before, [key]) != digest(after, [key])}
    assert changes == {changed}
    assert digest(before, CHANGES) != digest(after, CHANGES)


def test_the_digest_is_of_the_values_not_of_their_spelling_or_order(params_tree: Tree) -> None:
    keys = ["train_inter", "preprocess"]
    change(params_tree, train_inter__optimizer__lr=1, preprocess__source__options={"a": 1, "b": 2})
    first = digest(validate(FILE, params_tree), keys)
    change(params_tree, train_inter__optimizer__lr=1.0, preprocess__source__options={"b": 2, "a": 1})
    params_tree["train_inter"] = dict(reversed(params_tree["train_inter"].items()))
    assert digest(validate(FILE, params_tree), keys) == first
    assert len(first) == 32 and int(first, 16) >= 0


def test_the_preset_with_ten_labels_differs_from_its_baseline_in_nothing_else() -> None:
    ten, none = (
        load(ROOT / f"presets/{name}.yaml").model_dump()
        for name in ("camvid_ten_labels", "camvid_day_to_dusk")
    )
    assert list(ten.pop("target_labelled")) == ["ten"] and none.pop("target_labelled") == {}
    assert ten.pop("report") != none.pop("report")
    assert ten == none


JITTER = {"brightness": 0.2, "contrast": 0.2, "saturation": 0.2, "hue": 0.2, "probability": 0.8}


@pytest.mark.parametrize(
    "block, value",
    [
        ("colour", JITTER | {"hue": 0.6}),
        ("colour", JITTER | {"brightness": 1.1}),
        ("colour", JITTER | {"probability": -0.1}),
        ("colour", {"brightness": 0.2}),
        ("gamma", {"exponent": [0, 1], "probability": 1}),
        ("gamma", {"exponent": [2, 1], "probability": 1}),
        ("channel_gain", {"gain": -0.1, "probability": 1}),
        ("blur", {"sigma": [0.1], "probability": 1}),
        ("blur", {"sigma": [1, 11], "probability": 1}),
        ("jpeg", {"quality": [0, 50], "probability": 1}),
        ("jpeg", {"quality": [50.5, 60], "probability": 1}),
        ("invert", {"probability": 1.5}),
        ("invert", {}),
        ("crop", {"size": [32, 31], "cat_max_ratio": 0.75, "tries": 10}),
        ("crop", {"size": [32, 32], "cat_max_ratio": 0, "tries": 10}),
        ("crop", {"size": [32, 32], "cat_max_ratio": 0.75, "tries": 0}),
    ],
)
def test_a_wrong_augmentation_is_named_with_its_key(params_tree: Tree, block: str, value: Tree) -> None:
    assert found(change(params_tree, **{f"train_inter__augment__{block}": value})).startswith(
        f"train_inter.augment.{block}."
    )


def test_augmentation_that_is_absent_is_in_no_dump_so_that_hashes_and_records_stay(params_tree: Tree) -> None:
    block = validate(FILE, params_tree).train_inter
    assert block.model_dump(mode="json") == params_tree["train_inter"]
    change(params_tree, train_inter__augment__colour=JITTER)
    change(params_tree, train_inter__augment_target=params_tree["train_inter"]["augment"])
    block = validate(FILE, params_tree).train_inter
    assert block.model_dump(mode="json") == params_tree["train_inter"]


def test_an_augmentation_of_target_images_that_are_not_read_is_refused(params_tree: Tree) -> None:
    change(params_tree, train_source__augment_target={"flip": True, "jitter": 0})
    assert "augment_target is not used, since source_only uses no target image" in found(params_tree)


CROP = {"size": [48, 32], "cat_max_ratio": 0.75, "tries": 10}


def test_a_scale_without_a_crop_is_refused(params_tree: Tree) -> None:
    change(params_tree, train_inter__augment__scale=[0.5, 2])
    assert "scale needs crop: the images of a training batch have one size" in found(params_tree)
    assert validate(FILE, change(params_tree, train_inter__augment__crop=CROP))
    assert found(change(params_tree, train_inter__augment__scale=[0.05, 2])).startswith(
        "train_inter.augment.scale"
    )


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"preprocess__source__size": [40, 32]}, "train_inter.augment.crop.size is [48, 32], but preprocess.source.size is [40, 32]"),
        ({"preprocess__target__size": [40, 32]}, "train_inter.augment.crop.size is [48, 32], but preprocess.target.size is [40, 32]"),
        (
            {"preprocess__target__size": [40, 32], "train_inter__augment__scale": [0.5, 1.1]},
            "preprocess.target.size is [40, 32], at most [44, 35] after train_inter.augment.scale",
        ),
        (
            {"preprocess__target__size": [40, 32], "train_inter__augment_target": {"flip": True, "jitter": 0, "crop": CROP}},
            "train_inter.augment_target.crop.size is [48, 32], but preprocess.target.size is [40, 32]",
        ),
    ],
)  # fmt: skip
def test_a_crop_larger_than_an_image_is_refused(params_tree: Tree, changes: Tree, words: str) -> None:
    change(params_tree, train_inter__augment__crop=CROP)
    assert validate(FILE, params_tree)
    assert words in found(change(params_tree, **changes))


@pytest.mark.parametrize(
    "changes",
    [
        {"preprocess__target__size": [40, 32], "train_inter__augment__scale": [0.5, 1.2]},
        {"preprocess__target__size": [40, 32], "train_inter__method": "source_only"},
        {"preprocess__target__size": [40, 32], "train_inter__augment_target": {"flip": True, "jitter": 0}},
    ],
)
def test_a_crop_that_fits_the_images_that_are_read_is_allowed(params_tree: Tree, changes: Tree) -> None:
    assert validate(FILE, change(params_tree, train_inter__augment__crop=CROP, **changes))


def test_in_step_3_the_crop_of_labelled_images_fits_the_target_and_all_labelled_images(
    params_tree: Tree,
) -> None:
    change(params_tree, train_intra__augment__crop=CROP, preprocess__source__size=[40, 32])
    change(params_tree, train_intra__supervision="pseudo")
    assert validate(FILE, params_tree)
    expected = "train_intra.augment.crop.size is [48, 32], but preprocess.source.size is [40, 32]"
    assert expected in found(change(params_tree, train_intra__supervision="both"))
    labelled = params_tree["preprocess"]["target"] | {"weight": 1.0, "size": [64, 16]}
    change(params_tree, train_intra__supervision="pseudo", target_labelled={"few": labelled})
    assert "but target_labelled.few.size is [64, 16]" in found(params_tree)
