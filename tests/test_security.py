"""Nothing that a user hands in becomes a program: neither by how files are read, nor by way of a shell."""

from __future__ import annotations

import copy
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from intrada.commands import validate
from intrada.core.config.types import PathText
from intrada.core.errors import UserError
from tests import audit
from tests.support.definition import ROOT, TEMPLATE, jobs, stages
from tests.support.tiny_project import tree

CODE = sorted((ROOT / "intrada").rglob("*.py"))
CODE += [
    path
    for path in (ROOT / "tests/support/chaos.py", *sorted((ROOT / "benchmarks").rglob("*.py")))
    if path.exists()
]
RULES = [ROOT / "Snakefile", *sorted((ROOT / "workflow/rules").glob("*.smk"))]
PATH = TypeAdapter(PathText)
LETTERS = st.characters(categories=["L", "M", "N"], include_characters=" /._-+=@,:%")


@pytest.mark.parametrize("path", CODE, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_code_runs_what_it_reads(path: Path) -> None:
    assert audit.python(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("path", RULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_rule_runs_what_it_reads_and_each_field_of_a_shell_command_is_quoted(path: Path) -> None:
    assert audit.rules(path.read_text(encoding="utf-8")) == []


def test_the_page_marks_nothing_as_safe() -> None:
    for template in (ROOT / "intrada").rglob("*.j2"):
        assert not re.search(r"\|\s*safe\b|autoescape\s+false", template.read_text(encoding="utf-8")), (
            template
        )


@pytest.mark.parametrize(
    "code, found",
    [
        ("import pickle\npickle.load(f)", "pickle.load"),
        ("import pickle as p\np.loads(b)", "pickle.loads"),
        ("from pickle import load as read\nread(f)", "pickle.load"),
        ("import pickle\nread = pickle.load", "pickle.load"),
        ("import pickle\nclass Own(pickle.Unpickler): pass", "pickle.Unpickler"),
        ("import pickle\ngetattr(pickle, 'load')(f)", "pickle.load"),
        ("import pandas as pd\npd.read_pickle(f)", "pandas.read_pickle"),
        ("import joblib", "joblib"),
        ("from dill import loads", "dill"),
        ("import marshal, os", "marshal"),
        ("import shelve as s", "shelve"),
        ("import torch\ntorch.load(f)", "torch.load"),
        ("import torch\ntorch.load(f, weights_only=False)", "torch.load"),
        ("import torch\ntorch.load(f, weights_only=flag)", "torch.load"),
        ("from torch import load\nload(f)", "torch.load"),
        ("import torch\nmap(torch.load, fs)", "torch.load"),
        ("import torch.hub\ntorch.hub.load('a/b', 'c')", "torch.hub.load"),
        ("import yaml\nyaml.load(t)", "yaml.load"),
        ("import yaml\nyaml.load(t, yaml.Loader)", "yaml.load"),
        ("import yaml\nyaml.load(t, Loader=yaml.FullLoader)", "yaml.load"),
        ("import yaml\nclass Own(yaml.Loader): pass\nyaml.load(t, Own)", "yaml.load"),
        ("import yaml\nyaml.unsafe_load(t)", "yaml.unsafe_load"),
        ("eval(t)", "eval"),
        ("list(map(exec, ts))", "exec"),
        ("import builtins\nbuiltins.exec(t)", "builtins.exec"),
        ("frame.eval('a + b')", "eval of a string"),
        ("import os\nos.system('ls')", "os.system"),
        ("import os\nos.execvp('ls', [])", "os.execvp"),
        ("import subprocess\nsubprocess.run(c, shell=True)", "subprocess.run"),
        ("import subprocess\nsubprocess.run(c, shell=flag)", "subprocess.run"),
        ("from subprocess import Popen\nPopen(c, **options)", "subprocess.Popen"),
        ("import subprocess\nsubprocess.getoutput('ls')", "subprocess.getoutput"),
        ("import numpy as np\nnp.load(f, allow_pickle=True)", "numpy.load"),
        ("import numpy as np\nnp.load(f, None, True)", "numpy.load"),
        ("import jinja2\njinja2.Environment(loader=l)", "jinja2.Environment"),
        ("from jinja2 import Environment\nEnvironment(autoescape=False)", "jinja2.Environment"),
    ],
)
def test_the_audit_finds_it(code: str, found: str) -> None:
    assert [line.partition(": ")[2] for line in audit.python(code)] == [found]


@pytest.mark.parametrize(
    "code",
    [
        "import torch\ntorch.load(f, weights_only=True)",
        "import yaml\nyaml.safe_load(t)\nyaml.load(t, Loader=yaml.CSafeLoader)",
        "import yaml\nclass Own(yaml.SafeLoader): pass\nyaml.load(t, Own)",
        "import subprocess\nsubprocess.run(['ls'], check=True)\nsubprocess.run(['ls'], shell=False)",
        "import numpy as np\nnp.load(f)",
        "import jinja2\njinja2.Environment(autoescape=True)",
        "import pickle, re\ntry:\n    re.compile('a')\nexcept pickle.UnpicklingError:\n    model.eval()",
        "from intrada.models.weights import load\nload(f)",
    ],
)
def test_the_audit_lets_the_safe_way_pass(code: str) -> None:
    assert audit.python(code) == []


@pytest.mark.parametrize(
    "rule, found",
    [
        ('rule a:\n    shell:\n        "cat {input} > {output:q}"\n', ["line 2: {input} without :q"]),
        ('rule a:\n    shell: "cat {input:q}"\n           " > {output}"\n', ["line 2: {output} without :q"]),
        ('rule a:\n    shell:\n        f"cat {path}"\n', ["line 2: a shell command that is no plain string"]),
        ('rule a:\n    shell:\n        "awk {{print}} {input:q}"\n', []),
        ("rule a:\n    run:\n        os.system(x)\n", ["line 3: os.system"]),
        ("import pickle\nx = pickle.load(f)\n", ["line 2: pickle.load"]),
        ("x = eval(t)  # no eval(t)\nmy_eval(t)\n", ["line 1: eval"]),
    ],
)
def test_the_audit_reads_rules(rule: str, found: list[str]) -> None:
    assert audit.rules(rule) == found


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
    params = tree() | {"rounds": {"r2": round_from("train_intra")}}
    for block in stages().values():
        commands = block["do"]["cmd"] if "foreach" in block else block["cmd"]
        for key in TEMPLATE.findall(commands):
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


def round_from(after: str) -> dict[str, Any]:
    return {"after": after, "easy_fraction": 0.5, "init": "weights/random"}


def hostile_params(key: str, value: str) -> dict[str, Any]:
    """Params with `value` at the dotted `key`; at `rounds.key` as the name of a round."""
    params = copy.deepcopy(tree()) | {"rounds": {"r2": round_from("train_intra")}}
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
            "rounds.r2.after", "select"} <= set(templated())  # fmt: skip


@pytest.mark.parametrize("key", templated())
def test_no_param_of_a_command_may_hold_what_a_shell_would_read_as_more_than_a_word(
    key: str, tmp_path: Path
) -> None:
    for value in HOSTILE:
        (tmp_path / "params.yaml").write_text(yaml.safe_dump(hostile_params(key, value)), encoding="utf-8")
        with pytest.raises(UserError) as caught:
            validate.load(tmp_path / "params.yaml")
        assert "\n  do next: " in str(caught.value), value


def test_every_stage_comes_after_the_one_that_refuses_such_params() -> None:
    found = jobs(tree())
    after = {"results/validate/params.json"}
    while more := {out for job in found.values() if after & set(job.deps) for out in job.outs} - after:
        after |= more
    outs = {name: set(job.outs) for name, job in found.items() if name != "validate"}
    # a folder that holds outs of other stages comes after them
    assert [name for name, made in outs.items() if not made <= after and name != "report"] == []


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
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
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
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(hostile_params("toycity.source.root", root)))
    with pytest.raises(UserError, match="removed before a run"):
        validate.load(tmp_path / "params.yaml")
