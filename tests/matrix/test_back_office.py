"""Every address of the back office as every member of the staff and as everybody else, against one table.

What is not in the table is closed: a new page or action must be placed here. No form does anything without a reason,
and a refusal changes no row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from ipaddress import ip_network
from typing import Any

import pytest
from django.contrib import admin
from django.core.cache import cache
from django.db import transaction
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from admin_site.frame.custom import PAGES as PAGES_OF_THEIR_OWN
from backend.accounts.models import HostStanding, User
from backend.availability.models import Block
from backend.bookings.models import Booking, HostPenalty
from backend.core import platform
from backend.core.models import FirewallRule, ThrottledSubject
from backend.identity import suspension
from backend.moderation.models import Case, Decision, Flag, Strike, TextRule
from backend.notifications.models import SuppressedAddress
from backend.payments.models import (
    Payment,
    PayoutSplit,
    ProviderEvent,
    ProviderRoute,
    ReconciliationDifference,
    ReconciliationRun,
    RefundRequest,
)
from backend.privacy.models import Erasure, RetentionRun
from backend.rates.models import ServiceFeeTerms
from tests.admin_site.test_pages import SEES
from tests.admin_site.world import signed_in, staff
from tests.factories import NOW, PASSWORD, make_user
from tests.matrix.tables import Tables
from tests.matrix.world import MISSING, World, build

SUPPORT, MODERATOR, FINANCE, ADMIN = "support", "moderator", "finance", "admin"
ROLES = (SUPPORT, MODERATOR, FINANCE, ADMIN)
MONEY, MODERATES = {FINANCE, ADMIN}, {MODERATOR, ADMIN}

ACTIONS: dict[str, set[str]] = {
    "accounts_user_suspend": MODERATES,
    "accounts_user_restore": MODERATES,
    "accounts_user_sign_out": {SUPPORT, MODERATOR, ADMIN},
    "accounts_user_sign_out_device": {SUPPORT, MODERATOR, ADMIN},
    "accounts_user_view_as": {SUPPORT, ADMIN},
    "accounts_user_export": {MODERATOR, FINANCE, ADMIN},
    "accounts_user_grant_role": {ADMIN},
    "accounts_user_unlink": MODERATES,
    "accounts_user_erase": {ADMIN},
    "accounts_user_reveal": {SUPPORT, FINANCE},
    "accounts_apikey_revoke": {SUPPORT, MODERATOR, ADMIN},
    **{
        f"webhooks_webhookendpoint_{act}": {SUPPORT, ADMIN}
        for act in ("send_test", "send_again", "switch_off")
    },
    "webhooks_webhookdelivery_send_again": {SUPPORT, ADMIN},
    "accounts_identitycheck_approve": MODERATES,
    "accounts_identitycheck_refuse": MODERATES,
    "accounts_identitycheck_picture": MODERATES,
    "audit_auditentry_export": {ADMIN},
    "audit_auditentry_table": {ADMIN},
    "core_firewallrule_add_rule": MODERATES,
    "core_firewallrule_export": MODERATES,
    "core_firewallrule_import_rows": MODERATES,
    "core_firewallrule_remove": MODERATES,
    "core_firewallrule_switch_off": MODERATES,
    "core_firewallrule_switch_on": MODERATES,
    "core_firewallrule_try_address": MODERATES,
    "core_throttledsubject_block": MODERATES,
    "privacy_erasure_go_on": {ADMIN},
    **{
        f"moderation_case_{act}": MODERATES
        for act in (
            *("take", "give_back", "approve", "ask_for_changes", "flag", "reject", "suspend", "hide"),
            *("suspend_person", "dismiss", "take_back", "let_stand", "letter"),
        )
    },
    "moderation_flag_dismiss": MODERATES,
    **{
        f"moderation_textrule_{act}": MODERATES for act in ("add_rule", "try_rule", "switch_on", "switch_off")
    },
    **{
        f"moderation_report_{act}": MODERATES
        for act in ("uphold", "uphold_and_hide", "uphold_and_suspend", "dismiss")
    },
    **{f"reviews_review_{act}": MODERATES for act in ("hide", "unhide", "uphold")},
    "accounts_user_revoke_role": {ADMIN},
    "bookings_booking_cancel": {SUPPORT, ADMIN},
    "bookings_booking_move": {SUPPORT, ADMIN},
    "bookings_booking_extend": {SUPPORT, ADMIN},
    "bookings_booking_send_again": {SUPPORT, ADMIN},
    "bookings_booking_waive": MONEY,
    "bookings_booking_export": MONEY,
    "bookings_booking_refund": MONEY,
    "bookings_hostpenalty_waive": MONEY,
    "bookings_cancellationpolicy_simulate": {SUPPORT, FINANCE, ADMIN},
    "bookings_cancellationpolicy_simulate_this": {SUPPORT, FINANCE, ADMIN},
    "bookings_cancellationpolicy_publish": {ADMIN},
    "notifications_delivery_preview": {SUPPORT, ADMIN},
    "notifications_delivery_sheet": {SUPPORT, ADMIN},
    "notifications_delivery_retry": {SUPPORT, ADMIN},
    "notifications_suppressedaddress_release": {SUPPORT, ADMIN},
    "payments_dispute_accept": MONEY,
    "payments_dispute_give_evidence": MONEY,
    "payments_dispute_note_evidence": MONEY,
    **{
        f"payments_{kind}_export": MONEY
        for kind in (
            *("dispute", "document", "ledgerentry", "moneyop", "payout"),
            *("reconciliationdifference", "refundrequest"),
        )
    },
    "payments_reconciliationdifference_ask_again": MONEY,
    "payments_document_pdf": MONEY,
    "payments_document_send_again": {SUPPORT, *MONEY},
    "payments_payment_export": MONEY,
    "payments_payment_refund": MONEY,
    "payments_payment_make_again": MONEY,
    "payments_payoutaccount_reveal": MONEY,
    **{f"payments_payout_{act}_many": MONEY for act in ("hold", "release", "retry")},
    "payments_payout_hold": {SUPPORT, *MONEY},
    "payments_payout_release": MONEY,
    "payments_payout_retry": MONEY,
    "payments_payout_pay_now": MONEY,
    "payments_providerevent_retry": MONEY,
    "payments_reconciliationdifference_settle": MONEY,
    "payments_refundrequest_approve": MONEY,
    "payments_refundrequest_decline": MONEY,
    "payments_refundrequest_withdraw": set(),
    "payments_providerroute_add_route": MONEY,
    "payments_providerroute_set_rank": MONEY,
    "payments_providerroute_switch_off": MONEY,
    "payments_providerroute_switch_on": MONEY,
    "payments_providerroute_remove": MONEY,
    "core_exchangerate_export": MONEY,
    "core_exchangerate_fetch": MONEY,
    "core_exchangerate_import_rows": MONEY,
    "core_exchangerate_put": MONEY,
    "core_platformsetting_effect": {ADMIN},
    "core_platformsetting_set_default": {ADMIN},
    "core_platformsetting_set_value": {ADMIN},
    "core_platformsetting_withdraw": {ADMIN},
    "rates_servicefeeterms_set_terms": MONEY,
    "rates_promocode_add_code": MONEY,
    "rates_promocode_export": {MODERATOR, *MONEY},
    "rates_promocode_import_rows": MONEY,
    **{
        f"rates_{kind}_{act}": {ADMIN}
        for kind in ("pricerule", "fee", "tax", "promocode")
        for act in ("edit", "remove")
    },
    "availability_calendarfeed_poll": {ADMIN},
    "availability_feedconflict_decide": {ADMIN},
    "procrastinate_procrastinatejob_retry": {ADMIN},
    "procrastinate_procrastinatejob_discard": {ADMIN},
    "listings_listing_reveal": {SUPPORT},
    "messaging_conversation_reveal": {SUPPORT, MODERATOR, ADMIN},
    "listings_listing_price_a_stay": {SUPPORT, MODERATOR, ADMIN},
    "listings_listing_picture": {SUPPORT, MODERATOR, ADMIN},
    "listings_cohost_withdraw": MODERATES,
    "listings_listing_approve": MODERATES,
    "listings_listing_flag": MODERATES,
    "listings_listing_reject": MODERATES,
    **{
        f"listings_listing_{act}": {ADMIN}
        for act in (
            *("change_rules", "set_dates", "add_code", "add_discount", "add_fee"),
            *("add_season", "add_tax", "add_weekend"),
        )
    },
}
"""Action → who may. The rows that are tried are of people who are not staff."""

UNLIKE = {
    "bookings_cancellationpolicy_simulate_this": 302,
    "listings_listing_picture": 302,
    # They lead to the page of the import.
    **dict.fromkeys(
        (f"{page}_import_rows" for page in ("core_firewallrule", "core_exchangerate", "rates_promocode")), 302
    ),
    # There is no picture, and no table that was asked for.
    "accounts_identitycheck_picture": 404,
    "audit_auditentry_table": 404,
    # There is no kind that was asked for.
    "notifications_delivery_sheet": 404,
}
"""What whoever may hears where it is not a dialog."""

FORMS: dict[str, dict[str, set[str]]] = {
    "listings_amenity": {"change": {ADMIN}},
    # Its rows have no page of their own: whatever is asked, the whole list is shown, and nothing done.
    "privacy_retentionrun": {"change": {ADMIN}},
}
"""Pages whose own form may be sent; every other one is closed to all."""

PAGES: dict[str, int] = {
    "index": 200,
    "search": 200,
    "jsi18n": 200,
    "password_change": 200,
    "password_change_done": 200,
    "autocomplete": 403,
    "logout": 405,
    "language": 405,
    "keep_filter": 405,
    "forget_filter": 405,
}
"""Pages of the site itself → what every member of the staff hears by GET."""

WANTED = {"forget_filter": (MISSING,)}
"""Pages of the site whose address names a row."""

OWN: dict[str, tuple[set[str], tuple[Any, ...]]] = {
    "page_booking_timeline": ({SUPPORT, FINANCE, ADMIN}, ("bookings_booking",)),
    "page_listing_calendar": ({SUPPORT, MODERATOR, ADMIN}, ("listings_listing",)),
    "page_host_calendar": ({SUPPORT, MODERATOR, ADMIN}, ("accounts_user",)),
    "page_import_exchange_rates": (MONEY, ()),
    "page_import_firewall_rules": (MODERATES, ()),
    "page_import_promo_codes": (MONEY, ()),
    "page_money": ({FINANCE, ADMIN}, ()),
    "page_money_reports": ({FINANCE, ADMIN}, ()),
    "page_system": ({ADMIN}, ()),
    "page_figures": ({ADMIN}, ()),
    "page_requests": ({SUPPORT, ADMIN}, ()),
    "page_view_as": ({SUPPORT, ADMIN}, ("accounts_user",)),
    "page_text": ({ADMIN}, ("text_kind", "text_language")),
    "page_texts": ({ADMIN}, ()),
    "page_analytics": ({*ROLES}, ()),
}
"""Pages that are no lists of rows (``admin_site.frame.custom``) → who may, and what their address needs: words of ``rows``."""

OPEN = {"login"}
ELSEWHERE = {"view_on_site": 404, "app_list": 404}


@dataclass
class Office:
    """The built world, its tables, a browser a person, a row a model."""

    tables: Tables
    clients: dict[str, Client]
    roles: dict[str, str]
    rows: dict[str, Any] = field(default_factory=dict)


@pytest.fixture(scope="module")
def office(db: None) -> Iterator[Office]:
    world = build()
    _money(world)
    people = {role: world.people[role] for role in ROLES}
    people |= {"superuser": world.people["superuser"]}
    people |= {"nobody": staff("guest", username="nobody")}
    people |= {
        name: staff("admin", username=f"staff_{name}") for name in ("suspended", "erased", "inactive", "left")
    }
    people |= {"guest": world.people["guest"], "host": world.people["host"]}
    clients = {name: signed_in(user) for name, user in people.items()} | {"anonymous": Client()}
    suspension.suspend(actor=people["admin"], user=people["suspended"], reason="Gone", now=NOW)
    User.objects.filter(pk=people["erased"].pk).update(erased_at=NOW, is_active=False)
    User.objects.filter(pk=people["inactive"].pk).update(is_active=False)
    suspension.revoke_role(actor=people["admin"], user=people["left"], role="admin", now=NOW)
    roles = {**{role: role for role in ROLES}, "superuser": ADMIN, "nobody": ""}
    rows = _rows(world)
    # A document's page is made when it is first read.
    clients["admin"].get(reverse("admin:payments_document_pdf", args=(rows["payments_document"],)))
    tables = Tables(ignored=("django_session",))
    try:
        yield Office(tables, clients, roles, rows)
    finally:
        tables.drop()


def _money(world: World) -> None:
    """Rows of what the world has not."""
    host, booking = world.people["host"], Booking.objects.get(pk=world.ids["booking"])
    HostPenalty.objects.create(
        booking=booking,
        host=host,
        percent=25,
        base_minor=30_000,
        amount_minor=7_500,
        currency="EUR",
        created_at=NOW,
    )
    PayoutSplit.objects.create(
        listing=booking.listing, user=world.people["other_host"], percent=10, created_at=NOW
    )
    ProviderEvent.objects.create(
        provider="sandbox", event_id="evt_1", type="payment", object_ref="o", payload={}, received_at=NOW
    )
    ProviderRoute.objects.create(direction="in", provider="sandbox")
    ReconciliationRun.objects.create(provider="sandbox", since=NOW, until=NOW, ran_at=NOW)
    ReconciliationDifference.objects.create(
        provider="sandbox",
        key="k",
        what=ReconciliationDifference.What.values[0],
        first_seen_at=NOW,
        last_seen_at=NOW,
    )
    RefundRequest.objects.create(
        folio=booking.folio,
        amount_minor=1000,
        currency="EUR",
        reason="Noise",
        requested_by=make_user("finance"),
        created_at=NOW,
    )
    ServiceFeeTerms.objects.create(
        host=host, model="split", host_percent=3, guest_percent=14, effective_from=NOW, created_at=NOW
    )
    FirewallRule.objects.create(
        network=ip_network("203.0.113.9/32"), door="api", effect="block", created_at=NOW
    )
    ThrottledSubject.objects.create(policy="anonymous", subject="203.0.113.9", first_at=NOW, last_at=NOW)
    HostStanding.objects.create(
        host=host,
        quarter=NOW.date(),
        stays=1,
        nights=3,
        cancellation_rate=0,
        is_superhost=False,
        computed_at=NOW,
    )
    SuppressedAddress.objects.create(
        user=make_user(), channel="email", address="gone@example.com", created_at=NOW
    )
    _moderated(booking)
    Erasure.objects.create(user=make_user(), asked_by=world.people["admin"], asked_at=NOW)
    RetentionRun.objects.create(rule="sessions", ran_at=NOW, last_count=0, total=0)
    with transaction.atomic():
        platform.put("hold_minutes", 30)
    assert Payment.objects.exists()
    assert Block.objects.exists()


def _moderated(booking: Booking) -> None:
    """A rule, what it has found, and a strike for something that is over."""
    TextRule.objects.create(pattern="cash only", created_at=NOW)
    person = make_user()
    case = Case.objects.create(
        user=person, person=person, status="closed", opened_at=NOW, due_at=NOW, decided_at=NOW, closed_at=NOW
    )
    decision = Decision.objects.create(
        case=case, person=person, action="suspend_person", reason_code="unsafe", decided_at=NOW
    )
    Strike.objects.create(
        decision=decision,
        person=person,
        points=3,
        reason_code="unsafe",
        created_at=NOW,
        expires_at=NOW + timedelta(days=365),
    )
    listing = booking.listing
    about = Case.objects.create(listing=listing, person=listing.host, opened_at=NOW, due_at=NOW)
    Flag.objects.create(case=about, listing=listing, kind="words", fingerprint="x", created_at=NOW)


def _rows(world: World) -> dict[str, Any]:
    """A row of every page: of the world's things where there are several."""
    chosen = {
        "accounts_user": world.people["guest"].pk,
        "listings_listing": world.ids["listing"],
        "bookings_booking": world.ids["booking"],
        "core_platformsetting": "hold_minutes",
        "text_kind": "booking.confirmed",
        "text_language": "fr",
    }
    for model in admin.site._registry:
        name = f"{model._meta.app_label}_{model._meta.model_name}"
        chosen.setdefault(name, model._default_manager.order_by("pk").values_list("pk", flat=True).first())
    return chosen


