"""Draw small charts as inline SVG. Their colours are CSS variables, so they follow the theme of the page.

matplotlib draws the PNG figures for papers and slides. In the page, a chart is one element instead of two
images: its text has the page's font and can be selected, its marks have tooltips, and it is printed sharply.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape
from matplotlib.ticker import MaxNLocator

LEFT, RIGHT, TOP, BOTTOM = 54, 12, 10, 40  # pixels around the axes
Point = tuple[float, float]


def tag(name: str, *content: object, **attributes: object) -> Markup:
    """Return an element. attributes: `class_` for class; _ in a name becomes "-". Text is escaped."""
    written = Markup("").join(
        Markup(' {}="{}"').format(key.rstrip("_").replace("_", "-"), _text(value))
        for key, value in attributes.items()
        if value is not None
    )
    inside = Markup("").join(escape(part) for part in content)
    return Markup("<{0}{1}>{2}</{0}>").format(Markup(name), written, inside)  # noqa: S704 - a constant


def _text(value: object) -> object:
    return f"{value:.1f}".removesuffix(".0") if isinstance(value, float) else value


@dataclass(frozen=True)
class Axes:
    """The axes of a chart: ranges of the values, labels, and the size in pixels (1 pixel = 1 CSS px).

    x_ticks, y_ticks: values and their texts; None: round numbers.
    """

    x: tuple[float, float]
    y: tuple[float, float]
    x_label: str
    y_label: str
    width: int = 420
    height: int = 280
    y_ticks: Sequence[tuple[float, str]] | None = None

    def at(self, x: float, y: float) -> Point:
        """Return the position of a value in pixels."""
        (left, right), (low, high) = self.x, self.y
        across = (x - left) / (right - left or 1)
        up = (y - low) / (high - low or 1)
        return (
            LEFT + across * (self.width - LEFT - RIGHT),
            self.height - BOTTOM - up * (self.height - TOP - BOTTOM),
        )

    def line(self, points: Iterable[Point], class_: str, title: str = "") -> Markup:
        """Return a line through the values."""
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (self.at(*point) for point in points))
        return tag("polyline", tag("title", title) if title else "", points=path, class_=f"line {class_}")

    def dot(self, point: Point, class_: str, title: str, radius: float = 3.5) -> Markup:
        """Return a dot; `title` is its tooltip."""
        x, y = self.at(*point)
        return tag("circle", tag("title", title), cx=x, cy=y, r=radius, class_=f"dot {class_}")

    def bar(self, left: float, right: float, low: float, high: float, class_: str, title: str) -> Markup:
        """Return a bar between the values `left` and `right` in x, `low` and `high` in y."""
        (x, y), (end, base) = self.at(left, high), self.at(right, low)
        size = {"width": max(0.5, end - x - 1), "height": max(0.0, base - y)}
        return tag("rect", tag("title", title), x=x, y=y, class_=f"bar {class_}", **size)

    def text(
        self, point: Point, text: str, class_: str = "", anchor: str = "middle", up: float = 8
    ) -> Markup:
        """Return a text `up` pixels above the value."""
        x, y = self.at(*point)
        return tag("text", text, x=x, y=y - up, text_anchor=anchor, class_=class_ or None)

    def chart(self, label: str, *marks: Markup) -> Markup:
        """Return the whole SVG element. label: what the chart shows, for a screen reader."""
        inside = [self._grid(), *marks]
        view = f"0 0 {self.width} {self.height}"
        return tag("svg", *inside, viewBox=view, class_="chart", role="img", aria_label=label)

    def _grid(self) -> Markup:
        bottom, right = self.height - BOTTOM, self.width - RIGHT
        marks = []
        for value in ticks(*self.x, 6 if self.width > 350 else 4):
            x, _ = self.at(value, self.y[0])
            marks.append(tag("text", number(value), x=x, y=bottom + 16, text_anchor="middle"))
        rows = [(value, number(value)) for value in ticks(*self.y)] if self.y_ticks is None else self.y_ticks
        for value, text in rows:
            _, y = self.at(self.x[0], value)
            marks.append(tag("line", x1=LEFT, x2=right, y1=y, y2=y, class_="grid"))
            marks.append(tag("text", text, x=LEFT - 6, y=y + 4, text_anchor="end"))
        marks.append(tag("line", x1=LEFT, x2=right, y1=bottom, y2=bottom, class_="axis"))
        marks.append(tag("text", self.x_label, x=(LEFT + right) / 2, y=self.height - 6, text_anchor="middle"))
        middle = (TOP + bottom) / 2
        turned = f"rotate(-90 11 {middle:.0f})"
        marks.append(tag("text", self.y_label, x=11, y=middle, text_anchor="middle", transform=turned))
        return tag("g", *marks, class_="axes")


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Return up to `count` + 1 round values within a range."""
    found = MaxNLocator(count, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)
    slack = 1e-9 * (high - low)
    return [float(value) for value in found if low - slack <= value <= high + slack]


def number(value: float) -> str:
    """Return a tick's text, without needless zeros: 0.25, 40, 1500."""
    return f"{round(value, 6):g}" if abs(value) < 1e5 else f"{value:.3g}"


def span(values: Iterable[float], pad: float = 0.05) -> tuple[float, float]:
    """Return the range of the values with some space around it; (0, 1) without values."""
    found = [float(value) for value in values]
    if not found:
        return 0.0, 1.0
    space = pad * (max(found) - min(found)) or 0.5
    return min(found) - space, max(found) + space
