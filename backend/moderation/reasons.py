"""Why something is judged: codes that stay, a sentence for the letter in every language, and what it counts. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from django.utils.translation import gettext_lazy as _

from backend.core.errors import Text


@dataclass(frozen=True, slots=True)
class Reason:
    """A reason that a moderator chooses.

    ``label`` is what staff read, ``sentence`` what whom it concerns reads (empty: the moderator's words alone); ``points`` is what a decision against
    somebody for it counts, ``subjects`` what it fits.
    """

    label: Text
    sentence: Text
    points: int
    subjects: str = "listing user message review"


OTHER = "other"

REASONS: dict[str, Reason] = {
    "inaccurate": Reason(
        _("does not match the place"),
        _("What is said or shown does not match the place."),
        1,
        "listing",
    ),
    "photos": Reason(
        _("pictures missing or poor"),
        _("The pictures are missing, too poor to see the place, or not of this place."),
        0,
        "listing",
    ),
    "incomplete": Reason(
        _("too little said"),
        _("The description says too little to decide on a stay."),
        0,
        "listing",
    ),
    "contact_data": Reason(
        _("contact data or payment outside"),
        _("Contact data, links and ways to pay outside of the platform must not stand there."),
        1,
    ),
    "price": Reason(
        _("misleading price"),
        _("The price is misleading, or not the price of a night."),
        1,
        "listing",
    ),
    "duplicate": Reason(
        _("listed twice"),
        _("The same place, text or pictures are listed already."),
        1,
        "listing user",
    ),
    "unsafe": Reason(
        _("not safe"),
        _("It is not safe for guests or others as it is."),
        3,
    ),
    "unlawful": Reason(
        _("not lawful, or no licence"),
        _("It is not lawful there, or the licence that it needs is missing."),
        3,
        "listing user",
    ),
    "fraud": Reason(
        _("fraud"),
        _("We found signs of fraud."),
        6,
    ),
    "discrimination": Reason(
        _("discrimination"),
        _("It shuts people out for who they are."),
        4,
    ),
    "harassment": Reason(
        _("harassment or threats"),
        _("It insults, harasses or threatens somebody."),
        3,
    ),
    "spam": Reason(
        _("advertising"),
        _("It is advertising, or repeats the same thing."),
        1,
    ),
    "privacy": Reason(
        _("names or shows people"),
        _("It names or shows people who have not agreed to it."),
        1,
    ),
    OTHER: Reason(_("something else"), "", 1),
}

CODES = [(code, reason.label) for code, reason in REASONS.items()]
"""Choices of forms and columns."""

OF_REPORTS = {
    "inappropriate": "harassment",
    "fraud": "fraud",
    "duplicate": "duplicate",
    "inaccurate": "inaccurate",
    "safety": "unsafe",
    "other": OTHER,
}
"""Reason of a report → the reason of a decision that finds it right."""

OF_FLAGS = {
    "words": OTHER,
    "contact_data": "contact_data",
    "price": "price",
    "same_photos": "duplicate",
    "same_text": "duplicate",
    "same_place": "duplicate",
    "new_host": "fraud",
}
"""Kind of a finding → the reason of a decision that finds it right."""


def choices(subject: str) -> list[tuple[str, Text]]:
    """Code and label of the reasons that fit a ``subject``."""
    return [(code, each.label) for code, each in REASONS.items() if subject in each.subjects.split()]