def every_address() -> dict[str, URLPattern]:
    """Name → pattern of all that the back office answers to."""
    found: dict[str, URLPattern] = {}

    def walk(patterns: list[Any]) -> None:
        for pattern in patterns:
            if isinstance(pattern, URLResolver):
                walk(pattern.url_patterns)
            elif pattern.name:
                found[pattern.name] = pattern

    for resolver in get_resolver().url_patterns:
        if str(resolver.pattern) == "admin/":
            walk(resolver.url_patterns)
    return found


def _pages() -> set[str]:
    return {f"{model._meta.app_label}_{model._meta.model_name}" for model in admin.site._registry}


KINDS = ("changelist", "add", "history", "delete", "change")


def test_every_address_is_placed(office: Office) -> None:
    ours = {f"{page}_{kind}" for page in _pages() for kind in KINDS}
    ours |= {*ACTIONS, *PAGES, *OWN, *OPEN, *ELSEWHERE}

    assert ours == set(every_address())
    assert {name: row for name, row in office.rows.items() if row is None} == {}


@pytest.mark.parametrize("name", sorted(ACTIONS))
def test_actions(office: Office, name: str) -> None:
    page = next(page for page in _pages() if name.startswith(f"{page}_"))
    address = _address(office, name, page)
    submitted = {"_form_submitted": "on"}
    shown = _heard(office, lambda client: client.get(address))
    sent = _heard(office, lambda client: client.post(address, submitted, HTTP_HX_REQUEST="true"))

    found = UNLIKE.get(name, 200)
    expected = {person: _of(office, person, ACTIONS[name], found) for person in office.clients}
    assert shown == expected
    assert sent == expected


