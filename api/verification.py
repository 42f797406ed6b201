"""Proofs: of an email address, of a phone, and of being who may set a new password."""

from __future__ import annotations

from typing import Annotated

from django.http import HttpRequest
from django.utils import timezone
from ninja import Router
from pydantic import Field

from api.account_types import Email, Password
from api.accounts import device_of, user_of
from api.problems import responses
from api.types import In, Text
from backend.identity import phones, proofs
from backend.identity import services as identity

router = Router(tags=["Accounts"])


class ResetIn(In):
    """Whose password is forgotten."""

    email: Email


class ResetConfirmIn(In):
    """The token from the mail, and the new password."""

    token: Annotated[str, Text(200), Field(examples=["1a-cx2k7d-5f0c3e9a6b1d4e2f8a7c6b5d4e3f2a1b"])]
    new_password: Annotated[Password, Field(examples=["battery-staple-7"])]


class EmailKeyIn(In):
    """The key from the mail."""

    key: Annotated[str, Text(300), Field(examples=["MQ:1sXyZa:0Jb2mSx1o2w4Zx7c9QdYk3u8"])]


class PhoneIn(In):
    """A phone number with its country code."""

    phone: Annotated[str, Text(40), Field(examples=["+254712345678"])]


class PhoneCodeIn(In):
    """The code from the short message."""

    code: Annotated[str, Text(12), Field(examples=["204881"])]


@router.post(
    "/password/reset/", auth=None, response=responses(None, status=202), summary="Ask for a new password"
)
def reset_password(request: HttpRequest, body: ResetIn) -> None:
    """Mail a token, if the address belongs to an account; the answer is the same when it does not."""
    identity.ask_reset(email=body.email, device=device_of(request), now=timezone.now())


@router.post(
    "/password/reset/confirm/",
    auth=None,
    response=responses(None, proofs.TokenRefused, status=204),
    summary="Set a new password",
)
def confirm_reset(request: HttpRequest, body: ResetConfirmIn) -> None:
    """Set a password by the token that was mailed; it works once. All devices are signed out."""
    identity.reset_password(
        token=body.token, new=body.new_password, device=device_of(request), now=timezone.now()
    )


@router.post(
    "/email/verify/",
    auth=None,
    response=responses(None, proofs.KeyRefused, status=204),
    summary="Verify an email address",
)
def verify_email(request: HttpRequest, body: EmailKeyIn) -> None:
    """Prove an address by the key that was mailed to it; no sign-in is needed."""
    identity.verify_email(key=body.key, now=timezone.now())


@router.post(
    "/email/verify/resend/",
    response=responses(None, proofs.AddressVerified, status=202),
    summary="Mail the key again",
)
def resend_key(request: HttpRequest) -> None:
    """Mail another key for one's own address."""
    identity.resend(actor=user_of(request), now=timezone.now())


@router.post(
    "/phone/",
    response=responses(None, phones.PhoneVerified, status=202),
    summary="Set my phone and get a code",
)
def ask_phone(request: HttpRequest, body: PhoneIn) -> None:
    """Keep the number, unverified, and send a code to it by short message."""
    identity.ask_phone(actor=user_of(request), phone=body.phone, now=timezone.now())


@router.post(
    "/phone/verify/",
    response=responses(None, phones.CodeRefused, phones.PhoneVerified, status=204),
    summary="Verify my phone",
)
def verify_phone(request: HttpRequest, body: PhoneCodeIn) -> None:
    """Prove the number by the code that was sent to it. After five wrong ones a new code is needed."""
    identity.verify_phone(actor=user_of(request), code=body.code, now=timezone.now())
