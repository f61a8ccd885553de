"""Figures as files and as part of a page: the same look whatever the user's matplotlibrc says.

The figures of the page are SVG drawn by matplotlib, not plotly's: they are sharp on a phone, follow the
page's light or dark colours, need no script and 0.1 MB instead of 5; the numbers stand in sortable tables.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

from matplotlib import style
from matplotlib.figure import Figure

from intrada.core import files

Draw = Callable[[], Figure]

DPI = 130
INK, SOFT, LINE, GROUND = "#1c1e21", "#5b626b", "#d9dde2", "#ffffff"  # the light colours of page.css
DARK = {
    INK: "#e6e8eb",
    SOFT: "#a3abb5",
    LINE: "#3a4048",
    GROUND: "#16181b",
}  # and in their place its dark ones
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


def addresses(draw: Draw) -> tuple[str, str]:
    """The figure as SVG in light and in dark colours, each as an address that holds its bytes.

    An image can neither run a script nor touch the page, whatever a class is called.
    """
    page = io.StringIO()
    with style.context(["default", STYLE]):
        draw().savefig(page, format="svg", metadata={"Date": None, "Creator": None})
    light = dark = page.getvalue()
    for color, instead in DARK.items():
        dark = dark.replace(color, instead)
    return _address(light), _address(dark)


def _address(svg: str) -> str:
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode()
