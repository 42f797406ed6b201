"""The pictures of the demo's places, drawn by code: a house, its rooms and its view. Pure; the same seed draws the same."""

from __future__ import annotations

import io
from dataclasses import dataclass
from random import Random

from backend.jobs.demo.houses import ACCENTS, HOUSES, ROOFS, WALLS, windows
from backend.jobs.demo.landscape import (
    DARK,
    DUSK,
    HEIGHT,
    LIGHTS,
    NOON,
    WHITE,
    WIDTH,
    Canvas,
    Colour,
    Light,
    mix,
    surroundings,
    tree,
)

SCENES = ("house", "living room", "bedroom", "view")
"""What can be drawn of a place, in the order in which its pictures stand."""


@dataclass(frozen=True, slots=True)
class Look:
    """How a place looks: the land around (see ``surroundings``), the trees, and the form of its houses."""

    land: str
    trees: str
    house: str


def picture(scene: str, look: Look, *, seed: str) -> io.BytesIO:
    """A picture of a place as a JPEG file. ``seed`` names the place: its colours are the same in all its scenes."""
    own = Random(seed)  # noqa: S311 - for looks
    wall, roof, accent = own.choice(WALLS), own.choice(ROOFS), own.choice(ACCENTS)
    light = own.choice(LIGHTS)
    rng = Random(f"{seed}/{scene}")  # noqa: S311 - for looks
    canvas = Canvas()
    if scene == "house":
        _house(canvas, look, light, wall, roof, accent, rng)
    elif scene == "living room":
        _living_room(canvas, look, light, wall, accent, rng)
    elif scene == "bedroom":
        _bedroom(canvas, look, light, wall, accent, rng)
    else:
        _view(canvas, look, light, roof, rng)
    file = io.BytesIO()
    canvas.finished().save(file, "JPEG", quality=93)
    file.seek(0)
    return file


def _house(
    canvas: Canvas, look: Look, light: Light, wall: Colour, roof: Colour, accent: Colour, rng: Random
) -> None:
    ground = surroundings(canvas, look.land, look.trees, light, rng)
    foot = ground + 0.1
    middle = rng.uniform(0.42, 0.58)
    wall, roof, accent = light.on(wall), light.on(roof), light.on(accent)
    tree(canvas, look.trees, middle - rng.uniform(0.3, 0.36), foot - 0.03, rng.uniform(0.3, 0.42), light, rng)
    _path(canvas, middle, foot, light)
    pane = (255, 222, 140) if light is DUSK else mix(light.above, WHITE, 0.35)
    HOUSES[look.house](canvas, middle, foot, wall, roof, accent, pane, rng)
    tree(
        canvas, look.trees, middle + rng.uniform(0.31, 0.38), foot + 0.04, rng.uniform(0.34, 0.5), light, rng
    )
    for _bush in range(9):
        x, y = (
            rng.choice((rng.uniform(0, middle - 0.12), rng.uniform(middle + 0.12, 1))),
            rng.uniform(0.86, 1),
        )
        green = light.on(mix((84, 128, 72), accent, 0.12))
        canvas.disc(x, y, rng.uniform(0.018, 0.04), mix(green, DARK, rng.uniform(0, 0.2)), flat=0.7)


def _path(canvas: Canvas, middle: float, foot: float, light: Light) -> None:
    stone = light.on((214, 204, 188))
    canvas.area(
        [
            (middle - 0.03, foot - 0.01),
            (middle + 0.03, foot - 0.01),
            (middle + 0.1, 1.0),
            (middle - 0.14, 1.0),
        ],
        stone,
    )


def _room(canvas: Canvas, look: Look, light: Light, wall: Colour, rng: Random, window: float) -> None:
    """Walls, floor, and a window around ``window`` with the land outside."""
    wood = mix((176, 132, 92), (120, 86, 62), rng.uniform(0, 1))
    outside = Canvas(scale=1)
    surroundings(outside, look.land, look.trees, light, rng)
    canvas.fade(0, 0.74, mix(wall, WHITE, 0.55), mix(wall, WHITE, 0.3))
    canvas.fade(0.74, 1.0, wood, mix(wood, DARK, 0.25))
    for plank in range(-6, 17):
        canvas.line(
            [(plank / 10 + 0.02, 0.74), (plank / 10 - (0.5 - plank / 10) * 0.5, 1.0)],
            mix(wood, DARK, 0.14),
            0.0015,
        )
    canvas.box(0, 0.725, 1, 0.742, WHITE)
    left, top, right, bottom = window - 0.15, 0.12, window + 0.15, 0.54
    canvas.box(left - 0.012, top - 0.018, right + 0.012, bottom + 0.018, WHITE)
    pixels = (round((right - left) * canvas.size[0]), round((bottom - top) * canvas.size[1]))
    scaled = outside.image.crop(
        (round(WIDTH * 0.2), round(HEIGHT * 0.25), round(WIDTH * 0.8), HEIGHT)
    ).resize(pixels)
    canvas.image.paste(scaled, (round(left * canvas.size[0]), round(top * canvas.size[1])))
    canvas.box(window - 0.004, top, window + 0.004, bottom, WHITE)
    canvas.box(left, (top + bottom) / 2 - 0.005, right, (top + bottom) / 2 + 0.005, WHITE)