@pytest.mark.parametrize("page", sorted(_pages()))
def test_pages(office: Office, page: str) -> None:
    sees = {role for role in ROLES if page.replace("_", ".", 1) in SEES[role]}
    row = office.rows[page]
    for kind in KINDS:
        address = reverse(f"admin:{page}_{kind}", args=() if kind in ("changelist", "add") else (row,))
        may = FORMS.get(page, {}).get(kind, set())
        # An object's history is a list of the audit log, which has its own rule.
        reads, found = (set(ROLES) | {""}, 302) if kind == "history" else (sees, 200)
        reads = may if kind in ("add", "delete") else reads
        read = _heard(office, lambda client: client.get(address))  # noqa: B023 - asked at once
        assert read == {name: _of(office, name, reads, found) for name in office.clients}, kind
        if kind in ("add", "change", "delete"):
            sent = _heard(office, lambda client: client.post(address, {}))  # noqa: B023
            assert sent == {name: _of(office, name, may, 200) for name in office.clients}, kind
        if kind in ("history", "delete", "change") and page != "core_platformsetting":
            # Who may not see a page hears nothing of what is on it, not even whether it is there.
            gone = reverse(f"admin:{page}_{kind}", args=(MISSING,))
            shut_out = [name for name in office.clients if read[name] == (403, [])]
            heard = _heard(office, lambda client: client.get(gone), shut_out)  # noqa: B023
            assert heard == dict.fromkeys(shut_out, (403, [])), kind


