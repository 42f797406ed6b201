"""For mail services: what became of a mail."""

from __future__ import annotations

from typing import Annotated

from django.http import HttpRequest
from django.utils import timezone
from ninja import Router
from pydantic import Field

from api.ground import raw_body
from api.problems import responses
from api.types import Out
from backend.notifications import mail_reports, reports

router = Router(tags=["Webhooks"])


class MailReceipt(Out):
    """Reports were taken."""

    received: Annotated[bool, Field(examples=[True])]
    duplicate: Annotated[bool, Field(description="All of them had come before.", examples=[False])]


@router.post(
    "/webhooks/mail/{provider}/",
    auth=None,
    response=responses(
        MailReceipt, reports.ForgedReport, reports.CarrierNotConfigured, mail_reports.UnreadableReport
    ),
    summary="Take a mail service's reports",
)
@raw_body
def take_reports(request: HttpRequest, provider: str) -> dict[str, bool]:
    """For `sendgrid` and `mailgun`: deliveries, bounces and complaints, with the service's signature.

    An address that bounced for good, or whose reader complained, is written to no more.
    """
    is_new = mail_reports.take(provider=provider, request=request, now=timezone.now())
    return {"received": True, "duplicate": not is_new}
