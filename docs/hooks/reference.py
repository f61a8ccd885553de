"""Pages that the site makes from the program: commands, params.yaml, docstrings, and the changelog.

MkDocs calls `on_files` and `on_page_markdown`.
"""

from __future__ import annotations

import json
import os
import re
import sys
import tomllib
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from intrada import cli  # noqa: E402
from intrada.core.config import augment_blocks, compute_block, plain_yaml, schema  # noqa: E402

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
HOMEPAGE = PROJECT.get("urls", {}).get("Homepage", "")
PYTHON = (
    ("intrada", ("load", "build_model", "list_models", "list_methods", "rank")),
    ("intrada.inference.deployment.api", ("Predictor", "Prediction")),
    ("intrada.methods.losses", ("cross_entropy", "domain_bce", "minent")),
    ("intrada.methods.entropy", ()),
    ("intrada.methods.ranking", ()),
    ("intrada.methods.pseudo_labels", ()),
    ("intrada.evaluation.metrics", ()),
)


def on_files(files: Files, config: Any) -> Files:
    """Add the generated pages."""
    pages = {
        "reference/commands.md": commands(),
        "reference/params.md": params(),
        "reference/python.md": python(),
        "CHANGELOG.md": (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"),
    }
    for path, text in pages.items():
        files.append(File.generated(config, path, content=text))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Let links to files outside of docs/ lead to the repository, or be text if it has no address."""
    here = (ROOT / "docs" / page.file.src_uri).parent

    def link(found: re.Match[str]) -> str:
        text, target, anchor = found[1], found[2], found[3] or ""
        path = (here / target).resolve()
        if path.is_relative_to(ROOT / "docs") or not path.exists():
            return found[0]
        if path == ROOT / "CHANGELOG.md":
            return f"[{text}]({'../' * page.file.src_uri.count('/')}CHANGELOG.md{anchor})"
        if not HOMEPAGE:
            return text
        return f"[{text}]({HOMEPAGE}/blob/main/{path.relative_to(ROOT).as_posix()}{anchor})"

    return re.sub(r"\[([^\[\]]*)\]\(((?:\.\./)+[^)#\s]*)(#[^)\s]*)?\)", link, markdown)


def commands() -> str:
    """Return the page of all commands: the text of `--help` of each."""
    parts = ["# Commands\n\n`python -m intrada COMMAND` and `intrada COMMAND` are the same.\n"]
    os.environ["COLUMNS"] = "90"  # of the help texts
    _, parsers = cli.parser(*cli.WORDS)
    for name, parser in parsers.items():
        parts.append(f"## {name}\n\n```text\n{parser.format_help().strip()}\n```\n")
    return "\n".join(parts)


def params() -> str:
    """Return the page of all params, by block: key, allowed values, the value of the toy city, meaning."""
    tree = schema.Params.model_json_schema(mode="validation")
    example: Any = plain_yaml.read(ROOT / "params.yaml")
    comments = _comments((ROOT / "params.yaml").read_text(encoding="utf-8"))
    parts = [
        "# params.yaml\n\nAll values of an experiment. A key that is missing, misspelt or out of its range "
        "is an error before anything runs; only optional keys may be missing. The column *toy city* has the "
        "values of a new project's params.yaml.\n"
    ]
    seen = dict[str, str]()
    pending: list[tuple[str, Any, Any]] = [("", tree, example)]
    while pending:
        path, block, values = pending.pop(0)
        rows = []
        for name, value in block["properties"].items():
            key, kind = f"{path}.{name}".strip("."), _resolved(value, tree)
            given = values.get(name) if isinstance(values, dict) else None
            about = comments.get(key) or FIELDS.get((block.get("title", ""), name), "")
            optional = "" if name in block.get("required", []) else ", optional"
            if "properties" in kind:
                if kind["title"] not in seen:
                    seen[kind["title"]] = key
                    pending.append((key, kind, given))
                linked = seen[kind["title"]]
                rows.append(f"| `{name}` | [block](#{linked.replace('.', '')}){optional} | | {about} |")
                continue
            shown = "" if given is None else f"`{json.dumps(given, ensure_ascii=False)}`"
            rows.append(f"| `{name}` | {_allowed(kind)}{optional} | {shown} | {about} |")
        also = f"{_described(block)}\n\n" if path else ""
        title = path or "All blocks"
        parts.append(f"## {title}\n\n{also}| key | allowed | toy city | meaning |\n| --- | --- | --- | --- |")
        parts[-1] += "\n" + "\n".join(rows)
    return "\n\n".join(parts) + "\n"


def python() -> str:
    """Return the page of the docstrings."""
    parts = ["# Python docstrings\n\n[Python API](../api.md) shows how they are used together.\n"]
    for module, names in PYTHON:
        parts.append(f"## {module}\n")
        parts += [f"::: {module}.{name}\n" for name in names] or [
            f"::: {module}\n    options: {{show_root_heading: false}}\n"
        ]
    return "\n".join(parts)


def _resolved(value: Any, tree: Any) -> Any:
    """Return the part of a JSON schema to which a reference leads; of a choice with null, the other."""
    if "anyOf" in value:
        value = next((one for one in value["anyOf"] if one.get("type") != "null"), value)
    if "$ref" in value:
        return tree["$defs"][value["$ref"].rsplit("/", 1)[1]]
    return value


def _described(block: Any) -> str:
    return str(block.get("description", "")).replace("\n", " ")


def _allowed(kind: Any) -> str:
    """Return the allowed values of a key, from its JSON schema."""
    if "enum" in kind or "const" in kind:
        return ", ".join(
            f"`{json.dumps(value).strip(chr(34))}`" for value in kind.get("enum", [kind.get("const")])
        )
    if kind.get("type") == "array":
        return f"list: {_allowed(kind['items'])}" if kind.get("items") else "list"
    names = {"integer": "whole number", "number": "number", "string": "text", "boolean": "`true`, `false`"}
    limits = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<",
              "ge": "≥", "gt": ">", "le": "≤", "lt": "<"}  # fmt: skip
    bounds = [f"{sign} {kind[name]}" for name, sign in limits.items() if name in kind]
    return " ".join([names.get(kind.get("type"), "block"), ", ".join(bounds)]).strip()


def _comments(text: str) -> dict[str, str]:
    """Return dotted key -> the comment on its line of params.yaml."""
    found: dict[str, str] = {}
    above: list[tuple[int, str]] = []
    for line in text.splitlines():
        match = re.match(r"( *)([a-z_0-9]+):(?:[^#]*)(?:# (.*))?$", line)
        if not match:
            continue
        indent = len(match[1])
        above = [(width, name) for width, name in above if width < indent] + [(indent, match[2])]
        if match[3]:
            found[".".join(name for _, name in above)] = _cell(match[3])
    return found


def _fields() -> dict[tuple[str, str], str]:
    """Return (block, key) -> the comment on its line of the schema."""
    found: dict[tuple[str, str], str] = {}
    for module in (schema, augment_blocks, compute_block):
        block = ""
        for line in Path(module.__file__).read_text(encoding="utf-8").splitlines():
            if match := re.match(r"class (\w+)\(", line):
                block = match[1]
            elif match := re.match(r"    (\w+): [^#]*# (.*)$", line):
                found[block, match[1]] = _cell(match[2])
    return found


def _cell(text: str) -> str:
    """Return a text for a cell of a table, with names of pages as links."""
    return re.sub(r"docs/([\w/-]+\.md)", r"[\1](../\1)", text.replace("|", "\\|"))


FIELDS = _fields()
