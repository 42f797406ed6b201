"""Appeals against what the moderators decided: by the host of a listing, or by the link of a letter."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from django.http import HttpRequest
from django.utils import timezone
from ninja import Path, Router
from ninja.responses import Status
from pydantic import Field

from api.problems import responses
from api.types import Id, In, Out, Text
from backend.core.errors import NotAllowed, NotFound
from backend.moderation import appeals
from backend.moderation.case_models import APPEAL_LONGEST
from backend.moderation.models import Appeal

router = Router(tags=["Reports"])

Words = Annotated[
    str,
    Text(APPEAL_LONGEST, min=1, lines=True),
    Field(examples=["The pictures were of the neighbour's house; I have replaced them."]),
]


class DecisionAppealIn(In):
    """Why the decision should be another one."""

    words: Words


class LetterAppealIn(DecisionAppealIn):
    """``token`` is the last part of the link in the letter."""

    token: Annotated[
        str, Text(200, min=1), Field(examples=["17:c3b1f0a9d2e4b5a6978899aabbccddeeff001122334"])
    ]


class DecisionAppealOut(Out):
    """An appeal. `reversed`: the decision was taken back, with what it did."""

    id: Id
    status: Literal["open", "upheld", "reversed"] = Field(examples=["open"])
    words: str = Field(examples=["The pictures were of the neighbour's house; I have replaced them."])
    created_at: datetime
    decided_at: datetime | None
    answer: str | None = Field(description="What the moderators say to it.", examples=[None])


_REFUSED = (appeals.NothingToAppeal, appeals.AppealMade, appeals.AppealTooLate)


@router.post(
    "/properties/{int:property_id}/appeal/",
    response=responses(DecisionAppealOut, NotFound, NotAllowed, *_REFUSED, status=201),
    summary="Appeal against a decision about one's listing",
)
def appeal_property(request: HttpRequest, property_id: Path[Id], body: DecisionAppealIn) -> Any:
    """Its host, once for each decision and within the time that `moderation` of the property says. Somebody else decides."""
    made = appeals.appeal_listing(
        actor=request.auth,  # type: ignore[attr-defined]
        listing_id=property_id,
        words=body.words,
        now=timezone.now(),
    )
    return Status(201, payload(made))


@router.post(
    "/appeals/",
    auth=None,
    response=responses(DecisionAppealOut, NotFound, *_REFUSED, status=201),
    summary="Appeal by the link of a letter",
)
def appeal_by_token(request: HttpRequest, body: LetterAppealIn) -> Any:
    """For whoever cannot sign in any more, or does not want to. The token says whose appeal against what it is."""
    made = appeals.appeal_by_link(word=body.token, words=body.words, now=timezone.now())
    return Status(201, payload(made))


def payload(appeal: Appeal) -> dict[str, Any]:
    """An appeal as the wire shows it."""
    return {
        "id": appeal.pk,
        "status": appeal.status,
        "words": appeal.words,
        "created_at": appeal.created_at,
        "decided_at": appeal.decided_at,
        "answer": appeal.note or None,
    }
