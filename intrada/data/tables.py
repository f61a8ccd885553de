"""The tables (CSV) between the stages and their schemas. Errors name the wrong lines and columns.

index   one row per image: id, image, label (empty if there is none), width, height (pixels); paths are
        relative to the project's root
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
agreement  one row per evaluation image: image, and for each pair of models the percent of equal pixels
label_next  one row per suggested image: image, path, entropy (0..1), rank (1 = the highest entropy)
snapshots  one row per snapshot of a run: iteration, information (0..1), mIoU (percent), and for each rule of
        selection (last, label_free, oracle) whether it selects this snapshot (0 or 1)
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd
import pandera.pandas as pa

from intrada.core import files
from intrada.core.errors import UserError

EASY, HARD = "easy", "hard"
PIXELS = "pixels_"  # prefix of the columns that count the pixels predicted as a class
INDEX_COLUMNS = ["id", "image", "label", "width", "height"]


def _is_inside(path: str) -> bool:
    """Return whether `path` is relative and stays inside the project's folder."""
    parts = PurePosixPath(path)
    return not parts.is_absolute() and ".." not in parts.parts


def _is_file_name(name: str) -> bool:
    """Return whether an id can be used as a file name."""
    return bool(name) and "/" not in name and name.isprintable() and len(name.encode()) <= files.MAX_ID_BYTES


_PATH = pa.Check(_is_inside, element_wise=True, error="a relative path inside the project")
_SUBSET = pa.Check.isin([EASY, HARD])
_FILLED = pa.Check.str_length(min_value=1)

_ID = pa.Check(
    _is_file_name,
    element_wise=True,
    error=f"a name without / or control characters, at most {files.MAX_ID_BYTES} bytes",
)

INDEX = pa.DataFrameSchema(
    {
        "id": pa.Column(str, _ID, unique=True),
        "image": pa.Column(str, [_FILLED, _PATH]),
        "label": pa.Column(str, _PATH),
        "width": pa.Column(int, pa.Check.ge(1)),
        "height": pa.Column(int, pa.Check.ge(1)),
    },
    strict=True,
    ordered=True,
)
_ENTROPY = pa.Column(float, pa.Check.in_range(0, 1), coerce=True)
SCORES = pa.DataFrameSchema(
    {
        "image": pa.Column(str, _ID, unique=True),
        "entropy": _ENTROPY,
        f"^{PIXELS}.+$": pa.Column(int, pa.Check.ge(0), regex=True),
    },
    strict=True,
)
SPLIT = pa.DataFrameSchema(
    {
        "image": pa.Column(str, _ID, unique=True),
        "score": pa.Column(float, pa.Check.ge(0), coerce=True),
        "rank": pa.Column(int, pa.Check.ge(1), unique=True),
        "subset": pa.Column(str, _SUBSET),
    },
    strict=True,
    ordered=True,
)
_CHOICE = pa.Column(int, pa.Check.isin([0, 1]))
SNAPSHOTS = pa.DataFrameSchema(
    {
        "iteration": pa.Column(int, pa.Check.ge(1), unique=True),
        "information": pa.Column(float, pa.Check.in_range(0, 1), coerce=True),
        "mIoU": pa.Column(float, pa.Check.in_range(0, 100), coerce=True, nullable=True),
        "last": _CHOICE,
        "label_free": _CHOICE,
        "oracle": _CHOICE,
    },
    strict=True,
    ordered=True,
)
_PERCENT = pa.Column(float, pa.Check.in_range(0, 100), coerce=True)
_PERCENT_OR_EMPTY = pa.Column(float, pa.Check.in_range(0, 100), coerce=True, nullable=True)
IMAGES = INDEX.add_columns(
    {
        "entropy": _ENTROPY,
        "subset": pa.Column(str, _SUBSET),
        "mIoU": _PERCENT_OR_EMPTY,
        "pixel_accuracy": _PERCENT_OR_EMPTY,
    }
)
SETS = pa.DataFrameSchema(
    {
        "dataset": pa.Column(str, _FILLED, unique=True),
        "weight": pa.Column(float, pa.Check.gt(0), coerce=True),
        "images": pa.Column(int, pa.Check.ge(0)),
        "index_csv": pa.Column(str, [_FILLED, _PATH]),
        "content": pa.Column(str, _FILLED),
    },
    strict=True,
    ordered=True,
)
KEPT = pa.DataFrameSchema(
    {
        "class": pa.Column(str, _FILLED, unique=True),
        "predicted": pa.Column(int, pa.Check.ge(0)),
        "kept": pa.Column(int, pa.Check.ge(0)),
    },
    strict=True,
    ordered=True,
)
AGREEMENT = pa.DataFrameSchema(
    {
        "image": pa.Column(str, _ID, unique=True),
        "^[a-z0-9]+_[a-z0-9]+$": pa.Column(float, pa.Check.in_range(0, 100), coerce=True, regex=True),
    },
    strict=True,
)
LABEL_NEXT = pa.DataFrameSchema(
    {
        "image": pa.Column(str, _ID, unique=True),
        "path": pa.Column(str, [_FILLED, _PATH]),
        "entropy": _ENTROPY,
        "rank": pa.Column(int, pa.Check.ge(1), unique=True),
    },
    strict=True,
    ordered=True,
)
RELIABILITY = pa.DataFrameSchema(
    {
        "from": _PERCENT,
        "to": _PERCENT,
        "pixels": pa.Column(int, pa.Check.ge(1)),
        "confidence": _PERCENT,
        "accuracy": _PERCENT,
    },
    strict=True,
    ordered=True,
)


