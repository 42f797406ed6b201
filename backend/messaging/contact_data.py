"""Find contact data and payment links in a text. Pure."""

from __future__ import annotations

PLACEHOLDER = "•••"
"""What stands in a text where contact data were; the same in every language."""


def spans(text: str, *, own_host: str = "") -> list[tuple[int, int]]:
    """Where contact data stand in ``text``, in order and apart from each other."""
    return []
