"""Classes: names, colours, and the lookup table from a dataset's label ids to train indices 0..C-1.

A dataset maps its ids to class names, and the params file lists the names to learn. So one dataset can be
used with 19, 16, 13 or 11 classes, or with the user's own.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from intrada.core.errors import UserError

IGNORE = 255  # the index of pixels that losses and metrics ignore
MAX_CLASSES = 254  # the datasets' tables use index 254 for "id outside the dataset's table"


@dataclass(frozen=True)
class LabelClass:
    """A class: its name, and its colour in label images as (red, green, blue), 0..255."""

    name: str
    color: tuple[int, int, int]


# Label id -> official name and colour (Cityscapes, Cordts et al., CVPR 2016). Id -1 (license plate) does not
# occur in label images.
CITYSCAPES_IDS: dict[int, LabelClass] = {
    0: LabelClass("unlabeled", (0, 0, 0)),
    1: LabelClass("ego vehicle", (0, 0, 0)),
    2: LabelClass("rectification border", (0, 0, 0)),
    3: LabelClass("out of roi", (0, 0, 0)),
    4: LabelClass("static", (0, 0, 0)),
    5: LabelClass("dynamic", (111, 74, 0)),
    6: LabelClass("ground", (81, 0, 81)),
    7: LabelClass("road", (128, 64, 128)),
    8: LabelClass("sidewalk", (244, 35, 232)),
    9: LabelClass("parking", (250, 170, 160)),
    10: LabelClass("rail track", (230, 150, 140)),
    11: LabelClass("building", (70, 70, 70)),
    12: LabelClass("wall", (102, 102, 156)),
    13: LabelClass("fence", (190, 153, 153)),
    14: LabelClass("guard rail", (180, 165, 180)),
    15: LabelClass("bridge", (150, 100, 100)),
    16: LabelClass("tunnel", (150, 120, 90)),
    17: LabelClass("pole", (153, 153, 153)),
    18: LabelClass("polegroup", (153, 153, 153)),
    19: LabelClass("traffic light", (250, 170, 30)),
    20: LabelClass("traffic sign", (220, 220, 0)),
    21: LabelClass("vegetation", (107, 142, 35)),
    22: LabelClass("terrain", (152, 251, 152)),
    23: LabelClass("sky", (70, 130, 180)),
    24: LabelClass("person", (220, 20, 60)),
    25: LabelClass("rider", (255, 0, 0)),
    26: LabelClass("car", (0, 0, 142)),
    27: LabelClass("truck", (0, 0, 70)),
    28: LabelClass("bus", (0, 60, 100)),
    29: LabelClass("caravan", (0, 0, 90)),
    30: LabelClass("trailer", (0, 0, 110)),
    31: LabelClass("train", (0, 80, 100)),
    32: LabelClass("motorcycle", (0, 0, 230)),
    33: LabelClass("bicycle", (119, 11, 32)),
}

# In the order of the Cityscapes train ids 0..18.
CITYSCAPES_19: tuple[str, ...] = (
    "road",
    "sidewalk",
    "building",
    "wall",
    "fence",
    "pole",
    "traffic light",
    "traffic sign",
    "vegetation",
    "terrain",
    "sky",
    "person",
    "rider",
    "car",
    "truck",
    "bus",
    "train",
    "motorcycle",
    "bicycle",
)
# The classes that SYNTHIA has, and the same without the three rarest (IntraDA, table 2: 16 and 13 classes).
CITYSCAPES_16 = tuple(name for name in CITYSCAPES_19 if name not in ("terrain", "truck", "train"))
CITYSCAPES_13 = tuple(name for name in CITYSCAPES_16 if name not in ("wall", "fence", "pole"))
# The eleven classes of CamVid, in its order, under their Cityscapes names.
CITYSCAPES_11: tuple[str, ...] = (
    "sky",
    "building",
    "pole",
    "road",
    "sidewalk",
    "vegetation",
    "traffic sign",
    "fence",
    "car",
    "person",
    "bicycle",
)
_OFFICIAL = {entry.name: entry for entry in CITYSCAPES_IDS.values()}


@dataclass(frozen=True)
class ClassSet:
    """The classes to learn; `classes[i]` has train index i. Create it with `class_set`."""

    classes: tuple[LabelClass, ...]

    @property
    def names(self) -> list[str]:
        """The names of the classes, in the order of their indices."""
        return [entry.name for entry in self.classes]

    def __len__(self) -> int:
        return len(self.classes)

    def index(self, name: str) -> int:
        """Return the train index 0..C-1 of the class called `name`. UserError for an unknown name."""
        if name not in self.names:
            raise _unknown("classes", name, self.names)
        return self.names.index(name)

    def palette(self) -> list[int]:
        """Return 768 ints: red, green, blue of the indices 0..255; black for indices without a class."""
        colors = [value for entry in self.classes for value in entry.color]
        return colors + [0] * (768 - len(colors))

    def table(self, names_by_id: Mapping[int, str]) -> np.ndarray:
        """Return the lookup table raw id -> train index or 255, (256,) or (65536,) uint8.

        255 for ids that are not in `names_by_id`, and for Cityscapes classes that are not in this set.
        UserError for any other name, because a spelling mistake would leave its class without pixels.
        """
        table = np.full(256 if max(names_by_id, default=0) < 256 else 65536, IGNORE, np.uint8)
        for raw, name in names_by_id.items():
            if name in self.names:
                table[raw] = self.names.index(name)
            elif name not in _OFFICIAL:
                raise _unknown("mapping to classes", name, [*self.names, *_OFFICIAL])
        return table


def class_set(entries: Sequence[str | Mapping[str, Any]]) -> ClassSet:
    """Return the classes of a params file, in its order.

    An entry is a Cityscapes class name, which has its official colour, or a mapping
    {name, color: [red, green, blue]}. UserError for fewer than 2 or more than 254 entries, an
    unknown name, an invalid colour, and a name or colour that occurs twice.
    """
    allowed = f"a list of 2 to {MAX_CLASSES} classes, each a Cityscapes name or {{name, color}}"
    fix = "fix the `classes` block; the files in presets/ show both forms"
    if isinstance(entries, (str, Mapping)) or not 2 <= len(entries) <= MAX_CLASSES:
        count = "not a list" if isinstance(entries, (str, Mapping)) else f"{len(entries)} entries"
        raise UserError("classes", count, allowed, fix)
    classes = tuple(_label_class(entry) for entry in entries)
    for what, values in (
        ("name", [entry.name for entry in classes]),
        ("colour", [str(entry.color) for entry in classes]),
    ):
        if twice := sorted({value for value in values if values.count(value) > 1}):
            raise UserError("classes", f"the {what} {', '.join(twice)} twice", f"each {what} once", fix)
    return ClassSet(classes)


def published_subsets(classes: ClassSet) -> dict[int, list[int]]:
    """Return number of classes -> their indices, for each class set of published tables within `classes`.

    19: Cityscapes. 16 and 13: papers on SYNTHIA, which lacks terrain, truck and train, and where wall, fence
    and pole are rare (IntraDA, section 4.2).
    """
    sets = (CITYSCAPES_19, CITYSCAPES_16, CITYSCAPES_13)
    subsets = [names for names in sets if set(names) <= set(classes.names)]
    return {len(names): [classes.index(name) for name in names] for names in subsets}


def _label_class(entry: str | Mapping[str, Any]) -> LabelClass:
    fix = "fix this entry of the `classes` block"
    if isinstance(entry, str):
        if entry not in _OFFICIAL:
            raise _unknown("classes", entry, list(_OFFICIAL))
        return _OFFICIAL[entry]
    if not isinstance(entry, Mapping) or set(entry) != {"name", "color"}:
        allowed = "a Cityscapes name, or a mapping with exactly the keys name and color"
        raise UserError("classes", repr(entry), allowed, fix)
    name, color = entry["name"], entry["color"]
    if not isinstance(name, str) or not name.isprintable() or name != name.strip() or not name:
        raise UserError("classes", f"the name {name!r}", "printable text without spaces around it", fix)
    return LabelClass(name, parse_color("classes", color))


def parse_color(where: str, color: object) -> tuple[int, int, int]:
    """Return [red, green, blue] of a params file as a tuple. UserError unless these are three ints 0..255."""
    if isinstance(color, Sequence) and len(color) == 3 and all(type(value) is int for value in color):
        red, green, blue = color
        if all(0 <= value <= 255 for value in color):
            return red, green, blue
    allowed = "three whole numbers from 0 to 255: [red, green, blue]"
    raise UserError(where, f"the colour {color!r}", allowed, "fix this colour")


def _unknown(where: str, name: str, known: Sequence[str]) -> UserError:
    near = difflib.get_close_matches(str(name).lower(), known, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    fix = hint + "Spell it as listed, or define a class of your own as {name, color} in `classes`"
    return UserError(where, f"the unknown class {name!r}", ", ".join(known), fix)


def labelled(labels: Any, num_classes: int) -> Any:
    """Return the mask of labelled pixels: True where `labels` is in 0..num_classes-1.

    labels: integer array or tensor of any shape. The mask is a bool array or tensor of the same shape.
    """
    return (labels >= 0) & (labels < num_classes)
