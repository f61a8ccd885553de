"""The tables (CSV) between the stages and their schemas. Errors name the wrong lines and columns.

index   one row per image: id, image, label (empty if there is none), width, height (pixels); paths are
        relative to the project's root; with class_pixels also pixels_<class>, the labelled pixels of a class
scores  one row per target image: image (its id), entropy (mean pixel entropy, 0..1), pixels_<class>...
split   one row per target image: image, score (by the ranking rule), rank (1 = lowest), subset (easy, hard)
sets    one row per further labelled data set: dataset (its name), weight (images drawn for one image of
        preprocess.source), images (their number), index_csv (its path), content (hash of the index and of the
        files that it names)
kept    one row per class: class, predicted, kept (pixels of the easy images, all and those of pseudo-labels)
images  one row per evaluation image: the columns of the index, entropy (0..1) of this model, subset, mIoU and
        pixel_accuracy (percent; empty without a label)
reliability  one row per range of the confidence (the softmax maximum) of labelled pixels: from, to, pixels,
        mean confidence, accuracy (all but pixels in percent); no row without labels
counts  one row per evaluation image and class: image, class, pixels with this label (truth), pixels predicted
        as the class (predicted), and both (hits); only pixels with a label count
agreement  one row per evaluation image: image, and for each pair of models the percent of equal pixels
criteria  one row per model and criterion of its snapshots: model, criterion, chosen (iteration; 0 if there is
        no value), correlation with mIoU (Spearman, -1..1), regret (percentage points); empty without labels
label_next  one row per suggested image: image, path, entropy (0..1), rank (1 = the highest entropy)
snapshots  one row per snapshot of a run: iteration; the criteria mean_entropy, information, nuclear_norm,
        neighbourhood_density, flip_agreement and mean_agreement (0..1), source_mIoU and estimated_accuracy
        (percent); mIoU (percent); and for each rule of selection (last, label_free, oracle) whether it
        selects this snapshot (0 or 1)
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Annotated

import pandas as pd
from pydantic import AfterValidator, Field

from intrada.core import files
from intrada.core.errors import UserError
from intrada.data.table_schema import Column, Fault, Schema

EASY, HARD = "easy", "hard"
PIXELS = "pixels_"  # prefix of the columns that count the pixels predicted as a class
INDEX_COLUMNS = ["id", "image", "label", "width", "height"]


def _inside(path: str) -> str:
    """Refuse a path that is absolute or leaves the project's folder."""
    parts = PurePosixPath(path)
    if parts.is_absolute() or ".." in parts.parts:
        raise ValueError("expected a relative path inside the project")
    return path


def _file_name(name: str) -> str:
    """Refuse an id that cannot be used as a file name."""
    if not name or "/" in name or not name.isprintable() or len(name.encode()) > files.MAX_ID_BYTES:
        raise ValueError(
            f"expected a name without / or control characters, at most {files.MAX_ID_BYTES} bytes"
        )
    return name


_INT64 = 2**63
_Whole = Annotated[int, Field(ge=-_INT64, lt=_INT64)]
_Part = Annotated[float, Field(ge=0, le=1)]
_Filled = Annotated[str, Field(min_length=1)]
_Path = Annotated[str, AfterValidator(_inside)]
_ID = Column(Annotated[str, AfterValidator(_file_name)], unique=True)
_RANK = Column(Annotated[_Whole, Field(ge=1)], unique=True)
_SIZE = Column(Annotated[_Whole, Field(ge=1)])
_COUNT = Column(Annotated[_Whole, Field(ge=0)])
_ENTROPY = _PART = Column(_Part)
_PERCENT = Column(Annotated[float, Field(ge=0, le=100)])
_PERCENT_OR_EMPTY = Column(_PERCENT.type, empty=True)
_SUBSET = Column(Annotated[str, Field(pattern=f"^({EASY}|{HARD})$")])
_CHOICE = Column(Annotated[_Whole, Field(ge=0, le=1)])
_NOT_NEGATIVE = Column(Annotated[float, Field(ge=0)])
_FILLED = Column(_Filled)
_NAME = Column(_Filled, unique=True)
_FILE = Column(Annotated[_Path, Field(min_length=1)])