def read(path: Path, schema: pa.DataFrameSchema) -> pd.DataFrame:
    """Read the table at `path` and check it against `schema`.

    Raises UserError if the file cannot be read or does not fit; it names the first five wrong values by line
    and column.
    """
    required = [name for name, column in schema.columns.items() if not column.regex]
    frame = files.read_csv(path, required)
    if frame.empty:  # pandas cannot infer the types of columns without rows
        return frame
    try:
        return schema.validate(frame, lazy=True)
    except pa.errors.SchemaErrors as error:
        raise _refused(path, error.failure_cases) from None


def read_images(path: Path) -> pd.DataFrame:
    """Read evaluation images: an index.csv, or an images.csv, which also has `entropy` and `subset`."""
    return read(path, IMAGES if "subset" in files.read_csv(path).columns else INDEX)


def write(path: Path, frame: pd.DataFrame, schema: pa.DataFrameSchema) -> None:
    """Check a table and write it atomically. Floats are written without loss of precision."""
    files.write_csv(path, frame if frame.empty else schema.validate(frame))


def files_of(index: Path) -> list[Path]:
    """Return the paths of all images and labels in the index."""
    frame = read_images(index)
    return [Path(path) for column in ("image", "label") for path in frame[column] if path]


def indexes_of(sets: Path) -> dict[str, Path]:
    """Return the index.csv of each data set in the table `sets` by the name of the data set."""
    frame = read(sets, SETS)
    return {str(row.dataset): Path(str(row.index_csv)) for row in frame.itertuples()}


def _refused(path: Path, cases: pd.DataFrame) -> UserError:
    def described(case: Any) -> str:
        row = "" if pd.isna(case["index"]) else f"line {int(case['index']) + 2}, "
        column = "" if pd.isna(case["column"]) else f"column {case['column']}: "
        return f"{row}{column}{case['failure_case']!r} is not {case['check']}"

    rows = [described(case) for _, case in cases.head(5).iterrows()]
    more = f"; and {len(cases) - 5} more" if len(cases) > 5 else ""
    return UserError(
        path,
        "; ".join(rows) + more,
        "the table as its stage wrote it (docs/artifacts.md)",
        "do not edit it by hand: run its stage again, or restore the file with `dvc checkout dvc.yaml`",
    )
