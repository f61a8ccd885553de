"""The canvas and the camera of the toy city.

Night and fog change an image systematically. If hard images only had more noise, step 3 of IntraDA could not
learn anything from them.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from intrada.data.datasets.toycity_look import (
    BUILDING,
    FENCE,
    ROAD,
    SIDEWALK,
    SKY,
    VEGETATION,
    Color,
    Domain,
    Weather,
)

Floats = NDArray[np.float32]
Bytes = NDArray[np.uint8]

SURFACES = (ROAD, SIDEWALK, SKY)  # large surfaces have half the jitter, so that they can be told apart
TEXTURE = {ROAD: 5, SIDEWALK: 6, BUILDING: 8, FENCE: 7, VEGETATION: 18, SKY: 2}  # sigma; others 4
DARKEST = 0.46  # fraction of the light that is lost at severity 1
FOG_COLOR = 195.0
FOG_NEAR, FOG_FAR = 0.12, 0.74  # weight of FOG_COLOR at severity 1, for the nearest and the farthest pixels
NIGHT_NOISE = 2.0  # factor on the sensor's noise at severity 1


class Canvas:
    """Three images drawn together at twice the final size: colour (BGR), label id, nearness (0..1)."""

    def __init__(self, rng: np.random.Generator, domain: Domain, size: tuple[int, int]) -> None:
        self.rng, self.domain = rng, domain
        self.width, self.height = 2 * size[0], 2 * size[1]
        self.image: Floats = np.zeros((self.height, self.width, 3), np.float32)
        self.label: Bytes = np.zeros((self.height, self.width), np.uint8)
        self.near: Floats = np.zeros((self.height, self.width), np.float32)
        self.lamps: list[tuple[float, float, float]] = []  # x, y, radius in pixels; they are lit at night

    def color(self, key: int) -> Color:
        """Draw the colour of an instance: one of the colours of class `key` plus the domain's jitter."""
        bases = self.domain.palette[key]
        base = np.asarray(bases[int(self.rng.integers(len(bases)))])
        sigma = self.domain.color_jitter * (0.5 if key in SURFACES else 1.0)
        return tuple((base + self.rng.normal(0, sigma, 3)).tolist())

    def polygon(self, key: int, points: list[tuple[float, float]], color: Color, near: float) -> None:
        """Fill the polygon with these (x, y) corners."""
        corners = np.round(np.asarray(points)).astype(np.int32)
        cv2.fillPoly(self.image, [corners], color)
        cv2.fillPoly(self.label, [corners], (key,))
        cv2.fillPoly(self.near, [corners], (near,))

    def box(self, key: int, x: float, y: float, w: float, h: float, color: Color, near: float) -> None:
        """Fill a rectangle with the upper left corner (x, y), at least one pixel wide and high."""
        left, top = round(x), round(y)
        right, bottom = left + max(1, round(w)) - 1, top + max(1, round(h)) - 1
        self.polygon(key, [(left, top), (right, top), (right, bottom), (left, bottom)], color, near)

    def ellipse(self, key: int, x: float, y: float, w: float, h: float, color: Color, near: float) -> None:
        """Fill an ellipse with the centre (x, y) and the semi-axes w and h."""
        centre, axes = (round(x), round(y)), (max(1, round(w)), max(1, round(h)))
        cv2.ellipse(self.image, centre, axes, 0, 0, 360, color, -1)
        cv2.ellipse(self.label, centre, axes, 0, 0, 360, (key,), -1)
        cv2.ellipse(self.near, centre, axes, 0, 0, 360, (near,), -1)

    def sky(self, horizon: float) -> None:
        """Fill the canvas with sky, lighter towards the horizon, and the domain's clouds."""
        color = np.asarray(self.color(SKY), np.float32)
        down = np.clip(np.arange(self.height) / horizon, 0, 1).astype(np.float32)[:, None, None]
        self.image[:] = color * (0.85 + 0.2 * down)
        cloud = self.rng.random((4, 6)).astype(np.float32)
        cover = cv2.resize(cloud, (self.width, self.height), interpolation=cv2.INTER_CUBIC)
        weight = self.domain.clouds * np.clip(cover, 0, 1)[:, :, None]
        self.image += weight * (np.float32(200.0) - self.image)
        self.label[:] = SKY


