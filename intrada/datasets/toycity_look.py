"""How the toy city looks: palettes, the canvas, and the camera with its fog, night, blur and noise.

Source and target differ in palette, texture and camera (`SOURCE`, `TARGET`); inside the target a
`Weather` sets how far an image is from the rest. Night and fog change an image systematically; mere
noise as the difficulty leaves step 3 of IntraDA nothing to learn.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

# Cityscapes label ids, which GTA5 shares (the 11 classes of CamVid that the city is made of)
ROAD, SIDEWALK, BUILDING, FENCE, POLE, SIGN = 7, 8, 11, 13, 17, 20
VEGETATION, SKY, PERSON, CAR, BICYCLE = 21, 23, 24, 26, 33

Floats = NDArray[np.float32]
Bytes = NDArray[np.uint8]
Color = tuple[float, ...]  # blue, green, red in 0..255


@dataclass(frozen=True)
class Domain:
    """The look of a data set. Colours are BGR, 0..255; sigmas are in the same unit."""

    palette: dict[int, tuple[Color, ...]]
    color_jitter: float = 14.0  # sigma of each instance's colour
    texture: float = 1.0  # factor on the sigmas of TEXTURE
    contrast: float = 1.0  # factor around mid-grey
    cast: Color = (0.0, 0.0, 0.0)  # added to every pixel
    clouds: float = 0.0  # 0..1, how grey the sky's clouds are
    blur: float = 0.0  # sigma of the lens, pixels of the finished image
    noise: float = 2.0  # sigma of the sensor


@dataclass(frozen=True)
class Weather:
    """severity 0..1 (0 is a clear day) and what it is a severity of: condition "night" or "fog"."""

    severity: float = 0.0
    condition: str = "fog"


PALETTE: dict[int, tuple[Color, ...]] = {
    ROAD: ((92, 88, 90),),
    SIDEWALK: ((165, 130, 190),),
    BUILDING: ((60, 95, 170), (80, 140, 190), (90, 90, 150), (110, 150, 170)),
    FENCE: ((90, 150, 200), (70, 110, 140)),
    POLE: ((130, 135, 130), (110, 120, 140)),
    SIGN: ((40, 40, 220), (210, 90, 30), (30, 210, 235)),
    VEGETATION: ((40, 130, 60), (50, 150, 90), (35, 105, 45)),
    SKY: ((235, 185, 120),),
    PERSON: ((60, 50, 200), (190, 60, 60), (150, 40, 150), (60, 150, 210)),
    CAR: ((180, 40, 30), (40, 40, 190), (60, 180, 200), (200, 200, 205), (50, 45, 45)),
    BICYCLE: ((40, 30, 30), (140, 60, 20), (30, 60, 130)),
}
GREYISH: dict[int, Color] = {
    ROAD: (105, 105, 105),
    SIDEWALK: (160, 160, 165),
    BUILDING: (125, 135, 140),
    FENCE: (120, 125, 125),
    POLE: (115, 115, 115),
    SIGN: (120, 120, 150),
    VEGETATION: (75, 100, 85),
    SKY: (215, 215, 210),
    PERSON: (85, 80, 95),
    CAR: (100, 95, 95),
    BICYCLE: (80, 80, 85),
}
SURFACES = (ROAD, SIDEWALK, SKY)  # large and of one piece: half the jitter, or nothing tells them apart
SHIFT = 0.6  # how far the target's palette lies on the way to the greyish one
SOURCE = Domain(PALETTE)
TARGET = Domain(
    {
        key: tuple(
            tuple(c + SHIFT * (to - c) for c, to in zip(base, GREYISH[key], strict=True)) for base in bases
        )
        for key, bases in PALETTE.items()
    },
    texture=1.6,
    contrast=0.91,
    cast=(4.0, 0.0, -4.0),
    clouds=0.4,
    blur=0.45,
    noise=3.0,
)
TEXTURE = {ROAD: 5, SIDEWALK: 6, BUILDING: 8, FENCE: 7, VEGETATION: 18, SKY: 2}  # sigma; others 4
DARKEST, FOG_COLOR = 0.62, 205.0


class Canvas:
    """Three pictures painted together at twice the final size: colour, label id, nearness 0..1."""

    def __init__(self, rng: np.random.Generator, domain: Domain, size: tuple[int, int]) -> None:
        self.rng, self.domain = rng, domain
        self.width, self.height = 2 * size[0], 2 * size[1]
        self.image: Floats = np.zeros((self.height, self.width, 3), np.float32)
        self.label: Bytes = np.zeros((self.height, self.width), np.uint8)
        self.near: Floats = np.zeros((self.height, self.width), np.float32)
        self.lamps: list[tuple[float, float, float]] = []  # x, y, radius; they shine at night

    def color(self, key: int) -> Color:
        """One instance's colour: one of its class's colours plus the domain's jitter."""
        bases = self.domain.palette[key]
        base = np.asarray(bases[int(self.rng.integers(len(bases)))])
        sigma = self.domain.color_jitter * (0.5 if key in SURFACES else 1.0)
        return tuple((base + self.rng.normal(0, sigma, 3)).tolist())

    def polygon(self, key: int, points: list[tuple[float, float]], color: Color, near: float) -> None:
        corners = np.round(np.asarray(points)).astype(np.int32)
        cv2.fillPoly(self.image, [corners], color)
        cv2.fillPoly(self.label, [corners], (key,))
        cv2.fillPoly(self.near, [corners], (near,))

    def box(self, key: int, x: float, y: float, w: float, h: float, color: Color, near: float) -> None:
        """A rectangle whose upper left corner is (x, y); at least one pixel each way."""
        left, top = round(x), round(y)
        right, bottom = left + max(1, round(w)) - 1, top + max(1, round(h)) - 1
        self.polygon(key, [(left, top), (right, top), (right, bottom), (left, bottom)], color, near)

    def ellipse(self, key: int, x: float, y: float, w: float, h: float, color: Color, near: float) -> None:
        """An ellipse around (x, y) with the half axes w and h."""
        centre, axes = (round(x), round(y)), (max(1, round(w)), max(1, round(h)))
        cv2.ellipse(self.image, centre, axes, 0, 0, 360, color, -1)
        cv2.ellipse(self.label, centre, axes, 0, 0, 360, (key,), -1)
        cv2.ellipse(self.near, centre, axes, 0, 0, 360, (near,), -1)

    def sky(self, horizon: float) -> None:
        """The whole canvas: lighter towards the horizon, with the domain's clouds."""
        color = np.asarray(self.color(SKY), np.float32)
        down = np.clip(np.arange(self.height) / horizon, 0, 1).astype(np.float32)[:, None, None]
        self.image[:] = color * (0.85 + 0.2 * down)
        cloud = self.rng.random((4, 6)).astype(np.float32)
        cover = cv2.resize(cloud, (self.width, self.height), interpolation=cv2.INTER_CUBIC)
        weight = self.domain.clouds * np.clip(cover, 0, 1)[:, :, None]
        self.image += weight * (np.float32(200.0) - self.image)
        self.label[:] = SKY