INDEX = Schema(
    {
        "id": _ID,
        "image": _FILE,
        "label": Column(_Path),
        "width": _SIZE,
        "height": _SIZE,
    },
    others=(f"{PIXELS}.+", _COUNT),
    optional=True,
)
SCORES = Schema({"image": _ID, "entropy": _ENTROPY}, others=(f"{PIXELS}.+", _COUNT), ordered=False)
SPLIT = Schema({"image": _ID, "score": _NOT_NEGATIVE, "rank": _RANK, "subset": _SUBSET})
SNAPSHOTS = Schema(
    {
        "iteration": _RANK,
        "mean_entropy": _PART,
        "information": _PART,
        "nuclear_norm": _PART,
        "neighbourhood_density": _PART,
        "flip_agreement": _PART,
        "mean_agreement": _PART,
        "source_mIoU": _PERCENT_OR_EMPTY,
        "estimated_accuracy": _PERCENT_OR_EMPTY,
        "mIoU": _PERCENT_OR_EMPTY,
        "last": _CHOICE,
        "label_free": _CHOICE,
        "oracle": _CHOICE,
    }
)
CRITERIA = Schema(
    {
        "model": _FILLED,
        "criterion": _FILLED,
        "chosen": _COUNT,
        "correlation": Column(Annotated[float, Field(ge=-1, le=1)], empty=True),
        "regret": _PERCENT_OR_EMPTY,
    }
)
IMAGES = Schema(
    {
        **INDEX.columns,
        "entropy": _ENTROPY,
        "subset": _SUBSET,
        "mIoU": _PERCENT_OR_EMPTY,
        "pixel_accuracy": _PERCENT_OR_EMPTY,
    }
)
SETS = Schema(
    {
        "dataset": _NAME,
        "weight": Column(Annotated[float, Field(gt=0)]),
        "images": _COUNT,
        "index_csv": _FILE,
        "content": _FILLED,
    }
)
KEPT = Schema({"class": _NAME, "predicted": _COUNT, "kept": _COUNT})
COUNTS = Schema({"image": _FILLED, "class": _FILLED, "truth": _COUNT, "predicted": _COUNT, "hits": _COUNT})
AGREEMENT = Schema({"image": _ID}, others=("[a-z0-9]+_[a-z0-9]+", _PERCENT), ordered=False)
LABEL_NEXT = Schema({"image": _ID, "path": _FILE, "entropy": _ENTROPY, "rank": _RANK})
RELIABILITY = Schema(
    {
        "from": _PERCENT,
        "to": _PERCENT,
        "pixels": _SIZE,
        "confidence": _PERCENT,
        "accuracy": _PERCENT,
    }
)


def read(path: Path, schema: Schema) -> pd.DataFrame:
    """Read the table at `path` and check it against `schema`.

    Raises UserError if the file cannot be read or does not fit; it names the first five wrong values by line
    and column.
    """
    frame = files.read_csv(path, [*schema.columns])
    if frame.empty:  # pandas cannot infer the types of columns without rows
        return frame
    if faults := schema.faults(frame):
        raise _refused(path, faults)
    return schema.typed(frame)


def read_images(path: Path) -> pd.DataFrame:
    """Read evaluation images: an index.csv, or an images.csv, which also has `entropy` and `subset`."""
    return read(path, IMAGES if "subset" in files.read_csv(path).columns else INDEX)


def write(path: Path, frame: pd.DataFrame, schema: Schema) -> None:
    """Check a table and write it atomically. Floats are written without loss of precision.

    ValueError if the table does not fit the schema.
    """
    if not frame.empty:
        if faults := schema.faults(frame):
            raise ValueError(f"{path}: {faults[0]}")
        frame = schema.typed(frame)
    files.write_csv(path, frame)


def files_of(index: Path) -> list[Path]:
    """Return the paths of all images and labels in the index."""
    frame = read_images(index)
    return [Path(path) for column in ("image", "label") for path in frame[column] if path]


def indexes_of(sets: Path) -> dict[str, Path]:
    """Return the index.csv of each data set in the table `sets` by the name of the data set."""
    frame = read(sets, SETS)
    return {str(row.dataset): Path(str(row.index_csv)) for row in frame.itertuples()}


def _refused(path: Path, faults: list[Fault]) -> UserError:
    more = f"; and {len(faults) - 5} more" if len(faults) > 5 else ""
    return UserError(
        path,
        "; ".join(map(str, faults[:5])) + more,
        "the table as its stage wrote it (docs/artifacts.md)",
        "do not edit it by hand: run its stage again, or restore the file with `dvc checkout dvc.yaml`",
    )
