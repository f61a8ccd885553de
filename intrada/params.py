"""params.yaml as typed values: every key is required, none is unknown, each has its range.

The file is validated whole at the start of every command, and the command is then given only the
keys that its stage declares (`select`): a parameter that is not in the stage's `params:` of dvc.yaml
cannot be reached by its code.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from intrada.errors import UserError


def _number(value: object) -> object:
    """`1` and `1e-4` (a string to YAML 1.1) are floats as well; booleans, nan and infinity are not."""
    if isinstance(value, bool):
        raise ValueError("a number is due, not a boolean")
    if isinstance(value, (int, str)):
        value = float(str(value))  # by way of str, a whole number too large for a float is infinite
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("a finite number is due")
    if isinstance(value, float) and abs(value) > _LARGEST:
        raise ValueError(f"a number up to {_LARGEST:g} is due")
    return value


def _known(entries: list[str | dict[str, Any]]) -> list[str | dict[str, Any]]:
    from intrada import labels

    labels.class_set(entries)
    return entries


_LARGEST = 1e18  # so that the product of two (learning rate and its multiplier) is a float32
_PLAIN = "plain YAML in UTF-8: numbers, text, lists and mappings, each key once"
_KINDS = ("map", "seq", "str", "int", "float", "bool", "null", "merge")  # of YAML: what JSON holds as well
_VALUES, _DEPTH, _DIGITS = 10_000, 40, 40  # far beyond any params file; the longest has hundreds of values

T = TypeVar("T", bound="Block")
Number = Annotated[float, BeforeValidator(_number)]
Positive = Annotated[Number, Field(gt=0)]
NotNegative = Annotated[Number, Field(ge=0)]
Fraction = Annotated[Number, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Size = Annotated[list[Annotated[int, Field(ge=16)]], Field(min_length=2, max_length=2)]
Rule = Literal["mean_entropy", "published_normalized", "paper_normalized"]


class Block(BaseModel):
    """A block of params.yaml: strict types, no unknown key, immutable."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Compute(Block):
    device: Literal["auto", "cpu", "cuda"]  # auto: CUDA where there is one
    threads: Count  # of one training or inference process on a CPU; other counts round differently


class ToySource(Block):
    root: str
    seed: Seed
    images: Count
    size: Size  # width, height


class ToyTarget(Block):
    root: str
    seed: Seed
    train: Count
    val: Count
    size: Size


class Toycity(Block):
    """What to generate; `toycity: {}` where the data are your own."""

    source: ToySource | None = None
    target: ToyTarget | None = None


class Domain(Block):
    dataset: str
    root: str
    split: str  # all | list:FILE | range:START:STOP | a split of the dataset's own (train, val)
    size: Size  # of the network's input: width, height
    options: dict[str, Any]  # of the dataset: see its module
    allow_absent: list[str]  # classes that may be missing from these labels


class Preprocess(Block):
    source: Domain
    target: Domain
    val: Domain


class Model(Block):
    name: str
    options: dict[str, Any]


class Optimizer(Block):
    name: Literal["sgd", "adamw"]
    lr: Positive
    momentum: Fraction  # sgd only; adamw keeps its betas (0.9, 0.999)
    weight_decay: NotNegative
    heads_lr_multiplier: Positive
    multiplicity: Literal["once", "published"]


class Discriminator(Block):
    lr: Positive
    width: Count  # channels of its first convolution; 64 in the paper


class Heads(Block):
    """One weight for each classifier head."""

    main: NotNegative
    aux: NotNegative


class LossWeights(Block):
    seg: Heads  # cross entropy of each head
    target: Heads  # what the method asks of the target: adversarial loss (lambda_adv) or entropy (lambda_ent)


class Augment(Block):
    flip: bool
    jitter: Fraction  # brightness and contrast are drawn from 1 +- jitter


class Training(Block):
    method: str
    init: str
    iterations: Count
    max_iters: Count  # where the poly schedule reaches 0
    power: NotNegative
    batch_size: Count
    optimizer: Optimizer
    discriminator: Discriminator
    weights: LossWeights
    augment: Augment
    log_every: Count  # iterations averaged into one row of losses.csv
    checkpoint_every: Count  # iterations
    checkpoint_minutes: Positive
    checkpoints_kept: Count

    @model_validator(mode="after")
    def _schedule_is_long_enough(self) -> Training:
        if self.max_iters < self.iterations:
            raise ValueError(f"max_iters {self.max_iters} is below iterations {self.iterations}")
        return self


class Score(Block):
    batch_size: Count


class Rank(Block):
    rule: Rule
    easy_fraction: Fraction  # lambda in IntraDA
    rare_classes: list[str]  # of the normalised rules; 11 in the paper


class PseudoLabel(Block):
    min_confidence: Fraction  # 0: every pixel keeps its argmax, as in the paper


class Evaluate(Block):
    batch_size: Count
    samples: Count  # easiest and hardest images whose predictions are written, so many of each


class Report(Block):
    title: str


class Params(Block):
    """The whole of params.yaml."""

    seed: Seed
    compute: Compute
    classes: Annotated[list[str | dict[str, Any]], AfterValidator(_known)]
    toycity: Toycity
    preprocess: Preprocess
    model: Model
    train_source: Training
    train_inter: Training
    score: Score
    rank: Rank
    pseudo_label: PseudoLabel
    train_intra: Training
    evaluate: Evaluate
    report: Report


