"""Accounts on the wire: register, sign in, the profile, the devices."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from ninja import File, Query, Router, UploadedFile

from api import account_types as types
from api import pagination, throttling
from api.auth import optional_bearer
from api.conditional import etag, etag_response, require_match
from api.pagination import Page, PageQuery
from api.problems import responses
from api.rendering import dumps
from backend.accounts.models import Session, User
from backend.core.errors import FieldError, Invalid, NotFound, Unauthenticated
from backend.identity import profiles
from backend.identity import services as identity
from backend.listings import figures

router = Router(tags=["Accounts"])


def device_of(request: HttpRequest) -> identity.Device:
    """The device that a request comes from. A living session may speak for it: its token in the usual header."""
    session_id = None
    scheme, _space, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token:
        try:
            session_id = identity.authenticate(token=token.strip(), now=timezone.now()).session_id
        except Unauthenticated:
            session_id = None
    return identity.Device(throttling.address(request), request.headers.get("User-Agent", ""), session_id)


def signed_in_payload(result: identity.SignedIn) -> dict[str, Any]:
    """Who has just signed in, with both tokens."""
    user = result.user
    return {
        "id": user.pk,
        "username": user.username,
        "email": user.email,
        "roles": sorted(user.roles),
        "token": result.access,
        "refresh": result.refresh,
    }


def user_of(request: HttpRequest) -> User:
    """The signed-in user of a request."""
    return request.auth  # type: ignore[attr-defined]


@router.post(
    "/register/",
    auth=None,
    response=responses(types.SignedInOut, identity.EmailTaken, identity.UsernameTaken, status=201),
    summary="Make an account",
)
def register(request: HttpRequest, body: types.RegisterIn) -> Any:
    """Make an account and sign it in. Names and addresses are unique without regard to case."""
    result = identity.register(
        username=body.username,
        email=body.email,
        password=body.password,
        role=body.role,
        device=device_of(request),
        now=timezone.now(),
    )
    return signed_in_payload(result)


@router.post(
    "/login/",
    auth=None,
    response=responses(types.SignedInOut, identity.InvalidCredentials, identity.MfaRequired),
    summary="Sign in",
)
def login(request: HttpRequest, body: types.LoginIn) -> Any:
    """Sign in by email or username. Unknown accounts are answered as wrong passwords are."""
    given = [
        (name, value)
        for name, value in (("email", body.email), ("username", body.username))
        if value is not None
    ]
    if len(given) != 1:
        raise Invalid.field("email", "required", _("Send email or username, one of them."))
    result = identity.sign_in(
        login=given[0][1], password=body.password, device=device_of(request), now=timezone.now()
    )
    return signed_in_payload(result)


@router.post(
    "/token/refresh/",
    auth=None,
    response=responses(types.TokensOut, identity.RefreshRefused),
    summary="Get the next pair of tokens",
)
def refresh(request: HttpRequest, body: types.RefreshIn) -> Any:
    """Change the refresh token for a new pair. Used twice it ends the session; a lost answer may be asked for again
    within ten seconds."""
    result = identity.refresh(token=body.refresh, now=timezone.now())
    return {"token": result.access, "refresh": result.refresh}


@router.post("/logout/", response=responses(None, status=204), summary="Sign out")
def logout(request: HttpRequest) -> None:
    """End this session: its access token and its refresh token are dead at once."""
    session_id = user_of(request).session_id
    if session_id is not None:
        identity.sign_out(session_id=session_id, now=timezone.now())


@router.post("/password/change/", response=responses(None, status=204), summary="Change the password")
def change_password(request: HttpRequest, body: types.PasswordChange) -> None:
    """Set a new password. All other devices are signed out."""
    identity.change_password(
        actor=user_of(request),
        current=body.current_password,
        new=body.new_password,
        device=device_of(request),
        now=timezone.now(),
    )


@router.get("/profile/", response=responses(types.UserOut), summary="My profile")
def get_profile(request: HttpRequest) -> HttpResponse:
    """One's own profile. Preferences that were never set are null."""
    return _profile(request, profiles.person(user_of(request).pk))


@router.put(
    "/profile/",
    response=responses(types.UserOut, identity.EmailTaken, identity.StepUpRequired),
    summary="Change my profile",
)
def put_profile(request: HttpRequest, body: types.ProfilePut) -> HttpResponse:
    """Change the profile as a whole: ``email`` is needed, what is not sent stays."""
    return _change(request, body)


