"""Describe folders of images and labels as the blocks `preprocess` and `classes` of params.yaml.

The class of a label value is given by the user, guessed (with a reason), or unknown. An unknown value of the
source becomes a class of its own whose name has a question mark; labels of target and evaluation data with
an unknown value are not used.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from intrada.core.config.classes import CITYSCAPES_IDS
from intrada.core.config.schema import Params
from intrada.core.errors import UserError
from intrada.data.datasets import label_values
from intrada.data.datasets.label_values import IGNORED, LabelValues
from intrada.data.own_data import Folder

Names = dict[str, str]


@dataclass(frozen=True)
class Meaning:
    """The class of a label value, or IGNORED. name: "" for an unknown value of target or evaluation data."""

    name: str
    kind: Literal["answer", "guess", "open"]
    reason: str = ""


Meanings = dict[str, Meaning]


def meanings(found: Mapping[str, Folder], names: Names, target_names: Names) -> dict[str, Meanings]:
    """Return role -> value -> its meaning. names: the answers for the source; target_names: for the others.

    Without answers, target and evaluation data that together have the values of the source are guessed to
    have its classes. UserError for an answer about a value that no label has.
    """
    source = _of(found["source"], names)
    known = {
        "source": {
            value: one if one.name else Meaning(f"id {value}?", "open") for value, one in source.items()
        }
    }
    others = {role: folder for role, folder in found.items() if role != "source"}
    there = dict.fromkeys(value for folder in others.values() for value in _values(folder))
    _refuse_unknown("--names", names, list(source))
    _refuse_unknown("--target-names", target_names, list(there))
    encodings = {folder.part.encoding for folder in found.values() if folder.values}
    same = there.keys() == source.keys() and len(encodings) == 1 and not target_names
    reason = "the same values as in the source"
    for role, folder in others.items():
        known[role] = _of(folder, target_names)
        if same and known[role]:
            known[role] = {
                value: Meaning(one.name, "guess", reason) for value, one in known["source"].items()
            }
        elif known[role]:  # a label that was not read may have a value that is known from the others
            known[role] |= {value: Meaning(name, "answer") for value, name in target_names.items()}
    return known


def _of(folder: Folder, answers: Names) -> Meanings:
    if folder.values is None:
        return {}
    found: Meanings = {value: Meaning("", "open") for value in folder.values.shares}
    for value, (name, reason) in label_values.guesses(folder.values, folder.part.labels or "").items():
        found[value] = Meaning(name, "guess", reason)
    return found | {value: Meaning(name, "answer") for value, name in answers.items() if value in found}


def _values(folder: Folder) -> list[str]:
    return list(folder.values.shares) if folder.values else []


def _refuse_unknown(option: str, answers: Names, there: Sequence[str]) -> None:
    if unknown := [value for value in answers if value not in there]:
        allowed = ", ".join(there) or "nothing, as there are no labels"
        raise UserError(option, f"{', '.join(unknown)} not in the labels", allowed, "fix the option")


def blocks(found: Mapping[str, Folder], known: Mapping[str, Meanings]) -> dict[str, Any]:
    """Return the values of params.yaml, by dotted key, that describe source, target and evaluation data.

    UserError for a source without labels or with a single class.
    """
    source = found["source"]
    if source.values is None:
        fix = "give the folder with labels first; only target and evaluation data may have none"
        raise UserError(source.root, "no labels", "a source with a label for each image", fix)
    named = {value: meaning.name for value, meaning in known["source"].items()}
    names = list(dict.fromkeys(name for name in named.values() if name != IGNORED))
    if len(names) < 2:
        raise UserError(source.root, f"{len(names)} class", "at least 2 classes", "name others with --names")
    shares = {
        name: sum(source.values.shares[value] for value, one in named.items() if one == name)
        for name in names
    }
    rare = sorted(names, key=lambda name: shares[name])[: len(names) // 2]
    return {
        "classes": _classes(names, named, source.values),
        "toycity": {},
        **{f"preprocess.{role}": _domain(folder, known[role], names) for role, folder in found.items()},
        "rank.rare_classes": [name for name in names if name in rare],
        "report.title": f"IntraDA: {source.root.name} to {found['target'].root.name}",
    }


def _domain(folder: Folder, meanings: Meanings, names: Sequence[str]) -> dict[str, Any]:
    """Return the block of one domain."""
    part = folder.part
    is_known = bool(meanings) and all(one.name == IGNORED or one.name in names for one in meanings.values())
    options: dict[str, Any] = {"images": part.images, "labels": part.labels if is_known else None}
    absent: list[str] = []
    if is_known:
        entry = int if part.encoding == "ids" else str
        mapping: dict[str, list[Any]] = {}
        for value, one in meanings.items():
            if one.name != IGNORED:
                mapping.setdefault(one.name, []).append(entry(value))
        ignored = [entry(value) for value, one in meanings.items() if one.name == IGNORED]
        options |= {"encoding": part.encoding, "mapping": mapping, "ignore": ignored}
        present = {meanings[value].name for value in _values(folder)}
        absent = [name for name in names if name not in present]
    root = folder.root.relative_to(Path.cwd()) if folder.root.is_relative_to(Path.cwd()) else folder.root
    return {
        "dataset": "folders", "root": root.as_posix(), "split": folder.split, "size": [*folder.sizes[0]],
        "storage": "png_uncompressed", "options": options, "allow_absent": absent,
    }  # fmt: skip


def _classes(names: Sequence[str], named: Mapping[str, str], values: LabelValues) -> list[Any]:
    """Return the block `classes`: the name of a Cityscapes class alone, any other name with a colour."""
    official = {entry.name: f"#{bytes(entry.color).hex()}" for entry in CITYSCAPES_IDS.values()}
    given = {name: color for value, name in named.items() if (color := values.colors.get(value))}
    given |= {name: official[name] for name in names if name in official}
    colors = label_values.colors_for(names, given)
    return [name if name in official else {"name": name, "color": colors[name]} for name in names]


def questions(found: Mapping[str, Folder], known: Mapping[str, Meanings], params: Params) -> list[str]:
    """Return what a person must still answer or confirm. params: those that the blocks are written into."""
    asked = []
    for role, option in (("source", "--names"), ("target", "--target-names"), ("val", "--target-names")):
        if role == "val" and known[role] == known["target"]:
            continue
        kinds = {
            kind: [value for value, one in known[role].items() if one.kind == kind]
            for kind in ("open", "guess")
        }
        if kinds["open"]:
            effect = "they are classes of their own" if role == "source" else "the labels are not used"
            asked.append(
                f"{role}: what are {', '.join(kinds['open'])}? {option} says it; until then {effect}"
            )
        if kinds["guess"]:
            guessed = ", ".join(f"{value}={known[role][value].name}" for value in kinds["guess"])
            asked.append(f"{role}: is the guess right ({guessed})? {option} says otherwise")
    if params.rounds:
        asked.append("params.yaml has further `rounds`: keep them, or set `rounds: {}`")
    if (
        found["val"].values is None
        or not _domain(found["val"], known["val"], _names(known)).get("options", {})["labels"]
    ):
        asked.append("the evaluation data have no labels that are used: the report will have no IoU")
    return asked


def _names(known: Mapping[str, Meanings]) -> list[str]:
    return [one.name for one in known["source"].values()]
