"""The appearance of the toy city: classes, palettes and cameras of source and target, and the weather."""

from __future__ import annotations

from dataclasses import dataclass

# Cityscapes label ids, which GTA5 shares (the 11 classes of CamVid)
ROAD, SIDEWALK, BUILDING, FENCE, POLE, SIGN = 7, 8, 11, 13, 17, 20
VEGETATION, SKY, PERSON, CAR, BICYCLE = 21, 23, 24, 26, 33

Color = tuple[float, ...]  # blue, green, red in 0..255


@dataclass(frozen=True)
class Domain:
    """The appearance of a domain. Colours are BGR in 0..255; sigmas are in the same unit."""

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
    """The weather: condition "night" or "fog", and its severity 0..1, where 0 is a clear day."""

    severity: float = 0.0
    condition: str = "fog"


PALETTE: dict[int, tuple[Color, ...]] = {
    ROAD: ((72, 68, 70),),
    SIDEWALK: ((190, 155, 205),),
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
    ROAD: (88, 88, 88),
    SIDEWALK: (172, 172, 178),
    BUILDING: (110, 130, 150),
    FENCE: (120, 125, 125),
    POLE: (115, 115, 115),
    SIGN: (120, 120, 150),
    VEGETATION: (75, 100, 85),
    SKY: (235, 215, 165),
    PERSON: (85, 80, 95),
    CAR: (100, 95, 95),
    BICYCLE: (80, 80, 85),
}
SHIFT = 0.55  # weight of GREYISH in the target's palette
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
    clouds=0.3,
    blur=0.45,
    noise=3.0,
)
