"""Figures as files and as part of a page: the same look whatever the user's matplotlibrc says.

The figures of the page are SVG drawn by matplotlib, not plotly's: they are sharp on a phone, follow the
page's light or dark colours, need no script and 0.1 MB instead of 5; the numbers stand in sortable tables.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from matplotlib import style
from matplotlib.figure import Figure

from intrada import files

Draw = Callable[[], Figure]

DPI = 130
# the light colours of page.css, in whose place the page puts its variables
INK, SOFT, LINE, GROUND = "#1c1e21", "#5b626b", "#d9dde2", "#ffffff"
VARIABLES = {INK: "--ink", SOFT: "--soft", LINE: "--line", GROUND: "--ground"}
STYLE: dict[str, Any] = {
    "font.size": 9.5,
    "text.color": INK,
    "axes.labelcolor": INK,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.titlesize": 10.5,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": SOFT,
    "axes.facecolor": GROUND,
    "figure.facecolor": GROUND,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": LINE,
    "legend.frameon": False,
    "text.parse_math": False,  # a class may be called "$"
    "svg.fonttype": "path",  # no reader has the font
    "svg.hashsalt": "intrada",  # ids that are the same in every run
}


def write_png(path: Path, draw: Draw) -> None:
    """Draw and save a PNG, the same bytes each time."""
    with style.context(["default", STYLE]), files.atomic_file(path) as temporary:
        # matplotlib signs its files with its version unless told not to
        draw().savefig(temporary, format="png", dpi=DPI, metadata={"Software": None})


def svg(name: str, draw: Draw) -> str:
    """The figure as an `<svg>` to stand in a page: in the page's colours, with ids of its own by `name`."""
    page = io.StringIO()
    with style.context(["default", STYLE]):
        draw().savefig(page, format="svg", metadata={"Date": None, "Creator": None})
    text = page.getvalue()
    text = re.sub(r"<!--.*?-->|<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.S)
    text = re.sub(r' xmlns(:\w+)?="[^"]*"', "", text)
    text = re.sub(r' (width|height)="[\d.]+pt"', "", text, count=2)
    text = re.sub(r'( id="|href="#|url\(#)', rf"\g<1>{name}-", text)
    for color, variable in VARIABLES.items():
        text = text.replace(color, f"var({variable})")
    return text.replace("<svg ", '<svg aria-hidden="true" ', 1).strip()