def _curtains(canvas: Canvas, window: float, colour: Colour) -> None:
    for side in (-1, 1):
        edge = window + side * 0.2
        canvas.area(
            [(edge, 0.08), (window + side * 0.13, 0.08), (window + side * 0.155, 0.62), (edge, 0.62)], colour
        )
        canvas.line([(edge - side * 0.03, 0.09), (edge - side * 0.02, 0.62)], mix(colour, DARK, 0.1), 0.002)
    canvas.box(window - 0.22, 0.07, window + 0.22, 0.082, mix(colour, DARK, 0.4))


def _plant(canvas: Canvas, x: float, foot: float, rng: Random) -> None:
    for _leaf in range(11):
        dx, dy = rng.uniform(-0.05, 0.05), rng.uniform(0.12, 0.26)
        green = mix((70, 128, 84), (130, 170, 90), rng.uniform(0, 1))
        canvas.area(
            [
                (x, foot - 0.06),
                (x + dx * 0.4 - 0.012, foot - dy * 0.7),
                (x + dx, foot - dy),
                (x + dx * 0.4 + 0.012, foot - dy * 0.6),
            ],
            green,
        )
    canvas.area(
        [(x - 0.032, foot - 0.08), (x + 0.032, foot - 0.08), (x + 0.023, foot), (x - 0.023, foot)],
        (196, 120, 86),
    )


def _lamp(canvas: Canvas, x: float, foot: float, high: float, colour: Colour) -> None:
    canvas.line([(x, foot), (x, foot - high)], DARK, 0.004)
    canvas.disc(x, foot, 0.022, DARK, flat=0.3)
    canvas.area(
        [
            (x - 0.02, foot - high - 0.06),
            (x + 0.02, foot - high - 0.06),
            (x + 0.04, foot - high + 0.03),
            (x - 0.04, foot - high + 0.03),
        ],
        mix((255, 232, 176), colour, 0.15),
    )


def _paintings(canvas: Canvas, x: float, accent: Colour, rng: Random) -> None:
    for step in range(rng.randint(1, 3)):
        left, top = x + step * 0.1, 0.2 + rng.uniform(0, 0.05)
        canvas.box(left, top, left + 0.08, top + 0.17, DARK)
        canvas.box(left + 0.006, top + 0.009, left + 0.074, top + 0.161, WHITE)
        canvas.disc(left + 0.04, top + 0.08, rng.uniform(0.012, 0.024), mix(accent, rng.choice(ACCENTS), 0.5))
        canvas.area(
            [
                (left + 0.012, top + 0.15),
                (left + rng.uniform(0.025, 0.055), top + 0.09),
                (left + 0.068, top + 0.15),
            ],
            rng.choice(ACCENTS),
        )


