"""Through a person's eyes: what their own front end would be given, as pages that can change nothing.

Each page asks the domain's readers with the person as the one who asks, in a transaction that PostgreSQL keeps from
writing (``identity.viewing.read_only``). What is masked from the member of staff elsewhere is masked here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast
from urllib.parse import urlencode

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _

from admin_site.frame.custom import CustomPage, register_page
from admin_site.people import seen
from backend.accounts.models import User
from backend.core import access
from backend.core.errors import Conflict, DomainError, NotFound
from backend.identity import viewing
from backend.identity.viewing import View
from backend.messaging import revealing

KEPT = "viewing"
"""Where the session of a member of staff keeps whose eyes they look through."""

Make = Callable[[User, Any, int | None, datetime], dict[str, Any]]


@dataclass(frozen=True)
class Section:
    """A page of theirs: its words, what makes it (person, reader, number, now), and the permission that it takes."""

    key: str
    title: Any
    icon: str
    make: Make
    needs: str
    menu: bool = True


SECTIONS = {
    section.key: section
    for section in (
        Section("profile", _("Profile"), "person", seen.profile, "accounts.view_user"),
        Section("bookings", _("Bookings"), "event_available", seen.bookings, "bookings.view_booking"),
        Section(
            "booking", _("Booking"), "event_available", seen.booking, "bookings.view_booking", menu=False
        ),
        Section("listings", _("Listings"), "home_work", seen.listings, "listings.view_listing"),
        Section(
            "calendar", _("Calendar"), "calendar_month", seen.calendar, "listings.view_listing", menu=False
        ),
        Section(
            "conversations",
            _("Conversations"),
            "forum",
            seen.conversations,
            "messaging.view_conversation",
        ),
        Section(
            "conversation",
            _("Conversation"),
            "forum",
            seen.conversation,
            "messaging.view_conversation",
            menu=False,
        ),
        Section(
            "notifications",
            _("Notifications"),
            "notifications",
            seen.notifications,
            "notifications.view_notification",
        ),
        Section("payouts", _("Payouts"), "account_balance_wallet", seen.payouts, "payments.view_payout"),
    )
}


def keep(request: HttpRequest, view: View) -> None:
    """Remember for this sign-in whose eyes its owner looks through."""
    request.session[KEPT] = view.kept()


def view_of(request: HttpRequest) -> View | None:
    """Whose eyes the reader looks through, if anybody's."""
    kept = request.session.get(KEPT)
    return View.read(kept) if kept else None


def url(person_id: int, section: str = "", number: int | None = None) -> str:
    """The address of a page as ``person_id`` sees it."""
    query = {"show": section} if section else {}
    if number is not None:
        query["id"] = str(number)
    return PAGE.url(person_id) + (f"?{urlencode(query)}" if query else "")


def page(request: HttpRequest, person_id: int) -> HttpResponseBase:
    """GET: a page of theirs. POST: the end of it."""
    reader, now, view = cast(User, request.user), timezone.now(), view_of(request)
    if request.method == "POST":
        return _end(request, person_id, view, now)
    section = _section(request)
    number = _number(request)
    if not reader.has_perm(section.needs):
        frame = _frame(reader, person_id, section)
        return PAGE.render(request, "admin_site/view_as/closed.html", frame)
    try:
        person = viewing.look(
            actor=reader,
            view=view,
            person_id=person_id,
            page=f"{section.key} {number or ''}".strip(),
            now=now,
        )
    except Conflict as refusal:
        return _over(request, person_id, view, refusal, now)
    lines = _lines(reader, person, section, number, view, now)
    with viewing.read_only():
        try:
            shown = section.make(person, reader, number, now)
        except NotFound:
            raise Http404 from None
        frame = _frame(reader, person_id, section)
        context = {**frame, **shown, "lines": lines, "person": person, "view": view, "now": now}
        context["left_s"] = max(1, int((cast(View, view).ends_at - now).total_seconds()) + 1)
        response: TemplateResponse = PAGE.render(
            request, f"admin_site/view_as/{shown['template']}.html", context
        )
        response.render()
    response["Cache-Control"] = "private, no-store"
    return response


def _frame(reader: Any, person_id: int, section: Section) -> dict[str, Any]:
    """What every page has around it: the way to the others."""
    return {
        "title": section.title,
        "section": section,
        "menu": [
            (each.key == section.key, each.title, each.icon, url(person_id, each.key))
            for each in SECTIONS.values()
            if each.menu and reader.has_perm(each.needs)
        ],
        "end_url": PAGE.url(person_id),
        "person_url": reverse("admin:accounts_user_change", args=(person_id,)),
    }


def _lines(
    reader: Any, person: User, section: Section, number: int | None, view: View | None, now: datetime
) -> list[revealing.Line]:
    """The words of a conversation, for those who may read them; that they did is noted before anything is shown.

    Raises: Http404 for one that the person is not in.
    """
    if section.key != "conversation" or view is None:
        return []
    row = seen.conversation_of(person, number)
    if row is None:
        raise Http404
    if not access.can(reader, "conversation.look", row):
        return []
    return revealing.look(
        actor=reader, conversation=row, reason=view.reason, now=now, language=get_language() or ""
    )


def _end(request: HttpRequest, person_id: int, view: View | None, now: datetime) -> HttpResponseBase:
    if view is None or view.person_id != person_id:
        return _over(request, person_id, view, viewing.ViewOver(), now)
    viewing.end(actor=request.user, view=view, now=now)
    del request.session[KEPT]
    messages.success(request, _("You see the back office with your own eyes again."))
    return HttpResponseRedirect(reverse("admin:accounts_user_change", args=(person_id,)))


def _over(
    request: HttpRequest, person_id: int, view: View | None, refusal: DomainError, now: datetime
) -> HttpResponseBase:
    """There is nothing to see; what had begun for this person is over now."""
    if view is not None and view.person_id == person_id:
        viewing.end(actor=request.user, view=view, now=now)
        del request.session[KEPT]
    person_url = reverse("admin:accounts_user_change", args=(person_id,))
    context = {"refusal": refusal.detail, "person_url": person_url}
    return PAGE.render(request, "admin_site/view_as/over.html", context)


def _section(request: HttpRequest) -> Section:
    section = SECTIONS.get(request.GET.get("show", "profile"))
    if section is None:
        raise Http404
    return section


def _number(request: HttpRequest) -> int | None:
    word = request.GET.get("id", "")
    return int(word) if word.isascii() and word.isdigit() and len(word) < 19 else None


PAGE = register_page(
    CustomPage(
        "view_as",
        _("View as"),
        "visibility",
        page,
        rule="user.view_as",
        route="people/<int:person_id>/as/",
        methods=("GET", "POST"),
    )
)
