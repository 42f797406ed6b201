"""What of a person's data a member of staff sees whole, and how the rest looks.

Pages and their columns are shared by threads and are not told who reads. Who does is kept for as long as a page is made;
outside of that everything is masked. What is masked can still be looked up by whoever knows it, and be shown for a reason
(``revealing``).
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from functools import wraps
from typing import Any

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.template.response import SimpleTemplateResponse

from backend.accounts.models import ADMIN, FINANCE, MODERATOR, User

EMAIL, PHONE, NAME, ADDRESS, REPORT, CARD = "email", "phone", "name", "address", "report", "card"
SEES: dict[str, tuple[str, ...]] = {
    EMAIL: (MODERATOR, ADMIN),
    PHONE: (MODERATOR, ADMIN),
    NAME: (MODERATOR, FINANCE, ADMIN),
    ADDRESS: (MODERATOR, ADMIN),
    REPORT: (MODERATOR, ADMIN),
    CARD: (FINANCE, ADMIN),
}
"""Kind → the roles that see it whole: of a report who made it and what it says. Finance needs the names that stand on papers and bank transfers."""

HIDDEN = "•••"

_reader: ContextVar[Any] = ContextVar("reader", default=None)


def for_reader(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """Make a page for whoever asks for it, to its last column."""

    @wraps(view)
    def made(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        token = _reader.set(request.user)
        try:
            response = view(request, *args, **kwargs)
            if isinstance(response, SimpleTemplateResponse):
                response.render()
            return response
        finally:
            _reader.reset(token)

    return made


def sees(kind: str) -> bool:
    """Whether whoever the page is made for sees ``kind`` whole."""
    reader = _reader.get()
    return reader is not None and bool(reader.is_authenticated and reader.has_role(*SEES[kind]))


def email(address: str) -> str:
    """``j•••@e•••.com`` for those who may not see it; "–" for none."""
    if not address or sees(EMAIL):
        return address or "–"
    name, _at, domain = address.partition("@")
    return f"{name[:1]}{HIDDEN}@{domain[:1]}{HIDDEN}.{domain.rpartition('.')[2]}"


def phone(number: str) -> str:
    """The last two digits, enough to recognize a caller by; "–" for none."""
    if not number or sees(PHONE):
        return number or "–"
    return f"••••••{number[-2:]}"


def last_name(name: str) -> str:
    """The initial; "–" for none."""
    if not name or sees(NAME):
        return name or "–"
    return f"{name[0]}{HIDDEN}"


def full_name(user: User) -> str:
    """First name and what may be seen of the last one; the username of whoever has told neither."""
    if not user.last_name:
        return user.get_full_name()
    return f"{user.first_name} {last_name(user.last_name)}".strip()


def named(name: str) -> str:
    """A name in one piece, of somebody without an account: all but its first word is masked."""
    first, _space, rest = name.partition(" ")
    return f"{first} {last_name(rest)}" if rest else first


def address(value: Any) -> str:
    """A line of an address, or a coordinate; "–" for none."""
    if value in ("", None):
        return "–"
    return str(value) if sees(ADDRESS) else HIDDEN


def report(value: Any) -> Any:
    """Who made a report, or a text of it; "–" for none."""
    if value in ("", None):
        return "–"
    return value if sees(REPORT) else HIDDEN


def card(brand: str, last4: str) -> str:
    """``visa •••• 4242``; the digits for those who deal with the money only; "–" where none is known."""
    if not last4:
        return brand or "–"
    return f"{brand} •••• {last4 if sees(CARD) else HIDDEN}".strip()
