"""The scenes of the toy city: the objects in a street and their positions. The entry point is `draw`.

The layout is the same for every domain and weather, except that severe weather has 1.5 times as many persons.
If a class were mostly in hard images, the entropy ranking (step 2 of IntraDA) would select few of its pixels,
because of the data and not because of the method.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from intrada.data.datasets.toycity_canvas import Bytes, Canvas, Street, photograph
from intrada.data.datasets.toycity_look import (
    BICYCLE,
    BUILDING,
    CAR,
    FENCE,
    PERSON,
    POLE,
    ROAD,
    SIDEWALK,
    SIGN,
    VEGETATION,
    Color,
    Domain,
    Weather,
)

MEAN_OBJECTS = 1.7  # the numbers of cars, of persons and of poles are 1 + Poisson(MEAN_OBJECTS)
SEVERE = 0.5  # above this severity there are MORE_PERSONS times as many persons
MORE_PERSONS = 1.5

Object = Callable[[Canvas, Street, float], None]  # draws one object standing at nearness `near`


def draw(
    rng: np.random.Generator, domain: Domain, weather: Weather, size: tuple[int, int]
) -> tuple[Bytes, Bytes]:
    """Return an image (H, W, 3) uint8 BGR and its label ids (H, W) uint8; size = (width, height)."""
    canvas = Canvas(rng, domain, size)
    street = Street(canvas)
    _backdrop(canvas, street)
    _ground(canvas, street)
    for side in (0, 1):
        if rng.random() < 0.6:
            _fence(canvas, street, side)
    _objects(canvas, street, weather)
    return photograph(canvas, weather), np.ascontiguousarray(canvas.label[1::2, 1::2])


def _backdrop(canvas: Canvas, street: Street) -> None:
    rng = canvas.rng
    canvas.sky(street.horizon)
    for side in (0, 1):
        edges = np.sort(rng.uniform(0.12, 1.0, int(rng.integers(3, 6))))
        for inner, outer in zip(np.concatenate([[0.05], edges[:-1]]), edges, strict=True):
            if rng.random() < 0.75:
                _house(canvas, street, side, float(inner), float(outer))
            for _ in range(int(rng.integers(0, 3))):
                _tree(canvas, street, side, float(rng.uniform(inner, outer)))


def _across(canvas: Canvas, street: Street, side: int, share: float) -> float:
    """Return x between the vanishing point (share 0) and the edge of the image (share 1)."""
    return float(street.vanish + share * (side * canvas.width - street.vanish))


def _house(canvas: Canvas, street: Street, side: int, inner: float, outer: float) -> None:
    rng = canvas.rng
    x, to = sorted(_across(canvas, street, side, share) for share in (inner, outer))
    top = street.horizon - canvas.height * (0.05 + 0.42 * outer * rng.uniform(0.5, 1.15))
    near, color = 0.45 * outer, canvas.color(BUILDING)
    canvas.box(BUILDING, x, top, to - x + 1, canvas.height - top, color, near)
    lit = rng.uniform(-45, 30)
    pane: Color = (color[0] + lit, color[1] + lit, color[2] + lit)
    step = max(6.0, canvas.height * 0.11 * outer)
    for pane_y in np.arange(top + 0.3 * step, street.y(0.3 * outer), step):
        for pane_x in np.arange(x + 0.3 * step, to - 0.5 * step, step):
            canvas.box(BUILDING, pane_x, pane_y, 0.45 * step, 0.5 * step, pane, near)


def _tree(canvas: Canvas, street: Street, side: int, share: float) -> None:
    rng, x, near = canvas.rng, _across(canvas, street, side, share), 0.5 * share
    radius = canvas.height * (0.03 + 0.15 * share * rng.uniform(0.6, 1.2))
    y = street.horizon - radius * rng.uniform(0.0, 1.2)
    canvas.box(VEGETATION, x - 0.12 * radius, y, 0.24 * radius, canvas.height - y, (40, 60, 75), near)
    for _ in range(4):
        dx, dy = rng.uniform(-0.7, 0.7, 2) * radius
        w, h = rng.uniform(0.5, 0.9, 2) * radius
        canvas.ellipse(VEGETATION, x + dx, y + dy, w, h, canvas.color(VEGETATION), near)


def _ground(canvas: Canvas, street: Street) -> None:
    width, bottom, horizon = canvas.width, canvas.height, street.horizon
    vanish = (street.vanish, horizon)
    pavement = canvas.color(SIDEWALK)
    for near, x in street.walls:
        corners = [vanish, (x, street.y(near)), (x, bottom), (street.vanish, bottom)]
        canvas.polygon(SIDEWALK, corners, pavement, 0.0)
    _joints(canvas, street, pavement)
    road = canvas.color(ROAD)
    canvas.polygon(ROAD, [vanish, (street.right, bottom), (street.left, bottom)], road, 0.0)
    paint = (road[0] + 90, road[1] + 90, road[2] + 90)
    middle, slim = (street.left + street.right) / 2, 0.012 * width
    for near in np.arange(canvas.rng.uniform(0.1, 0.3), 1.0, 0.3):
        dash = []
        for at, sign in ((near, -1), (near, 1), (near + 0.14, 1), (near + 0.14, -1)):
            dash.append((street.vanish + at * (middle + sign * slim - street.vanish), street.y(at)))
        canvas.polygon(ROAD, dash, paint, 0.0)
    rows = np.clip((np.arange(bottom) - horizon) / street.depth, 0, 1).astype(np.float32)
    ground = (canvas.label == ROAD) | (canvas.label == SIDEWALK)
    canvas.near[ground] = np.broadcast_to(rows[:, None], ground.shape)[ground]


def _joints(canvas: Canvas, street: Street, pavement: Color) -> None:
    """Draw the lines between the slabs of the pavement, which distinguish it from the road."""
    dark = tuple(value - 35 for value in pavement)
    for near in 0.08 * 1.25 ** np.arange(12):
        y, thick = street.y(near), max(1.0, 0.025 * near * street.depth)
        for side in (0, 1):
            kerb, wall = street.kerb(side, near), street.wall(side, near)
            canvas.box(SIDEWALK, min(kerb, wall), y, abs(wall - kerb), thick, dark, 0.0)


def _fence(canvas: Canvas, street: Street, side: int) -> None:
    rng = canvas.rng
    start = rng.uniform(0.08, 0.25)
    nears = np.linspace(start, start + rng.uniform(0.25, 0.6), 12)
    stand = rng.uniform(0.15, 0.6)  # 0 at the kerb, 1 at the house line
    color, tall = canvas.color(FENCE), rng.uniform(0.3, 0.42)
    dark = (color[0] - 45, color[1] - 45, color[2] - 45)

    def foot(near: float) -> tuple[float, float]:
        kerb, wall = street.kerb(side, near), street.wall(side, near)
        return kerb + stand * (wall - kerb), street.y(near)

    for near, far in zip(nears[1:], nears[:-1], strict=True):
        (x, y), (far_x, far_y) = foot(float(near)), foot(float(far))
        up, far_up = tall * near * street.depth, tall * far * street.depth
        quad = [(x, y), (far_x, far_y), (far_x, far_y - far_up), (x, y - up)]
        canvas.polygon(FENCE, quad, color, float(near))
        post = max(2.0, 0.03 * near * street.depth)
        canvas.box(FENCE, x - post / 2, y - up, post, up, dark, float(near))


def _objects(canvas: Canvas, street: Street, weather: Weather) -> None:
    """Draw cars, persons, poles with signs and bicycles, from far to near."""
    rng = canvas.rng
    persons = 1 + rng.poisson(MEAN_OBJECTS)
    if weather.severity > SEVERE:
        persons = round(persons * MORE_PERSONS)
    counts: dict[Object, int] = {
        _car: 1 + rng.poisson(MEAN_OBJECTS),
        _person: persons,
        _pole: 1 + rng.poisson(MEAN_OBJECTS),
        _bicycle: rng.poisson(MEAN_OBJECTS),
    }
    queue: list[tuple[float, Object]] = []
    for paint, count in counts.items():
        queue += [(float(rng.uniform(0.22, 0.95)), paint) for _ in range(count)]
    for near, paint in sorted(queue, key=lambda entry: entry[0]):
        paint(canvas, street, near)


def _on_road(canvas: Canvas, street: Street, near: float, margin: float) -> float:
    share = canvas.rng.uniform(margin, 1 - margin)
    left, right = street.kerb(0, near), street.kerb(1, near)
    return float(left + share * (right - left))


def _on_pavement(canvas: Canvas, street: Street, near: float, furthest: float) -> float:
    side = int(canvas.rng.integers(2))
    kerb, wall = street.kerb(side, near), street.wall(side, near)
    x = kerb + canvas.rng.uniform(0.0, furthest) * (wall - kerb)
    return float(np.clip(x, 0.02 * canvas.width, 0.98 * canvas.width))


def _car(canvas: Canvas, street: Street, near: float) -> None:
    rng, unit, y = canvas.rng, near * street.depth, street.y(near)
    x = _on_road(canvas, street, near, 0.12)
    w, h, color = unit * rng.uniform(0.55, 0.85), unit * rng.uniform(0.36, 0.46), canvas.color(CAR)
    roof = [
        (x - 0.32 * w, y - h),
        (x + 0.32 * w, y - h),
        (x + 0.42 * w, y - h / 2),
        (x - 0.42 * w, y - h / 2),
    ]
    canvas.polygon(CAR, roof, color, near)
    canvas.box(CAR, x - 0.26 * w, y - 0.9 * h, 0.52 * w, 0.34 * h, (70, 60, 50), near)
    canvas.box(CAR, x - 0.5 * w, y - 0.58 * h, w, 0.46 * h, color, near)
    for end in (-0.36, 0.36):
        canvas.ellipse(CAR, x + end * w, y - 0.12 * h, 0.12 * h + 1, 0.14 * h, (25, 25, 25), near)
        canvas.lamps.append((x + end * w, y - 0.4 * h, 0.16 * unit))


def _person(canvas: Canvas, street: Street, near: float) -> None:
    rng, unit, y = canvas.rng, near * street.depth, street.y(near)
    if rng.random() < 0.3:
        x = _on_road(canvas, street, near, 0.05)
    else:
        x = _on_pavement(canvas, street, near, 0.8)
    h = unit * rng.uniform(0.6, 0.75)
    w = 0.3 * h
    legs = canvas.color(PERSON)
    canvas.box(PERSON, x - 0.35 * w, y - 0.45 * h, 0.7 * w, 0.45 * h, tuple(0.6 * c for c in legs), near)
    canvas.box(PERSON, x - 0.5 * w, y - 0.82 * h, w, 0.42 * h, canvas.color(PERSON), near)
    canvas.ellipse(PERSON, x, y - 0.9 * h, 0.09 * h, 0.11 * h, (130, 160, 200), near)


def _pole(canvas: Canvas, street: Street, near: float) -> None:
    rng, unit, y = canvas.rng, near * street.depth, street.y(near)
    x, h = _on_pavement(canvas, street, near, 0.25), unit * rng.uniform(1.1, 1.7)
    w = max(4.0, 0.09 * unit)
    canvas.box(POLE, x - w / 2, y - h, w, h, canvas.color(POLE), near)
    if rng.random() < 0.65:
        color, r = canvas.color(SIGN), max(3.0, unit * rng.uniform(0.12, 0.18))
        kind, top = int(rng.integers(3)), y - h * rng.uniform(0.8, 1.0)
        if kind == 0:
            canvas.ellipse(SIGN, x, top, r, r, color, near)
        elif kind == 1:
            canvas.box(SIGN, x - r, top - r, 2 * r, 2 * r, color, near)
        else:
            canvas.polygon(SIGN, [(x - 1.2 * r, top + r), (x + 1.2 * r, top + r), (x, top - r)], color, near)
    else:
        canvas.lamps.append((x, y - h, 0.35 * unit))


def _bicycle(canvas: Canvas, street: Street, near: float) -> None:
    rng, unit, y = canvas.rng, near * street.depth, street.y(near)
    on_road = rng.random() < 0.5
    x = _on_road(canvas, street, near, 0.1) if on_road else _on_pavement(canvas, street, near, 0.5)
    r, color = unit * rng.uniform(0.13, 0.17), canvas.color(BICYCLE)
    spokes = tuple(value + 60 for value in color)
    for end in (-1.35, 1.35):
        canvas.ellipse(BICYCLE, x + end * r, y - r, r, r, color, near)
        canvas.ellipse(BICYCLE, x + end * r, y - r, 0.5 * r, 0.5 * r, spokes, near)
    frame = [
        (x - 1.35 * r, y - 0.8 * r),
        (x - 0.6 * r, y - 2.1 * r),
        (x + r, y - 2.1 * r),
        (x + 1.35 * r, y - r),
    ]
    canvas.polygon(BICYCLE, frame, color, near)
