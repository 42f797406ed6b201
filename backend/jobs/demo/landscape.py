"""What lies around a place, drawn by code: the light of an hour, sky, hills, water and trees. Pure.

Everything is drawn at twice its size and scaled down at the end, which makes the edges smooth. Coordinates are parts
of the picture: (0, 0) is the upper left corner, (1, 1) the lower right one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

import PIL.Image
from PIL import ImageDraw, ImageOps

WIDTH, HEIGHT = 840, 560
"""The size of a finished picture, in pixels."""

SCALE = 2

Colour = tuple[int, int, int]
Point = tuple[float, float]

WHITE: Colour = (255, 252, 245)
DARK: Colour = (52, 50, 56)


def mix(one: Colour, other: Colour, part: float) -> Colour:
    """``one`` with ``part`` (0 to 1) of ``other`` in it."""
    red, green, blue = (round(a + (b - a) * part) for a, b in zip(one, other, strict=True))
    return red, green, blue


@dataclass(frozen=True, slots=True)
class Light:
    """The colours of an hour: of the sky above and at the horizon, of the sun, and a tint over all that it shines on."""

    above: Colour
    horizon: Colour
    sun: Colour
    tint: Colour
    strength: float = 0.0

    def on(self, colour: Colour) -> Colour:
        """``colour`` as it looks in this light."""
        return mix(colour, self.tint, self.strength)


MORNING = Light((139, 187, 222), (253, 226, 205), (255, 240, 205), (255, 214, 190), 0.12)
NOON = Light((74, 150, 214), (203, 230, 244), (255, 250, 224), (255, 255, 255))
GOLDEN = Light((99, 137, 190), (255, 205, 138), (255, 233, 168), (255, 176, 96), 0.2)
DUSK = Light((56, 60, 112), (240, 146, 122), (255, 190, 140), (70, 60, 120), 0.34)
LIGHTS = (MORNING, NOON, NOON, GOLDEN, DUSK)


class Canvas:
    """A picture that is being drawn, ``scale`` times as large as it ends."""

    def __init__(self, scale: int = SCALE) -> None:
        self.scale = scale
        self.size = (WIDTH * scale, HEIGHT * scale)
        self.image = PIL.Image.new("RGB", self.size)
        self.draw = ImageDraw.Draw(self.image)

    def _at(self, point: Point) -> Point:
        return point[0] * self.size[0], point[1] * self.size[1]

    def area(self, points: Sequence[Point], colour: Colour) -> None:
        """A filled polygon."""
        self.draw.polygon([self._at(point) for point in points], fill=colour)

    def box(self, left: float, top: float, right: float, bottom: float, colour: Colour) -> None:
        """A filled rectangle."""
        self.draw.rectangle([self._at((left, top)), self._at((right, bottom))], fill=colour)

    def soft_box(
        self, left: float, top: float, right: float, bottom: float, colour: Colour, radius: float = 0.015
    ) -> None:
        """A filled rectangle with round corners."""
        corners = [self._at((left, top)), self._at((right, bottom))]
        self.draw.rounded_rectangle(corners, radius * self.size[0], fill=colour)

    def disc(self, x: float, y: float, radius: float, colour: Colour, flat: float = 1.0) -> None:
        """A filled circle of ``radius`` parts of the width; ``flat`` presses it from above."""
        across, down = self._at((x, y))
        wide = radius * self.size[0]
        high = wide * flat
        self.draw.ellipse([across - wide, down - high, across + wide, down + high], fill=colour)

    def line(self, points: Sequence[Point], colour: Colour, width: float) -> None:
        """A line of ``width`` parts of the picture's width."""
        thick = max(1, round(width * self.size[0]))
        self.draw.line([self._at(point) for point in points], fill=colour, width=thick, joint="curve")

    def fade(self, top: float, bottom: float, above: Colour, below: Colour) -> None:
        """A band over the whole width that passes from one colour into another."""
        first, last = round(top * self.size[1]), round(bottom * self.size[1])
        column = PIL.Image.linear_gradient("L").resize((1, last - first))
        band = ImageOps.colorize(column, above, below)
        band = band.resize((self.size[0], last - first), PIL.Image.Resampling.NEAREST)
        self.image.paste(band, (0, first))

    def finished(self) -> PIL.Image.Image:
        """The picture in its final size."""
        return self.image.reduce(self.scale)


def sky(canvas: Canvas, light: Light, horizon: float, rng: Random) -> None:
    """The sky down to ``horizon``, with the sun and some clouds."""
    canvas.fade(0, horizon + 0.02, light.above, light.horizon)
    x, y = rng.uniform(0.12, 0.88), horizon * rng.uniform(0.25, 0.8)
    canvas.disc(x, y, 0.062, mix(light.horizon, light.sun, 0.4))
    canvas.disc(x, y, 0.042, light.sun)
    for _cloud in range(rng.randint(1, 4)):
        x, y = rng.uniform(0, 1), horizon * rng.uniform(0.1, 0.6)
        colour = mix(mix(light.above, light.horizon, y / horizon), WHITE, 0.5)
        for puff in range(4):
            canvas.disc(x + puff * 0.03, y - (0.012 if puff in (1, 2) else 0), 0.026, colour, flat=0.5)


def hills(canvas: Canvas, colour: Colour, base: float, height: float, rng: Random) -> None:
    """A range of hills that rises ``height`` over ``base``, filled to the lower edge."""
    waves = [
        (rng.uniform(0.7, 1.6), rng.uniform(0, 6)),
        (rng.uniform(2, 4), rng.uniform(0, 6)),
        (rng.uniform(6, 9), rng.uniform(0, 6)),
    ]
    edge = [(0.0, 1.0)]
    for index in range(61):
        x = index / 60
        swing = sum(
            math.sin(turns * math.tau * x + shift) / 2**step for step, (turns, shift) in enumerate(waves)
        )
        edge.append((x, base - height * (0.5 + swing / 3.5)))
    canvas.area([*edge, (1.0, 1.0)], colour)


