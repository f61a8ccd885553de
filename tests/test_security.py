"""Nothing that a user hands in becomes a program: neither by how files are read, nor by way of a shell."""

from __future__ import annotations

import ast
import copy
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from string import Formatter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from intrada.commands import validate
from intrada.core.config import plain_yaml
from intrada.core.config.types import PathText
from intrada.core.errors import UserError
from tests.support.definition import ROOT, TEMPLATE, jobs, stages
from tests.support.tiny_project import tree

RULES = [ROOT / "Snakefile", *sorted((ROOT / "workflow/rules").glob("*.smk"))]
PATH = TypeAdapter(PathText)
LETTERS = st.characters(categories=["L", "M", "N"], include_characters=" /._-+=@,:%")


def shell_fields(source: str) -> list[str]:
    """The fields of the `shell:` commands of a file of Snakemake rules, as `name:format`; none of `{{}}`."""
    blocks = re.findall(r"^( *)shell:(.*\n(?:\1 +.*\n|\n)*)", source + "\n", re.M)
    commands = [ast.literal_eval(f"({block.strip()})") for _, block in blocks]  # fails for an f-string
    found = [piece for command in commands for piece in Formatter().parse(command)]
    return [f"{name}:{how}" for _, name, how, _ in found if name is not None]


def test_every_field_of_a_shell_command_of_snakemake_is_quoted() -> None:
    fields = [field for path in RULES for field in shell_fields(path.read_text(encoding="utf-8"))]
    assert "params.job:q" in fields
    assert [field for field in fields if not field.endswith(":q")] == []


def test_the_page_marks_nothing_as_safe() -> None:
    for template in (ROOT / "intrada").rglob("*.j2"):
        assert not re.search(r"\|\s*safe\b|autoescape\s+false", template.read_text(encoding="utf-8")), (
            template
        )


def test_one_module_alone_prints() -> None:
    """So that no text from outside reaches the terminal with its control characters."""
    for path in (ROOT / "intrada").rglob("*.py"):
        if path.name != "plain_text.py":
            names = {
                getattr(node, "id", None) for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            }
            assert "print" not in names, path


# ---------------------------------------------------------------- params in the commands of dvc.yaml

HOSTILE = (
    "a; touch pwned", "a && touch pwned", "a | touch pwned", "a & touch pwned", "$(touch pwned)", "`touch pwned`",
    "a\ntouch pwned", "a > pwned", "'a'; touch pwned; '", '"', "a'", "\\", " a", "a ", "a\tb", "a\u00a0b", "a*", "a?", "[a]",
    "{a,b}", "~/a", "~", "!1", "#a", "(a)", "^a", "a\0b", "a\x1b[2J", "a\u202eb", "", "-rf", "--params=x", "=ls", "${seed}",
)  # fmt: skip
WELCOME = (
    "data/raw/gta5", "/mnt/disk-2/Cityscapes", "../raw", ".", "weights/MS_DeepLab.pth", "a+b@c,d=e:f%20", "Straße/ø",
    "データ/原画", "मार्ग", "e\u0301te\u0301", "./-a", "/media/my disk/gta5",
)  # fmt: skip


def templated() -> list[str]:
    """Every dotted key that a command of dvc.yaml holds: `item.root` of a foreach as `preprocess.source.root`."""
    found = set[str]()
    params = whole()
    for block in stages().values():
        body = block.get("do", block)
        constants = {name for entry in body.get("vars", []) for name in entry}  # written in dvc.yaml itself
        for key in TEMPLATE.findall(body["cmd"]):
            if key.split(".")[0] not in constants:
                found |= set(_keys(key, block.get("foreach"), params))
    return sorted(found)


def _keys(key: str, foreach: Any, params: dict[str, Any]) -> Iterator[str]:
    if isinstance(foreach, str) and key.startswith("item"):
        above = foreach.strip("${}")
        yield from (f"{above}.{name}{key.removeprefix('item')}" for name in params[above])
    elif not isinstance(foreach, dict) or key not in (
        "key",
        "item",
        *(f"item.{n}" for v in foreach.values() for n in v),
    ):
        yield f"{foreach.strip('${}')}.key" if key == "key" else key


