"""docs/fidelity.md names keys, values, commands, files and tolerances: each of them exists."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any, get_args

import pytest

from intrada.cli import parser
from intrada.commands import COMMANDS
from intrada.commands.validate import load
from intrada.core.config import plain_yaml
from intrada.core.config.schema import Params
from intrada.models import build_model
from intrada.stages import STAGES
from tests.support.definition import ROOT, jobs, stages
from tests.support.parity_items import ITEMS

PAGE = (ROOT / "docs/fidelity.md").read_text(encoding="utf-8")
PIPELINE = (ROOT / "docs/pipeline.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```\n(.*?)```", PAGE, re.S)
PROSE = re.sub(r"```\n.*?```", "", PAGE, flags=re.S)
WORDS = sorted(set(re.findall(r"`([^`\n]+)`", PROSE)))
FILES = (".py", ".yml", ".yaml", ".md", ".csv", ".json", ".safetensors", ".pth")
# `key` or `key: value`; a name in small letters is nothing else on this page.
OPTIONS = [
    found.groups()
    for word in WORDS
    if (found := re.fullmatch(r"([a-z_]+(?:\.[a-z_]+)*)(?:: (.+))?", word)) and not word.endswith(FILES)
]


def preset() -> dict[str, Any]:
    tree: dict[str, Any] = plain_yaml.parse((ROOT / "presets/gta5_to_cityscapes.yaml").read_text())
    return tree


def lines(text: str) -> list[list[str]]:
    """The command lines of a text in words, long ones joined, without comments."""
    return [shlex.split(line, comments=True) for line in text.replace("\\\n", " ").splitlines()]


def commands(*start: str) -> list[list[str]]:
    """What follows `start` in each command line of the page and of the one block in docs/pipeline.md on this."""
    readme = [block for block in re.findall(r"```\n(.*?)```", PIPELINE, re.S) if "intrada published" in block]
    inline = [word for word in WORDS if word.startswith(" ".join(start)) and "..." not in word]
    found = [argv for text in [*BLOCKS, *readme, *inline] for argv in lines(text)]
    return [argv[len(start) :] for argv in found if tuple(argv[: len(start)]) == start]


def cells(title: str) -> list[list[str]]:
    """The rows of the table whose first column is called `title`."""
    table = PAGE.split(f"\n| {title} |", 1)[1].split("\n\n", 1)[0].splitlines()[2:]
    return [[cell.strip() for cell in row.strip("| ").split(" | ")] for row in table]


def test_the_page_is_read_at_all() -> None:
    assert len(OPTIONS) > 50 and len(commands("python", "-m", "intrada")) > 5
    assert len(commands("dvc", "repro")) > 8


def is_optional(key: str) -> bool:
    """Whether the schema has this dotted key; presets need not have it."""
    model: Any = Params
    for name in key.split("."):
        field = getattr(model, "model_fields", {}).get(name)
        if field is None:
            return False
        model = next(
            (part for part in get_args(field.annotation) if part is not type(None)), field.annotation
        )
    return True


@pytest.mark.parametrize("key, value", OPTIONS)
def test_a_key_exists_and_its_value_is_allowed(key: str, value: str | None, tmp_path: Path) -> None:
    tree = preset()
    *above, last = key.split(".")
    block = tree
    for name in above:
        block = block.get(name, {})
    assert last in block or is_optional(key)
    if value is not None and last in block:
        block[last] = plain_yaml.parse(value)
        path = tmp_path / "params.yaml"
        path.write_text(plain_yaml.dump(tree), encoding="utf-8")
        model = load(path).model
        if above[:1] == ["model"]:
            build_model(model.name, 2, model.options)


@pytest.mark.parametrize("argv", commands("python", "-m", "intrada"), ids=" ".join)
def test_a_command_is_one_and_takes_these_options(argv: list[str]) -> None:
    assert argv[0] in STAGES | COMMANDS
    if argv[0] == "preset":
        assert (ROOT / f"presets/{argv[1]}.yaml").is_file()
    if len(argv) > 1:
        parser(argv[0])[0].parse_args(argv)  # SystemExit for an option that is missing or unknown


def test_what_dvc_is_asked_for_is_a_stage() -> None:
    known = {*stages(), *jobs(preset())}
    targets = [word for argv in commands("dvc", "repro") for word in argv if not word.startswith("-")]
    assert not set(targets) - known


def test_a_file_stands_where_the_page_says() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", PAGE)
    named = [word for word in WORDS if re.match(r"(intrada|tests|presets|docs|workflow)/", word)]
    assert not [name for name in named if not (ROOT / name).exists()]
    assert links and not [link for link in links if not (ROOT / "docs" / link).is_file()]
    anchors = {
        re.sub(r"[^a-z ]", "", title.lower()).replace(" ", "-") for title in re.findall(r"\n#+ (.*)", PAGE)
    }
    assert set(re.findall(r"\]\((?:fidelity\.md)?#([^)]+)\)", PAGE + PIPELINE)) <= anchors


def test_a_result_is_what_some_stage_writes() -> None:
    outs = {out for job in jobs(preset()).values() for out in job.outs}
    named = re.findall(r"(?<!\()(?:results|data/preprocess)/[\w./]+", PAGE)
    assert not [path for path in named if not path.startswith("results/published/") and path not in outs]


def test_every_parity_item_has_a_row_and_every_tolerance_its_value() -> None:
    items = [name for row in cells("item") for name in row[0].split(", ")]
    assert {prefix for prefix in ITEMS if any(name.startswith(prefix) for name in items)} == set(ITEMS)
    manifest = json.loads((ROOT / "tests/golden/manifest.json").read_text())
    assert {row[0]: float(row[1]) for row in cells("tolerance")} == manifest["tolerance"]