def photograph(canvas: Canvas, weather: Weather) -> Bytes:
    """The finished image (H, W, 3) uint8 BGR: texture, weather, camera, half the canvas's size."""
    rng, domain = canvas.rng, canvas.domain
    _texture(canvas)
    (_night if weather.condition == "night" else _fog)(canvas, weather.severity)
    image = cv2.resize(canvas.image, (canvas.width // 2, canvas.height // 2), interpolation=cv2.INTER_AREA)
    if domain.blur:
        image = cv2.GaussianBlur(image, (0, 0), domain.blur)
    image = (image - 128) * domain.contrast + 128 + np.asarray(domain.cast, np.float32)
    image += domain.noise * rng.standard_normal(image.shape, np.float32)
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)


def _texture(canvas: Canvas) -> None:
    """Grain, half of it fine and half in patches of four pixels, equal in the three colours."""
    sigma = np.full(256, 4.0, np.float32)
    for key, value in TEXTURE.items():
        sigma[key] = value
    fine = canvas.rng.standard_normal((canvas.height, canvas.width), np.float32)
    coarse = canvas.rng.standard_normal((canvas.height // 4 + 1, canvas.width // 4 + 1), np.float32)
    coarse = cv2.resize(coarse, (canvas.width, canvas.height), interpolation=cv2.INTER_LINEAR)
    canvas.image += (canvas.domain.texture * sigma[canvas.label] * (0.5 * fine + 0.5 * coarse))[:, :, None]


def _night(canvas: Canvas, dark: float) -> None:
    """Dims to 1 - DARKEST * dark, tints blue, and lights the lamps of streets and cars."""
    canvas.image *= np.float32(1 - DARKEST * dark)
    canvas.image += np.float32(dark) * np.asarray((14, 2, -8), np.float32)
    ys, xs = np.mgrid[: canvas.height, : canvas.width].astype(np.float32)
    for x, y, radius in canvas.lamps:
        distance = ((xs - np.float32(x)) ** 2 + (ys - np.float32(y)) ** 2) / np.float32(radius**2 + 1)
        glow = np.float32(110 * dark) / (1 + distance) ** 2
        canvas.image += glow[:, :, None] * np.asarray((0.6, 0.85, 1.0), np.float32)


def _fog(canvas: Canvas, thick: float) -> None:
    """Fades to FOG_COLOR with distance: all but a trace of the farthest at full severity."""
    near = cv2.GaussianBlur(canvas.near, (0, 0), 2.0)
    weight = np.float32(thick) * (np.float32(0.2) + np.float32(0.55) * (1 - near) ** 2)
    canvas.image += weight[:, :, None] * (np.float32(FOG_COLOR) - canvas.image)
