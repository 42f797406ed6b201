"""Unfold's stylesheet for both directions of writing.

It is written for left to right: margins, borders and places have sides. With starts and ends instead it means the same
there, and the mirrored in Arabic. ``static/unfold/css/styles.css`` of this package is what ``logical`` makes of Unfold's;
it is found first. After another version of Unfold is locked: ``python -m admin_site.frame.mirrored`` writes it again, and a test
fails until then.
"""

from __future__ import annotations

import re
from pathlib import Path

import unfold

NAME = "unfold/css/styles.css"
THEIRS = Path(unfold.__file__).parent / "static" / NAME
OURS = Path(__file__).parents[1] / "static" / NAME

PROPERTIES = {
    **{
        f"{box}-{side}": f"{box}-inline-{end}"
        for box in ("margin", "padding")
        for side, end in (("left", "start"), ("right", "end"))
    },
    **{
        f"border-{side}-{part}": f"border-inline-{end}-{part}"
        for part in ("width", "style", "color")
        for side, end in (("left", "start"), ("right", "end"))
    },
    "border-top-left-radius": "border-start-start-radius",
    "border-top-right-radius": "border-start-end-radius",
    "border-bottom-left-radius": "border-end-start-radius",
    "border-bottom-right-radius": "border-end-end-radius",
    "left": "inset-inline-start",
    "right": "inset-inline-end",
}
_PROPERTY = re.compile(rf"(?<=[{{;])({'|'.join(sorted(PROPERTIES, key=len, reverse=True))}):")
_ALIGNED = re.compile(r"(?<=[{;])(text-align|float):(left|right)\b")
_ENDS = {("text-align", "left"): "start", ("text-align", "right"): "end"}
_ENDS |= {("float", "left"): "inline-start", ("float", "right"): "inline-end"}


def logical(css: str) -> str:
    """``css`` with starts and ends in the place of left and right sides."""
    css = _PROPERTY.sub(lambda found: f"{PROPERTIES[found[1]]}:", css)
    return _ALIGNED.sub(lambda found: f"{found[1]}:{_ENDS[found[1], found[2]]}", css)


if __name__ == "__main__":
    OURS.parent.mkdir(parents=True, exist_ok=True)
    OURS.write_text(logical(THEIRS.read_text()))