class Street:
    """The perspective of the street. `near` is 0 at the horizon and 1 at the lower edge of the image."""

    def __init__(self, canvas: Canvas) -> None:
        rng, width, height = canvas.rng, canvas.width, canvas.height
        self.horizon = height * rng.uniform(0.36, 0.48)
        self.depth = height - self.horizon
        self.vanish = width * rng.uniform(0.36, 0.64)
        self.left = width * rng.uniform(-0.1, 0.25)
        self.right = width * rng.uniform(0.75, 1.1)
        # (near, x) of the line where the pavement meets the houses, at the left and right image edge
        self.walls = ((rng.uniform(0.15, 0.4), 0.0), (rng.uniform(0.15, 0.4), float(width)))

    def y(self, near: float) -> float:
        """Return y of the ground at nearness `near`; `near` = 0 is the horizon."""
        return float(self.horizon + near * self.depth)

    def kerb(self, side: int, near: float) -> float:
        """Return x of the edge of the road; side 0 is left, 1 is right."""
        goal = self.right if side else self.left
        return float(self.vanish + near * (goal - self.vanish))

    def wall(self, side: int, near: float) -> float:
        """Return x of the line of houses; outside the image for large `near`."""
        at, x = self.walls[side]
        return float(self.vanish + near / at * (x - self.vanish))


def photograph(canvas: Canvas, weather: Weather) -> Bytes:
    """Return the final image (H, W, 3) uint8 BGR, half the size of the canvas, with texture and weather."""
    rng, domain = canvas.rng, canvas.domain
    _texture(canvas)
    (_night if weather.condition == "night" else _fog)(canvas, weather.severity)
    image = cv2.resize(canvas.image, (canvas.width // 2, canvas.height // 2), interpolation=cv2.INTER_AREA)
    if domain.blur:
        image = cv2.GaussianBlur(image, (0, 0), domain.blur)
    image = (image - 128) * domain.contrast + 128 + np.asarray(domain.cast, np.float32)
    dark = weather.severity if weather.condition == "night" else 0.0
    noise = domain.noise * (1 + (NIGHT_NOISE - 1) * dark)
    image += np.float32(noise) * rng.standard_normal(image.shape, np.float32)
    finished: Bytes = np.clip(np.rint(image), 0, 255).astype(np.uint8)
    return finished


def _texture(canvas: Canvas) -> None:
    """Add grey noise: half per pixel, half in patches of four pixels."""
    sigma = np.full(256, 4.0, np.float32)
    for key, value in TEXTURE.items():
        sigma[key] = value
    fine = canvas.rng.standard_normal((canvas.height, canvas.width), np.float32)
    patches = canvas.rng.standard_normal((canvas.height // 4 + 1, canvas.width // 4 + 1), np.float32)
    coarse = cv2.resize(patches, (canvas.width, canvas.height), interpolation=cv2.INTER_LINEAR)
    canvas.image += (canvas.domain.texture * sigma[canvas.label] * (0.5 * fine + 0.5 * coarse))[:, :, None]


def _night(canvas: Canvas, dark: float) -> None:
    """Darken by the factor 1 - DARKEST * dark, tint blue, and draw the light of street lamps and cars."""
    canvas.image *= np.float32(1 - DARKEST * dark)
    canvas.image += np.float32(dark) * np.asarray((14, 2, -8), np.float32)
    ys, xs = np.mgrid[: canvas.height, : canvas.width].astype(np.float32)
    for x, y, radius in canvas.lamps:
        distance = ((xs - np.float32(x)) ** 2 + (ys - np.float32(y)) ** 2) / np.float32(radius**2 + 1)
        glow = np.float32(110 * dark) / (1 + distance) ** 2
        canvas.image += glow[:, :, None] * np.asarray((0.6, 0.85, 1.0), np.float32)


def _fog(canvas: Canvas, thick: float) -> None:
    """Blend with FOG_COLOR; the weight grows with the distance."""
    near = cv2.GaussianBlur(canvas.near, (0, 0), 2.0)
    weight = np.float32(thick) * (np.float32(FOG_NEAR) + np.float32(FOG_FAR - FOG_NEAR) * (1 - near) ** 2)
    canvas.image += weight[:, :, None] * (np.float32(FOG_COLOR) - canvas.image)
