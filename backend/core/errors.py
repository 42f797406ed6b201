"""The families of domain errors.

An error is a class declared beside the operation that raises it. Its family gives the HTTP status, its
``code`` the stable machine word, its ``title`` the sentence that people read (translated when it is shown).
Doors turn it into their own form: the API into a problem document, the back office into a message, the
websocket into an ``error`` frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

Text = str | Promise


@dataclass(frozen=True, slots=True)
class FieldError:
    """One refused field: its dotted path on the wire, a stable code, and the sentence about it."""

    field: str
    code: str
    message: Text


class DomainError(Exception):
    """What an operation refuses, with the reason. Nothing was changed when it is raised.

    ``detail`` is a translated sentence about this very case, ``errors`` name fields, ``extra`` are further members
    of the problem document (plain JSON values), ``retry_after`` is in seconds.
    """

    status: int = 500
    code: str = "error"
    title: Text = _("The request could not be carried out.")

    def __init__(
        self,
        detail: Text = "",
        *,
        errors: Sequence[FieldError] = (),
        extra: dict[str, Any] | None = None,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(detail or self.title)
        self.detail = detail or self.title
        self.errors = tuple(errors)
        self.extra = extra or {}
        self.retry_after = retry_after


class Invalid(DomainError):
    """422: what was sent breaks a rule."""

    status = 422
    code = "invalid"
    title = _("Some of what was sent is not valid.")

    @classmethod
    def field(cls, field: str, code: str, message: Text) -> Invalid:
        """An error about one field."""
        return cls(message, errors=[FieldError(field, code, message)])


class Unauthenticated(DomainError):
    """401: nobody, or nobody any more."""

    status = 401
    code = "unauthenticated"
    title = _("Sign in first.")


class NotAllowed(DomainError):
    """403: known, but may not."""

    status = 403
    code = "not_allowed"
    title = _("You may not do this.")


class NotFound(DomainError):
    """404: not there, or not for these eyes; the two look alike."""

    status = 404
    code = "not_found"
    title = _("There is nothing here.")


class Conflict(DomainError):
    """409: right in itself, but not in the state that things are in."""

    status = 409
    code = "conflict"
    title = _("This does not fit the present state.")


class WrongState(Conflict):
    """409: the object has moved on; the allowed edges of its state do not include this one."""

    code = "wrong_state"
    title = _("This is not possible in the present state.")


class Stale(DomainError):
    """412: the caller changes a version that is no longer the present one."""

    status = 412
    code = "precondition_failed"
    title = _("It was changed in the meantime. Load it again.")


class PaymentRefused(DomainError):
    """402: the provider said no, for good."""

    status = 402
    code = "payment_refused"
    title = _("The payment was refused.")


class Throttled(DomainError):
    """429: too often. ``retry_after`` says when again."""

    status = 429
    code = "rate_limited"
    title = _("Too many requests. Try again later.")


class Unavailable(DomainError):
    """503: a part that is needed does not answer at the moment."""

    status = 503
    code = "unavailable"
    title = _("This is not available at the moment. Try again soon.")

    def __init__(self, detail: Text = "", *, retry_after: int | None = 2, **kwargs: Any) -> None:
        super().__init__(detail, retry_after=retry_after, **kwargs)
