"""Reports to the moderators: of a place, a person, a message, a review. Nobody who is reported learns of it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from django.http import HttpRequest
from django.utils import timezone
from ninja import Path, Query, Router, Status
from pydantic import Field

from api.pagination import Page, PageQuery, page
from api.problems import responses
from api.types import Id, In, Out, Text
from backend.core.errors import NotFound
from backend.moderation import services as moderation
from backend.moderation.models import DETAILS_LONGEST, Report
from backend.moderation.services import AlreadyReported, OwnReport

router = Router(tags=["Reports"])

Reason = Literal["inappropriate", "fraud", "duplicate", "inaccurate", "safety", "other"]
Subject = Literal["property", "user", "message", "review"]

ON_THE_WIRE: dict[str, Subject] = {
    "listing": "property",
    "user": "user",
    "message": "message",
    "review": "review",
}


class ReportIn(In):
    """What is wrong."""

    reason: Reason = Field(examples=["inaccurate"])
    details: Annotated[str, Text(DETAILS_LONGEST, lines=True)] = Field(
        default="", examples=["The pool of the pictures is the neighbour's."]
    )


class SubjectOut(Out):
    """What a report is about."""

    kind: Subject = Field(examples=["property"])
    id: Id


class ReportOut(Out):
    """A report of the caller's. `upheld`: we found that it is right. What we did about it concerns others."""

    id: Id
    status: Literal["open", "upheld", "dismissed"] = Field(examples=["open"])
    reason: Reason = Field(examples=["inaccurate"])
    details: str = Field(examples=["The pool of the pictures is the neighbour's."])
    subject: SubjectOut
    created_at: datetime
    decided_at: datetime | None


_ANSWERS: dict[int, Any] = responses(ReportOut, NotFound, OwnReport, AlreadyReported, status=201)


@router.post("/properties/{int:property_id}/report/", response=_ANSWERS, summary="Report a property")
def report_property(request: HttpRequest, property_id: Path[Id], body: ReportIn) -> Any:
    """To the moderators; its host does not learn of it. One's own: 403. An open report of one's own about it: 409."""
    made = moderation.report_listing(listing_id=property_id, **_said(request, body))
    return Status(201, _payload(made))


@router.post("/users/{int:user_id}/report/", response=_ANSWERS, summary="Report a person")
def report_user(request: HttpRequest, user_id: Path[Id], body: ReportIn) -> Any:
    """To the moderators; they do not learn of it. Oneself: 403. An open report of one's own about them: 409."""
    return Status(201, _payload(moderation.report_user(user_id=user_id, **_said(request, body))))


@router.post("/messages/{int:message_id}/report/", response=_ANSWERS, summary="Report a message")
def report_message(request: HttpRequest, message_id: Path[Id], body: ReportIn) -> Any:
    """Of a conversation that one is in; what it says is kept for the moderators. One's own: 403."""
    return Status(201, _payload(moderation.report_message(message_id=message_id, **_said(request, body))))


@router.post("/reviews/{int:review_id}/report/", response=_ANSWERS, summary="Report a review")
def report_review(request: HttpRequest, review_id: Path[Id], body: ReportIn) -> Any:
    """One that one may read; what it says is kept for the moderators. One's own: 403."""
    return Status(201, _payload(moderation.report_review(review_id=review_id, **_said(request, body))))


@router.get("/reports/", response=responses(Page[ReportOut]), summary="My reports")
def list_reports(request: HttpRequest, params: Query[PageQuery]) -> dict[str, Any]:
    """The newest first."""
    return page(request, moderation.of(request.auth), params, _payload)  # type: ignore[attr-defined]


def _said(request: HttpRequest, body: ReportIn) -> dict[str, Any]:
    return {
        "reporter": request.auth,  # type: ignore[attr-defined]
        "reason": body.reason,
        "details": body.details,
        "now": timezone.now(),
    }


def _payload(report: Report) -> dict[str, Any]:
    return {
        "id": report.pk,
        "status": report.status,
        "reason": report.reason,
        "details": report.details,
        "subject": {"kind": ON_THE_WIRE[report.kind], "id": report.subject_id},
        "created_at": report.created_at,
        "decided_at": report.decided_at,
    }