def _living_room(canvas: Canvas, look: Look, light: Light, wall: Colour, accent: Colour, rng: Random) -> None:
    window = rng.uniform(0.24, 0.36)
    _room(canvas, look, light, wall, rng, window)
    _curtains(canvas, window, mix(accent, WHITE, 0.55))
    _paintings(canvas, rng.uniform(0.58, 0.66), accent, rng)
    canvas.disc(0.55, 0.9, 0.3, mix(accent, WHITE, 0.6), flat=0.2)
    canvas.disc(0.55, 0.9, 0.26, mix(accent, WHITE, 0.72), flat=0.2)
    left, right = rng.uniform(0.38, 0.44), rng.uniform(0.82, 0.88)
    canvas.soft_box(left, 0.56, right, 0.8, mix(accent, DARK, 0.12), 0.025)
    seats = rng.randint(2, 3)
    for seat in range(seats):
        wide = (right - left - 0.06) / seats
        at = left + 0.03 + seat * wide
        canvas.soft_box(at + 0.003, 0.585, at + wide - 0.003, 0.7, mix(accent, WHITE, 0.1), 0.018)
        canvas.soft_box(at + 0.003, 0.69, at + wide - 0.003, 0.77, mix(accent, WHITE, 0.2), 0.015)
    for side in (left - 0.025, right - 0.025):
        canvas.soft_box(side, 0.63, side + 0.05, 0.82, mix(accent, DARK, 0.05), 0.018)
    canvas.soft_box(left + 0.05, 0.62, left + 0.12, 0.71, rng.choice(ACCENTS), 0.012)
    canvas.disc(0.52, 0.88, 0.11, (150, 108, 76), flat=0.22)
    canvas.box(0.515, 0.89, 0.525, 0.95, (110, 78, 56))
    canvas.disc(0.5, 0.868, 0.02, WHITE, flat=0.4)
    _lamp(canvas, 0.93, 0.83, 0.4, accent)
    _plant(canvas, rng.uniform(0.06, 0.12), 0.86, rng)


def _bedroom(canvas: Canvas, look: Look, light: Light, wall: Colour, accent: Colour, rng: Random) -> None:
    window = rng.uniform(0.72, 0.8)
    _room(canvas, look, light, mix(wall, accent, 0.12), rng, window)
    _curtains(canvas, window, mix(wall, WHITE, 0.5))
    _paintings(canvas, rng.uniform(0.14, 0.24), accent, rng)
    left, right = 0.1, rng.uniform(0.5, 0.56)
    canvas.soft_box(left, 0.46, right, 0.85, (142, 102, 74), 0.02)
    canvas.soft_box(left + 0.01, 0.64, right - 0.01, 0.92, WHITE, 0.02)
    half = (right - left) / 2
    for side in (left + 0.03, left + half + 0.01):
        canvas.soft_box(side, 0.56, side + half - 0.04, 0.68, mix(WHITE, accent, 0.08), 0.02)
    canvas.soft_box(left + 0.13, 0.62, right - 0.13, 0.7, rng.choice(ACCENTS), 0.015)
    canvas.soft_box(left - 0.005, 0.72, right + 0.005, 0.95, mix(accent, WHITE, 0.25), 0.02)
    canvas.box(left - 0.005, 0.72, right + 0.005, 0.755, mix(accent, WHITE, 0.55))
    canvas.box(right + 0.03, 0.68, right + 0.11, 0.85, (156, 116, 84))
    canvas.box(right + 0.036, 0.72, right + 0.104, 0.77, (132, 96, 70))
    _lamp(canvas, right + 0.07, 0.68, 0.1, accent)
    _plant(canvas, 0.93, 0.9, rng)


def _view(canvas: Canvas, look: Look, light: Light, roof: Colour, rng: Random) -> None:
    light = rng.choice([other for other in LIGHTS if other is not light] or [NOON])
    ground = surroundings(canvas, look.land, look.trees, light, rng)
    x = -0.02
    while x < 1 and look.land in ("coast", "river", "mountains", "forest"):
        wide, high = rng.uniform(0.035, 0.07), rng.uniform(0.04, 0.1)
        foot = ground + 0.09 + rng.uniform(0, 0.03)
        colour = light.on(mix(rng.choice(WALLS), DARK, 0.06))
        canvas.box(x, foot - high, x + wide, 1, colour)
        canvas.area(
            [(x - 0.004, foot - high), (x + wide / 2, foot - high - 0.045), (x + wide + 0.004, foot - high)],
            light.on(mix(roof, rng.choice(ROOFS), 0.5)),
        )
        windows(
            canvas,
            x,
            x + wide,
            foot - high + 0.005,
            foot - high + 0.06,
            2,
            1,
            (255, 222, 140) if light is DUSK else mix(light.above, DARK, 0.35),
            WHITE,
        )
        x += wide + rng.uniform(-0.006, 0.02)
    for _tree in range(7):
        tree(
            canvas, look.trees, rng.uniform(0, 1), rng.uniform(0.9, 1.02), rng.uniform(0.16, 0.34), light, rng
        )
    rail = mix(light.on((120, 92, 74)), DARK, 0.2)
    canvas.box(0, 0.9, 1, 0.915, rail)
    for post in range(25):
        canvas.box(post / 24 - 0.003, 0.91, post / 24 + 0.003, 1, rail)