def whole() -> dict[str, Any]:
    """Params with an entry in each block that may be empty."""
    entry = {**tree()["preprocess"]["source"], "weight": 1}
    more = {
        "rounds": {"r2": round_from("train_intra")},
        "sources": {"a": entry},
        "target_labelled": {"b": entry},
    }
    return copy.deepcopy(tree() | more)


def round_from(after: str) -> dict[str, Any]:
    return {"after": after, "easy_fraction": 0.5, "init": "weights/random"}


def hostile_params(key: str, value: str) -> dict[str, Any]:
    """Params with `value` at the dotted `key`; at `rounds.key` as the name of a round, and so on."""
    params = whole()
    *above, last = key.split(".")
    block = params
    for name in above:
        block = block[name]
    if last == "key":
        block[value] = next(iter(block.values()))
    else:
        block[last] = value
    return params


def test_the_commands_hold_the_keys_that_we_think_of() -> None:
    assert {"preprocess.source.root", "toycity.target.root", "train_inter.init", "rounds.key", "rounds.r2.init",
            "rounds.r2.after", "select", "sources.key", "sources.a.root", "target_labelled.b.root"} <= set(templated())  # fmt: skip


@pytest.mark.parametrize("key", templated())
def test_no_param_of_a_command_may_hold_what_a_shell_would_read_as_more_than_a_word(
    key: str, tmp_path: Path
) -> None:
    for value in HOSTILE:
        (tmp_path / "params.yaml").write_text(plain_yaml.dump(hostile_params(key, value)), encoding="utf-8")
        with pytest.raises(UserError) as caught:
            validate.load(tmp_path / "params.yaml")
        assert "\n  do next: " in str(caught.value), value


def test_every_stage_comes_after_the_one_that_refuses_such_params() -> None:
    found = jobs(tree())
    made = found.pop("validate").outs
    before = [
        [name for name in made if any(Path(dep).is_relative_to(name) for dep in job.deps)]
        for job in found.values()
    ]
    assert all(before)


@pytest.mark.parametrize("value", WELCOME)
def test_paths_in_any_script_are_welcome(value: str) -> None:
    assert PATH.validate_python(value) == value


@pytest.mark.parametrize("shell", [shell for shell in ("sh", "bash", "dash", "zsh") if shutil.which(shell)])
@settings(max_examples=20)
@given(
    st.lists(
        st.text(LETTERS, min_size=1).filter(lambda text: text[0] not in "-= " and text[-1] != " "),
        max_size=50,
    )
)
def test_a_shell_hands_on_what_is_allowed_as_it_stands(shell: str, values: list[str]) -> None:
    words = [PATH.validate_python(value) for value in [*values, *WELCOME]]
    quoted = " ".join(f"'{word}'" for word in words)  # as in dvc.yaml
    done = subprocess.run([shell, "-c", f"printf '%s\\n' {quoted}"], capture_output=True, check=True)
    assert done.stdout.decode().removesuffix("\n").split("\n") == words


def test_the_message_says_what_is_allowed_and_what_to_do(tmp_path: Path) -> None:
    params = hostile_params("preprocess.source.root", "/media/disk (old)/gta5")
    (tmp_path / "params.yaml").write_text(plain_yaml.dump(params))
    with pytest.raises(UserError) as caught:
        validate.load(tmp_path / "params.yaml")
    assert "preprocess.source.root = '/media/disk (old)/gta5': '(' in it" in caught.value.found
    assert "ln -s" in caught.value.found


@pytest.mark.parametrize(
    "root",
    [
        "data/raw/gta5",
        "data/raw/toycity",
        "data/raw/toycity/",
        "data/raw/toycity/..",
        "data/raw/toycity/a/../../gta5",
    ],
)
def test_the_toy_city_is_not_drawn_where_your_own_data_could_be(root: str, tmp_path: Path) -> None:
    """DVC removes the outputs of a stage before it runs."""
    (tmp_path / "params.yaml").write_text(plain_yaml.dump(hostile_params("toycity.source.root", root)))
    with pytest.raises(UserError, match="removed before a run"):
        validate.load(tmp_path / "params.yaml")