def load(path: Path) -> Params:
    """Read and validate a whole params file; UserError lists what is wrong, key by key."""
    return validate(path, _parse(path))


def validate(path: Path, tree: object) -> Params:
    """Turn a parsed params file into typed values; `path` is only named in errors."""
    if not isinstance(tree, dict):
        raise UserError(
            path, f"a {type(tree).__name__}", "a mapping of blocks", "start from a file in presets/"
        )
    try:
        return Params.model_validate(tree)
    except ValidationError as error:
        raise _explain(path, error) from None
    except UserError as error:
        raise UserError(f"{path}, classes", error.found, error.allowed, error.fix) from None


def select(params: Params, keys: Iterable[str]) -> Params:
    """Only the dotted `keys` of `params`: reading any other attribute raises AttributeError."""
    return _construct(params, [key.split(".") for key in keys])


def digest(params: Params, keys: Iterable[str]) -> str:
    """A 128-bit hexadecimal fingerprint of the values under the dotted `keys`."""
    whole = params.model_dump(mode="json")
    values = {key: _at(whole, key.split(".")) for key in keys}
    text = json.dumps(values, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


class _Plain(yaml.SafeLoader):
    """Refuses what is no plain value, a key that stands twice and aliases that multiply a small file."""

    def construct_document(self, node: yaml.Node) -> Any:
        _weigh(node, 0, {})
        return super().construct_document(node)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[tuple[str, str]] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if (key.tag, key.value) in seen:
                    raise _misfit(key, f"the key {key.value} stands twice")
                seen.add((key.tag, key.value))
        return super().construct_mapping(node, deep)


def _weigh(node: yaml.Node, depth: int, known: dict[yaml.Node, int]) -> int:
    """How many values are at and below `node` with its aliases written out; YAMLError for too many."""
    if node not in known:
        if node.tag.removeprefix("tag:yaml.org,2002:") not in _KINDS:
            raise _misfit(node, f"a value of the kind {node.tag}, as a date without quotes is one")
        if depth > _DEPTH:
            raise _misfit(node, f"blocks or brackets more than {_DEPTH} deep")
        if node.tag.endswith(":int") and len(node.value) > _DIGITS:
            raise _misfit(node, f"a whole number of more than {_DIGITS} digits")
        known[node] = _VALUES + 1  # should it hold itself
        below = node.value if isinstance(node, yaml.CollectionNode) else []
        inner = [part for entry in below for part in (entry if isinstance(entry, tuple) else (entry,))]
        known[node] = 1 + sum(_weigh(part, depth + 1, known) for part in inner)
    if known[node] > _VALUES:
        raise _misfit(node, f"more than {_VALUES} values, aliases (*name) written out")
    return known[node]


def _misfit(node: yaml.Node, problem: str) -> yaml.YAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)


def _parse(path: Path) -> object:
    try:
        with path.open(encoding="utf-8") as file:
            return yaml.load(file, _Plain)
    except FileNotFoundError:
        fix = "start in the project's folder, or name the file with --params"
        raise UserError(path, "no such file", "a params file", fix) from None
    except RecursionError:
        raise UserError(path, "hundreds of brackets in brackets", _PLAIN, "mend the file") from None
    except (OSError, ValueError, yaml.YAMLError) as error:  # ValueError: not UTF-8
        raise UserError(path, " ".join(str(error).split()), _PLAIN, "mend the file") from None


def _construct(block: T, keys: list[list[str]]) -> T:
    names = {key[0] for key in keys}
    fields: dict[str, Any] = {}
    for name in names:
        value = getattr(block, name)
        rest = [key[1:] for key in keys if key[0] == name]
        fields[name] = value if [] in rest else _construct(value, rest)
    return type(block).model_construct(_fields_set=names, **fields)


def _at(tree: Any, key: list[str]) -> Any:
    for name in key:
        tree = tree[name]
    return tree


def _explain(path: Path, error: ValidationError) -> UserError:
    found = [_line(item["loc"], item["msg"], item["type"], item["input"]) for item in error.errors()]
    return UserError(
        path,
        "; ".join(found[:8]) + (f"; and {len(found) - 8} more" if len(found) > 8 else ""),
        "exactly the keys of the files in presets/, each in its range (workflow/schemas/params.schema.yaml)",
        "mend these keys; nothing has been run",
    )


def _line(loc: tuple[int | str, ...], message: str, kind: str, value: object) -> str:
    where = ".".join(str(part) for part in loc)
    if kind == "extra_forbidden":
        near = difflib.get_close_matches(str(loc[-1]), _names(Params), n=1)
        return f"{where} is not a key" + (f" (did you mean {near[0]}?)" if near else "")
    if kind == "missing":
        return f"{where} is missing"
    shown = repr(value) if len(repr(value)) <= 80 else f"{repr(value)[:80]}..."
    return f"{where} = {shown}: {message.removeprefix('Value error, ')}"


def _names(block: type[BaseModel]) -> list[str]:
    """Every key at any depth below `block`, for suggestions."""
    names: list[str] = []
    for name, field in block.model_fields.items():
        names.append(name)
        for kind in (field.annotation, *get_args(field.annotation)):  # a block, or a block | None
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                names.extend(_names(kind))
    return names