def test_pages_of_the_site(office: Office) -> None:
    for name, status in PAGES.items():
        address = reverse(f"admin:{name}", args=WANTED.get(name, ()))
        heard = _heard(office, lambda client: client.get(address))  # noqa: B023
        assert heard == {who: _of(office, who, {*ROLES, ""}, status) for who in office.clients}, name


@pytest.mark.parametrize("name", sorted(OWN))
def test_pages_of_their_own(office: Office, name: str) -> None:
    may, words = OWN[name]
    address = reverse(f"admin:{name}", args=[office.rows[word] for word in words])
    takes = PAGES_OF_THEIR_OWN[name.removeprefix("page_")].methods

    heard = _heard(office, lambda client: client.get(address))
    assert heard == {who: _of(office, who, may, 200 if "GET" in takes else 405) for who in office.clients}
    heard = _heard(office, lambda client: client.post(address))
    assert heard == {who: _of(office, who, may, 200 if "POST" in takes else 405) for who in office.clients}


def test_search_and_dashboard_show_only_what_one_may_see(office: Office) -> None:
    cache.clear()
    for person, role in office.roles.items():
        client = office.clients[person]
        found = client.get(reverse("admin:search"), {"s": "guest", "extended": "1"}).content.decode()
        assert ("/admin/accounts/user/" in found) == ("accounts.user" in SEES.get(role, set())), person
        found = client.get(reverse("admin:search"), {"s": "Flat", "extended": "1"}).content.decode()
        assert ("/admin/listings/listing/" in found) == ("listings.listing" in SEES.get(role, set())), person
        home = client.get(reverse("admin:index"))
        assert home.context["sees_bookings"] == ("bookings.booking" in SEES.get(role, set())), person


def test_a_role_that_is_taken_away_is_gone_at_the_next_click(office: Office) -> None:
    assert User.objects.get(username="staff_left").check_password(PASSWORD)
    assert office.clients["left"].get(reverse("admin:index")).status_code == 302


def _address(office: Office, name: str, page: str) -> str:
    pattern = every_address()[name].pattern
    return reverse(f"admin:{name}", args=(office.rows[page],) if pattern.converters else ())


def _of(office: Office, person: str, may: set[str], status: int) -> tuple[int, list[str]]:
    """What a person hears where ``may`` (roles; "": staff without one) hear ``status``."""
    if person not in office.roles:
        return 302, []
    return (status if office.roles[person] in may else 403), []


def _heard(
    office: Office, send: Callable[[Client], Any], people: Iterable[str] | None = None
) -> dict[str, tuple[int, list[str]]]:
    """What each of ``people`` (none: everybody) hears, and the tables that their requests have changed; none may."""
    asked = office.clients if people is None else people
    answers = {person: send(office.clients[person]) for person in asked}
    changed = office.tables.changed()
    office.tables.restore(changed)
    return {person: (answer.status_code, changed) for person, answer in answers.items()}
