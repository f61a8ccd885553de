"""Write figures as PNG files, independent of the user's matplotlibrc. The page draws its own: svg.py."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from matplotlib import style
from matplotlib.figure import Figure

from intrada.core import files

Draw = Callable[[], Figure]

DPI = 130
TEXT, MUTED, LINE, BACKGROUND = "#16191d", "#545b64", "#d8dde3", "#ffffff"
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
}


def write_png(path: Path, draw: Draw) -> None:
    """Draw the figure and write it as a PNG; the same figure gives the same bytes."""
    with style.context(["default", STYLE]), files.atomic_file(path) as temporary:
        # by default matplotlib writes its version into the file
        draw().savefig(temporary, format="png", dpi=DPI, metadata={"Software": None})
