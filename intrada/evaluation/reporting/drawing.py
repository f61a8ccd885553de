"""Write figures as PNG files and as data URLs of a page, independent of the user's matplotlibrc.

The page holds SVG figures of matplotlib instead of plotly figures. They are sharp on a phone, follow the
page's light or dark theme, and need 0.1 MB instead of 5 MB and no script. Their numbers are also in tables.
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
TEXT, MUTED, LINE, BACKGROUND = "#1c1e21", "#5b626b", "#d9dde2", "#ffffff"  # light theme of page.css
DARK = {TEXT: "#e6e8eb", MUTED: "#a3abb5", LINE: "#3a4048", BACKGROUND: "#16181b"}  # its dark theme
STYLE: dict[str, Any] = {
    "font.size": 9.5,
    "text.color": TEXT,
    "axes.labelcolor": TEXT,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": TEXT,
    "ytick.labelcolor": TEXT,
    "axes.titlecolor": TEXT,
    "axes.titlesize": 10.5,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": MUTED,
    "axes.facecolor": BACKGROUND,
    "figure.facecolor": BACKGROUND,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": LINE,
    "legend.frameon": False,
    "text.parse_math": False,  # a class name may contain "$"
    "svg.fonttype": "path",  # the reader may not have the font
    "svg.hashsalt": "intrada",  # the same ids in every run
}


def write_png(path: Path, draw: Draw) -> None:
    """Draw the figure and write it as a PNG; the same figure gives the same bytes."""
    with style.context(["default", STYLE]), files.atomic_file(path) as temporary:
        # by default matplotlib writes its version into the file
        draw().savefig(temporary, format="png", dpi=DPI, metadata={"Software": None})


def data_urls(draw: Draw) -> tuple[str, str]:
    """Return the figure as SVG in light and in dark colours, each as a data URL.

    The page shows them as <img>, where an SVG can neither run a script nor change the page, so that a class
    name cannot inject markup.
    """
    svg = io.StringIO()
    with style.context(["default", STYLE]):
        draw().savefig(svg, format="svg", metadata={"Date": None, "Creator": None})
    light = dark = svg.getvalue()
    for color, replacement in DARK.items():
        dark = dark.replace(color, replacement)
    return _data_url(light), _data_url(dark)


def _data_url(svg: str) -> str:
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode()
