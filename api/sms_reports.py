"""For carriers of short messages: what became of a message."""

from __future__ import annotations

from urllib.parse import parse_qsl

from django.http import HttpRequest
from django.utils import timezone
from ninja import Router

from api import ground
from api.problems import MalformedBody, responses
from backend.notifications import reports

router = Router(tags=["Webhooks"])


@router.post(
    "/webhooks/sms/twilio/",
    auth=None,
    response=responses(None, reports.ForgedReport, reports.CarrierNotConfigured, status=204),
    summary="Take a status callback of Twilio",
)
@ground.raw_body
@ground.foreign_query
def take_twilio(request: HttpRequest) -> None:
    """For Twilio: a form with its signature. A report that was heard before changes nothing."""
    reports.from_twilio(
        path=request.get_full_path(),
        form=_form(request),
        signature=request.headers.get("X-Twilio-Signature", ""),
        now=timezone.now(),
    )


@router.post(
    "/webhooks/sms/africastalking/{secret}/",
    auth=None,
    response=responses(None, reports.ForgedReport, reports.CarrierNotConfigured, status=204),
    summary="Take a delivery report of Africa's Talking",
)
@ground.raw_body
def take_africas_talking(request: HttpRequest, secret: str) -> None:
    """For Africa's Talking, which signs nothing: the end of the address stands for a signature."""
    reports.from_africas_talking(secret=secret, form=dict(_form(request)), now=timezone.now())


def _form(request: HttpRequest) -> list[tuple[str, str]]:
    """The fields of a form as they were posted. Raises: MalformedBody."""
    try:
        return parse_qsl(request.body.decode(), keep_blank_values=True, max_num_fields=200)
    except ValueError as error:
        raise MalformedBody from error
