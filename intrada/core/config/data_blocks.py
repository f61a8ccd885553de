"""Schema of the blocks of params.yaml that name data: toycity, preprocess, sources, target_labelled."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer

from intrada.core.config.types import Count, Options, PathText, Positive, Seed, Size, ToyRoot


class Block(BaseModel):
    """A block of params.yaml: strict types, no unknown key, immutable."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class OptionalKeys(Block):
    """A block with optional keys. One that is absent is absent from dumps, too.

    So the params of an experiment that does not use a new key keep their records and hashes.
    """

    @model_serializer(mode="wrap")
    def _without_absent(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {name: value for name, value in dump(self).items() if value is not None}


class ToySource(Block):
    root: ToyRoot
    seed: Seed
    images: Count
    size: Size  # width, height


class ToyTarget(Block):
    root: ToyRoot
    seed: Seed
    train: Count
    val: Count
    size: Size


class Toycity(Block):
    """The toy data to generate; `toycity: {}` for your own data."""

    source: ToySource | None = None
    target: ToyTarget | None = None


class Domain(Block):
    dataset: str
    root: PathText
    split: str  # all | list:FILE | range:START:STOP | a split of the dataset's own (train, val)
    size: Size  # width and height of the network's input, pixels
    storage: Literal["png_uncompressed", "png", "jpeg"]  # format of the resized images; jpeg changes pixels
    options: Options  # see the module of the dataset
    allow_absent: list[str]  # classes that these labels may lack


class SourceDomain(Domain, OptionalKeys):
    """The keys of a labelled data set."""

    class_pixels: bool | None = None  # true: the index counts the pixels of classes, for rare_class_sampling


class Preprocess(Block):
    source: SourceDomain
    target: Domain
    val: Domain


class LabelledSet(SourceDomain):
    """A further labelled data set, an entry of `sources` or of `target_labelled`."""

    weight: Positive  # how many of its images are drawn for one image of preprocess.source


SetName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
Sets = dict[SetName, LabelledSet]
TAKEN = ("source", "images")  # the name of the first source in messages; a folder beside those of the sets


def check_sets(first: Domain, sources: Sets, target_labelled: Sets) -> None:
    """Raise ValueError for names and sizes that do not fit together. first: the block preprocess.source.

    The images of a training batch have one size. A batch has images of the sources, or of `target_labelled`.
    """
    for block, sets in (("sources", sources), ("target_labelled", target_labelled)):
        if taken := [name for name in sets if name in TAKEN]:
            raise ValueError(
                f"{block}.{taken[0]} is a name that the pipeline uses itself; choose another name"
            )
    if both := [name for name in target_labelled if name in sources]:
        raise ValueError(f"{both[0]} is a name in sources and in target_labelled; give one another name")
    for name, entry in target_labelled.items():
        if entry.class_pixels is not None:
            unused = "rare_class_sampling draws source images"
            raise ValueError(f"target_labelled.{name}.class_pixels is not used, since {unused}; remove it")
    named = {f"sources.{name}": block for name, block in sources.items()}
    _check_sizes({"preprocess.source": first, **named})
    _check_sizes({f"target_labelled.{name}": block for name, block in target_labelled.items()})


def _check_sizes(blocks: Mapping[str, Domain]) -> None:
    """Raise ValueError if the blocks differ in size."""
    for name, block in blocks.items():
        first = next(iter(blocks))
        if block.size != (size := blocks[first].size):
            reason = "the images of a training batch have one size"
            raise ValueError(f"{name}.size is {block.size}, but {first}.size is {size}: {reason}")