@router.patch(
    "/profile/",
    response=responses(types.UserOut, identity.EmailTaken, identity.StepUpRequired),
    summary="Change parts of my profile",
)
def patch_profile(request: HttpRequest, body: types.ProfilePatch) -> HttpResponse:
    """Change what is sent; null empties. A new email address or phone number starts unverified."""
    return _change(request, body)


@router.put("/profile/photo/", response=responses(types.UserOut), summary="Set my photo")
def put_photo(
    request: HttpRequest,
    photo: UploadedFile | None = File(None),  # noqa: B008 - Ninja's way to declare a file
    image: UploadedFile | None = File(None),  # noqa: B008
    file: UploadedFile | None = File(None),  # noqa: B008
) -> HttpResponse:
    """Upload a JPEG, PNG, WebP, AVIF or HEIC as ``photo`` (``image`` and ``file`` are understood too)."""
    sent = [each for each in (photo, image, file) if each is not None]
    if len(sent) != 1:
        raise Invalid.field("photo", "required", _("Send one picture."))
    user = user_of(request)
    return _profile(request, profiles.set_photo(actor=user, user=user, file=sent[0], now=timezone.now()))


@router.delete("/profile/photo/", response=responses(None, status=204), summary="Remove my photo")
def delete_photo(request: HttpRequest) -> None:
    """Take one's photo away; without one nothing happens."""
    user = user_of(request)
    profiles.remove_photo(actor=user, user=user, now=timezone.now())


@router.post("/profile/host/", response=responses(types.UserOut), summary="Become a host")
def become_host(request: HttpRequest) -> HttpResponse:
    """Be allowed to list places. Again it changes nothing."""
    user = user_of(request)
    return _profile(request, profiles.become_host(actor=user, user=user, now=timezone.now()))


@router.get("/profile/sessions/", response=responses(Page[types.SessionOut]), summary="My signed-in devices")
def list_sessions(request: HttpRequest, params: Query[PageQuery]) -> Any:
    """The devices that are signed in, the newest first."""
    user = user_of(request)
    living = Session.objects.filter(user_id=user.pk, revoked_at=None, expires_at__gt=timezone.now())
    return pagination.page(
        request,
        living,
        params,
        lambda session: types.session_payload(session, user.session_id),
        key=("-created_at", "-id"),
    )


@router.delete(
    "/profile/sessions/{uuid:session_id}/",
    response=responses(None, NotFound, status=204),
    summary="Sign a device out",
)
def delete_session(request: HttpRequest, session_id: UUID) -> None:
    """End one of one's own sessions: its tokens are dead at once."""
    identity.end_session(actor=user_of(request), session_id=session_id, now=timezone.now())


@router.get(
    "/users/{int:user_id}/",
    auth=optional_bearer,
    response=responses(types.PersonOut, NotFound),
    summary="The public face of a user",
)
def get_user(request: HttpRequest, user_id: int) -> HttpResponse:
    """What everyone may know of a user: first name, photo, languages, since when, verified marks, host figures."""
    user = profiles.public_face(user_id)
    payload = types.person_payload(user, figures.of_hosts([user.pk])[user.pk])
    return etag_response(request, etag({**payload, "photo": str(user.profile.photo)}), payload)


def _profile(request: HttpRequest, user: User) -> HttpResponse:
    tag, payload = etag(types.version(user)), types.user_payload(user)
    if request.method in throttling.READS:
        return etag_response(request, tag, payload)
    response = HttpResponse(dumps(payload), content_type="application/json; charset=utf-8")
    response["ETag"] = tag
    return response


def _change(request: HttpRequest, body: types.ProfilePatch) -> HttpResponse:
    user = user_of(request)

    def unchanged(present: User) -> None:
        require_match(request, etag(types.version(present)))
        refused = types.changed_read_only(body, present)
        if refused:
            message = _("This cannot be changed here.")
            raise Invalid(message, errors=[FieldError(name, "read_only", message) for name in refused])

    changes = body.model_dump(exclude_unset=True, exclude=set(types.READ_ONLY))
    changed = profiles.update_profile(
        actor=user, user=user, changes=changes, now=timezone.now(), unchanged=unchanged
    )
    return _profile(request, changed)
