"""The houses of the demo's places, drawn by code, and the colours that they and their rooms are painted in. Pure."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from backend.jobs.demo.landscape import DARK, WHITE, Canvas, Colour, mix

WALLS: tuple[Colour, ...] = (
    *((238, 226, 204), (232, 196, 160), (206, 220, 224), (240, 214, 206), (218, 226, 200)),
    *((250, 244, 232), (226, 190, 120), (190, 206, 214)),
)
ROOFS: tuple[Colour, ...] = ((178, 82, 60), (150, 70, 58), (94, 88, 94), (120, 100, 84))
ACCENTS: tuple[Colour, ...] = (
    *((62, 110, 150), (196, 98, 70), (92, 132, 96), (214, 160, 70), (132, 92, 130), (60, 130, 132)),
)


def windows(
    canvas: Canvas,
    left: float,
    right: float,
    top: float,
    bottom: float,
    columns: int,
    rows: int,
    pane: Colour,
    frame: Colour,
) -> None:
    """Windows in ``columns`` and ``rows``, evenly in the rectangle between the edges."""
    wide, high = (right - left) / columns, (bottom - top) / rows
    for column in range(columns):
        for row in range(rows):
            x, y = left + wide * (column + 0.22), top + high * (row + 0.2)
            canvas.box(x - 0.004, y - 0.006, x + wide * 0.56 + 0.004, y + high * 0.6 + 0.006, frame)
            canvas.box(x, y, x + wide * 0.56, y + high * 0.6, pane)
            canvas.box(x + wide * 0.27, y, x + wide * 0.29, y + high * 0.6, frame)


def _door(canvas: Canvas, middle: float, foot: float, accent: Colour, high: float = 0.15) -> None:
    canvas.box(middle - 0.031, foot - high - 0.01, middle + 0.031, foot, WHITE)
    canvas.box(middle - 0.025, foot - high, middle + 0.025, foot, accent)
    canvas.disc(middle + 0.016, foot - high / 2, 0.003, WHITE)


def _gable(
    canvas: Canvas,
    x: float,
    foot: float,
    wall: Colour,
    roof: Colour,
    accent: Colour,
    pane: Colour,
    rng: Random,
) -> None:
    half, top = rng.uniform(0.19, 0.23), foot - rng.uniform(0.27, 0.31)
    canvas.box(x + half * 0.45, top - 0.2, x + half * 0.62, top, mix(roof, DARK, 0.3))
    canvas.box(x - half, top, x + half, foot, wall)
    canvas.area([(x - half - 0.03, top), (x, top - 0.22), (x + half + 0.03, top)], roof)
    canvas.area(
        [(x - half * 0.5, top - 0.02), (x, top - 0.15), (x + half * 0.5, top - 0.02)], mix(wall, WHITE, 0.3)
    )
    canvas.disc(x, top - 0.065, 0.022, pane)
    windows(canvas, x - half, x - 0.05, top + 0.03, foot - 0.03, 2, 1, pane, WHITE)
    windows(canvas, x + 0.05, x + half, top + 0.03, foot - 0.03, 2, 1, pane, WHITE)
    _door(canvas, x, foot, accent, 0.18)


def _block(
    canvas: Canvas,
    x: float,
    foot: float,
    wall: Colour,
    roof: Colour,
    accent: Colour,
    pane: Colour,
    rng: Random,
) -> None:
    floors, half = rng.randint(3, 4), rng.uniform(0.15, 0.2)
    top = foot - 0.145 * floors
    for side, shade in ((-1, (236, 224, 208)), (1, (214, 196, 180))):
        canvas.box(
            x + side * half * 1.5 - half * 0.5,
            top + 0.1,
            x + side * half * 1.5 + half * 0.5,
            foot,
            mix(shade, wall, 0.3),
        )
        windows(
            canvas,
            x + side * half * 1.5 - half * 0.5,
            x + side * half * 1.5 + half * 0.5,
            top + 0.13,
            foot - 0.02,
            2,
            floors - 1,
            pane,
            mix(shade, DARK, 0.2),
        )
    canvas.box(x - half, top, x + half, foot, wall)
    canvas.area(
        [
            (x - half - 0.012, top),
            (x - half * 0.8, top - 0.06),
            (x + half * 0.8, top - 0.06),
            (x + half + 0.012, top),
        ],
        roof,
    )
    windows(canvas, x - half, x + half, top + 0.02, foot - 0.15, 4, floors - 1, pane, WHITE)
    for floor in range(1, floors):
        y = top + 0.005 + (foot - 0.15 - top) / (floors - 1) * floor
        canvas.box(x - half * 0.95, y - 0.022, x + half * 0.95, y - 0.014, accent)
    _door(canvas, x, foot, accent, 0.12)


def _stepped(
    canvas: Canvas,
    x: float,
    foot: float,
    wall: Colour,
    roof: Colour,
    accent: Colour,
    pane: Colour,
    rng: Random,
) -> None:
    for place, colour in ((-0.24, mix(roof, WHITE, 0.25)), (0.24, mix(accent, WHITE, 0.45)), (0.0, wall)):
        half, top = 0.115, foot - rng.uniform(0.34, 0.4)
        canvas.box(x + place - half, top, x + place + half, foot, colour)
        for step in range(5):
            inside = half * (1 - 0.2 * step)
            canvas.box(x + place - inside, top - 0.036 * (step + 1), x + place + inside, top, colour)
        canvas.disc(x + place, top - 0.06, 0.016, pane)
        windows(canvas, x + place - half, x + place + half, top + 0.01, foot - 0.16, 3, 1, pane, WHITE)
        _door(canvas, x + place, foot, mix(accent, DARK, 0.2 if place else 0.0), 0.12)


def _flat(
    canvas: Canvas,
    x: float,
    foot: float,
    wall: Colour,
    roof: Colour,
    accent: Colour,
    pane: Colour,
    rng: Random,
) -> None:
    half, top = rng.uniform(0.22, 0.26), foot - 0.2
    shift = rng.choice((-0.07, 0.07))
    canvas.box(x - half * 0.62 + shift, top - 0.17, x + half * 0.62 + shift, top, mix(wall, WHITE, 0.35))
    canvas.box(x - half * 0.7 + shift, top - 0.19, x + half * 0.7 + shift, top - 0.165, mix(roof, DARK, 0.25))
    windows(canvas, x - half * 0.6 + shift, x + half * 0.6 + shift, top - 0.16, top - 0.01, 3, 1, pane, DARK)
    canvas.box(x - half, top, x + half, foot, wall)
    canvas.box(x - half - 0.03, top - 0.02, x + half + 0.03, top, mix(roof, DARK, 0.25))
    windows(canvas, x - half, x - 0.05, top + 0.01, foot, 2, 1, pane, DARK)
    canvas.box(x + 0.06, top + 0.03, x + half - 0.02, foot - 0.02, pane)
    _door(canvas, x, foot, accent, 0.14)
    canvas.soft_box(x + 0.08, foot + 0.03, x + half + 0.06, foot + 0.085, (232, 228, 220))
    canvas.soft_box(x + 0.09, foot + 0.04, x + half + 0.05, foot + 0.08, (84, 176, 196))


def _thatch(
    canvas: Canvas,
    x: float,
    foot: float,
    wall: Colour,
    roof: Colour,
    accent: Colour,
    pane: Colour,
    rng: Random,
) -> None:
    half, top = rng.uniform(0.2, 0.24), foot - 0.22
    straw = mix((172, 138, 88), roof, 0.2)
    canvas.box(x - half, top, x + half, foot, mix(wall, WHITE, 0.4))
    canvas.area(
        [
            (x - half - 0.06, top + 0.05),
            (x - half * 0.5, top - 0.22),
            (x + half * 0.5, top - 0.22),
            (x + half + 0.06, top + 0.05),
        ],
        straw,
    )
    for strand in range(24):
        part = strand / 23
        canvas.line(
            [
                (x - half * 0.5 + part * half, top - 0.21),
                (x - half - 0.05 + part * (2 * half + 0.1), top + 0.045),
            ],
            mix(straw, DARK, 0.16),
            0.0016,
        )
    windows(canvas, x - half, x - 0.05, top + 0.05, foot - 0.01, 2, 1, pane, accent)
    windows(canvas, x + 0.05, x + half, top + 0.05, foot - 0.01, 2, 1, pane, accent)
    _door(canvas, x, foot, accent, 0.14)


def _wide(
    canvas: Canvas,
    x: float,
    foot: float,
    wall: Colour,
    roof: Colour,
    accent: Colour,
    pane: Colour,
    rng: Random,
) -> None:
    half, top, tiles = rng.uniform(0.22, 0.26), foot - 0.19, mix(roof, (70, 76, 86), 0.7)
    wood = (120, 84, 62)
    canvas.box(x - half * 0.6, top - 0.16, x + half * 0.6, top, mix(wall, WHITE, 0.3))
    windows(canvas, x - half * 0.55, x + half * 0.55, top - 0.14, top - 0.03, 4, 1, pane, wood)
    canvas.area(
        [
            (x - half * 0.78, top - 0.145),
            (x - half * 0.45, top - 0.25),
            (x + half * 0.45, top - 0.25),
            (x + half * 0.78, top - 0.145),
        ],
        tiles,
    )
    canvas.box(x - half, top, x + half, foot, mix(wall, WHITE, 0.15))
    canvas.area(
        [
            (x - half - 0.05, top + 0.03),
            (x - half * 0.7, top - 0.06),
            (x + half * 0.7, top - 0.06),
            (x + half + 0.05, top + 0.03),
        ],
        mix(tiles, DARK, 0.15),
    )
    for slat in range(15):
        at = x - half + 0.012 + slat * (half - 0.05) / 15
        canvas.box(at, top + 0.04, at + 0.005, foot - 0.01, wood)
        canvas.box(2 * x - at - 0.005, top + 0.04, 2 * x - at, foot - 0.01, wood)
    _door(canvas, x, foot, accent, 0.14)


Draw = Callable[[Canvas, float, float, Colour, Colour, Colour, Colour, Random], None]

HOUSES: dict[str, Draw] = {
    "gable": _gable,
    "block": _block,
    "stepped": _stepped,
    "flat": _flat,
    "thatch": _thatch,
    "wide": _wide,
}
"""Form of a house → what draws it around a middle and on a foot, in colours of wall, roof, accent and panes."""
