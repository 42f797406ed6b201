"""The second step of signing in: set it up, use it, turn it off."""

from __future__ import annotations

from typing import Annotated, Any

from django.http import HttpRequest
from django.utils import timezone
from ninja import Router
from pydantic import Field

from api.account_types import Password, SignedInOut
from api.accounts import device_of, signed_in_payload, user_of
from api.problems import responses
from api.types import In, Out, Text
from backend.core.errors import WrongState
from backend.identity import mfa
from backend.identity import services as identity

router = Router(tags=["Accounts"])

Code = Annotated[str, Text(20), Field(examples=["204881"])]


class EnrolmentOut(Out):
    """What the user's app needs."""

    secret: str = Field(examples=["JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"])
    uri: str = Field(
        description="For a QR code.",
        examples=["otpauth://totp/john%40example.com?secret=JBSWY3DPEHPK3PXP&issuer=Karibu"],
    )


class CodeIn(In):
    """A code of the app."""

    code: Code


class SecondStepIn(In):
    """The token of the first step, and a code of the app or a recovery code."""

    mfa_token: Annotated[str, Text(500)]
    code: Code


class PasswordIn(In):
    """One's present password. Whoever has none leaves it out, and needs a sign-in under ten minutes old."""

    password: Password | None = None


class RecoveryCodesOut(Out):
    """Codes for when the app is lost, each good once. They are shown only now."""

    recovery_codes: list[str] = Field(examples=[["48120957", "90317264"]])


@router.post(
    "/login/mfa/",
    auth=None,
    response=responses(SignedInOut, identity.InvalidCredentials, identity.CodeWrong),
    summary="Sign in, second step",
)
def finish_login(request: HttpRequest, body: SecondStepIn) -> Any:
    """Finish signing in with the `mfa_token` of `POST /api/login/` and a code; five minutes are left for it."""
    result = identity.finish(
        token=body.mfa_token, code=body.code, device=device_of(request), now=timezone.now()
    )
    return signed_in_payload(result)


@router.post(
    "/mfa/totp/",
    response=responses(EnrolmentOut, identity.MfaEnabled),
    summary="Set the second step up",
)
def begin(request: HttpRequest) -> Any:
    """A secret for the user's app. It counts once a code of it was confirmed, within ten minutes."""
    made = mfa.begin(actor=user_of(request), now=timezone.now())
    return {"secret": made.secret, "uri": made.uri}


@router.post(
    "/mfa/totp/confirm/",
    response=responses(RecoveryCodesOut, identity.MfaEnabled, identity.CodeWrong),
    summary="Turn the second step on",
)
def confirm(request: HttpRequest, body: CodeIn) -> Any:
    """Prove that the app works. From now on signing in takes a code."""
    codes = mfa.confirm(actor=user_of(request), code=body.code, device=device_of(request), now=timezone.now())
    return {"recovery_codes": codes}


@router.delete(
    "/mfa/totp/",
    response=responses(None, identity.StepUpRequired, WrongState, status=204),
    summary="Turn the second step off",
)
def disable(request: HttpRequest, body: PasswordIn) -> None:
    """Needs the present password."""
    mfa.disable(actor=user_of(request), password=body.password, device=device_of(request), now=timezone.now())


@router.post(
    "/mfa/recovery-codes/",
    response=responses(RecoveryCodesOut, identity.StepUpRequired, WrongState),
    summary="Get new recovery codes",
)
def renew_codes(request: HttpRequest, body: PasswordIn) -> Any:
    """New recovery codes; the former ones are void. Needs the present password."""
    codes = mfa.renew_codes(
        actor=user_of(request), password=body.password, device=device_of(request), now=timezone.now()
    )
    return {"recovery_codes": codes}