def water(canvas: Canvas, light: Light, top: float, bottom: float, rng: Random) -> None:
    """Water with glints, and now and then a sail."""
    near = light.on((38, 110, 148))
    canvas.fade(top, bottom, mix(near, light.horizon, 0.55), near)
    for _glint in range(26):
        x, y = rng.uniform(0, 1), rng.uniform(top + 0.01, bottom - 0.01)
        long = 0.012 + 0.05 * (y - top) / (bottom - top)
        canvas.line([(x, y), (x + long, y)], mix(near, light.horizon, 0.6), 0.0022)
    for _sail in range(rng.randint(0, 2)):
        x, y = rng.uniform(0.1, 0.9), top + (bottom - top) * rng.uniform(0.1, 0.4)
        canvas.area([(x, y - 0.075), (x + 0.028, y - 0.008), (x, y - 0.008)], light.on(WHITE))
        canvas.area(
            [(x - 0.02, y - 0.005), (x + 0.035, y - 0.005), (x + 0.025, y + 0.006), (x - 0.012, y + 0.006)],
            light.on((150, 78, 60)),
        )


def tree(canvas: Canvas, kind: str, x: float, y: float, size: float, light: Light, rng: Random) -> None:
    """A tree (``round``, ``pine``, ``palm``, ``acacia`` or ``maple``) that stands at (x, y), ``size`` high."""
    trunk = light.on((104, 78, 60))
    greens = {"pine": (44, 92, 72), "palm": (62, 128, 74), "acacia": (112, 130, 62), "maple": (196, 84, 52)}
    leaf = light.on(mix(greens.get(kind, (88, 142, 78)), (150, 160, 70), rng.uniform(0, 0.35)))
    wide = size * HEIGHT / WIDTH
    if kind == "palm":
        lean = rng.uniform(-0.12, 0.12) * wide
        canvas.line([(x, y), (x + lean * 0.4, y - size * 0.5), (x + lean, y - size)], trunk, 0.05 * wide)
        for turn in range(10):
            angle = math.pi * (0.02 + turn / 9 * 0.96)
            dx, dy = math.cos(angle) * 0.42 * wide, -math.sin(angle) * 0.26 * size
            tip = (x + lean + dx, y - size + dy + 0.24 * size * abs(math.cos(angle)))
            middle = (x + lean + dx * 0.6, y - size + dy - 0.02 * size)
            canvas.area(
                [(x + lean, y - size), middle, tip, (middle[0], middle[1] + 0.09 * size)],
                mix(leaf, DARK, 0.14 * (turn % 2)),
            )
        return
    canvas.box(x - 0.035 * wide, y - size * 0.55, x + 0.035 * wide, y, trunk)
    if kind == "pine":
        for step in range(3):
            low, half = y - size * (0.16 + 0.24 * step), wide * (0.3 - 0.07 * step)
            canvas.area(
                [(x - half, low), (x, low - size * 0.4), (x + half, low)], mix(leaf, WHITE, 0.06 * step)
            )
    elif kind == "acacia":
        for side in (-1, 1):
            canvas.line([(x, y - size * 0.4), (x + side * 0.25 * wide, y - size * 0.72)], trunk, 0.035 * wide)
        canvas.disc(x, y - size * 0.78, 0.5 * wide, leaf, flat=0.24)
        canvas.disc(x + 0.1 * wide, y - size * 0.87, 0.34 * wide, mix(leaf, WHITE, 0.12), flat=0.26)
    else:
        for _crown in range(5):
            dx, dy = rng.uniform(-0.2, 0.2) * wide, rng.uniform(-0.16, 0.16) * size
            shade = mix(leaf, WHITE, rng.uniform(0, 0.16))
            canvas.disc(x + dx, y - size * 0.72 + dy, rng.uniform(0.18, 0.26) * wide, shade)


def surroundings(canvas: Canvas, land: str, trees: str, light: Light, rng: Random) -> float:
    """Sky and land (``coast``, ``river``, ``forest``, ``savanna`` or ``mountains``); returns the height of the ground."""
    horizon, ground = 0.5, 0.72
    grass = light.on({"coast": (222, 200, 150), "savanna": (196, 172, 98)}.get(land, (126, 164, 92)))
    far = light.on({"savanna": (164, 150, 110), "mountains": (86, 112, 128)}.get(land, (104, 140, 120)))
    sky(canvas, light, horizon + 0.12, rng)
    rise = {"mountains": 0.3, "forest": 0.2, "savanna": 0.1, "coast": 0.1, "river": 0.06}[land]
    hills(canvas, mix(far, light.horizon, 0.62), horizon + 0.08, rise, rng)
    hills(canvas, mix(far, light.horizon, 0.34), horizon + 0.12, rise * 0.7, rng)
    if land in ("coast", "river"):
        water(canvas, light, horizon + 0.07, ground + 0.01, rng)
    else:
        hills(canvas, mix(far, grass, 0.55), horizon + 0.18, 0.08, rng)
        for _tree in range(14):
            tree(canvas, trees, rng.uniform(0, 1), rng.uniform(0.63, 0.7), rng.uniform(0.05, 0.1), light, rng)
    canvas.fade(ground, 1.0, mix(grass, light.horizon, 0.12), mix(grass, DARK, 0.16))
    return ground
