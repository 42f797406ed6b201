"""The way around the back office: groups of pages with badges of what waits, each for those who may see it."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from admin_site.frame.custom import OWN, PAGES
from admin_site.home import waiting
from backend.accounts.models import ADMIN
from backend.core import access

Page = tuple[Any, str, str, tuple[str, ...]]
"""Title, icon, ``app.model`` (or ``page:key`` of ``custom``) and the kinds of waiting things that its badge counts."""

GROUPS: list[tuple[Any, bool, list[Page]]] = [
    (
        _("Marketplace"),
        False,
        [
            (_("Listings"), "home_work", "listings.listing", ("review", "flagged")),
            (_("Bookings"), "event_available", "bookings.booking", ("requests",)),
            (_("Alterations"), "edit_calendar", "bookings.alteration", ()),
            (_("Inquiries"), "contact_support", "bookings.inquiry", ()),
            (_("Calendar feeds"), "sync", "availability.calendarfeed", ("feeds",)),
            (_("Calendar conflicts"), "event_busy", "availability.feedconflict", ("conflicts",)),
            (_("People"), "group", "accounts.user", ()),
            (_("Co-hosts"), "supervisor_account", "listings.cohost", ()),
            (_("Identity documents"), "badge", "accounts.identitycheck", ("identity",)),
            (_("Conversations"), "forum", "messaging.conversation", ()),
            (_("Analytics"), "monitoring", "page:analytics", ()),
        ],
    ),
    (
        _("Moderation"),
        False,
        [
            (_("Cases"), "gavel", "moderation.case", ("cases",)),
            (_("Reports"), "report", "moderation.report", ("reports",)),
            (_("Findings"), "flag", "moderation.flag", ()),
            (_("Reviews"), "reviews", "reviews.review", ("appeals",)),
            (_("Strikes"), "heart_broken", "moderation.strike", ()),
            (_("Text rules"), "spellcheck", "moderation.textrule", ()),
        ],
    ),
    (
        _("Terms"),
        False,
        [
            (_("Cancellation policies"), "event_repeat", "bookings.cancellationpolicy", ()),
            (_("Service fee"), "percent", "rates.servicefeeterms", ()),
            (_("Promotion codes"), "confirmation_number", "rates.promocode", ()),
        ],
    ),
    (
        _("Money"),
        False,
        [
            (_("Money desk"), "point_of_sale", "page:money", ()),
            (_("Payments"), "payments", "payments.payment", ("refunds",)),
            (_("Refunds by hand"), "undo", "payments.refundrequest", ("approvals",)),
            (_("Disputes"), "gavel", "payments.dispute", ("disputes",)),
            (_("Payouts"), "account_balance_wallet", "payments.payout", ("payouts",)),
            (_("Money operations"), "sync_alt", "payments.moneyop", ("money",)),
            (_("Hosts' penalties"), "money_off", "bookings.hostpenalty", ()),
            (_("Documents"), "description", "payments.document", ()),
            (_("Ledger"), "account_balance", "payments.ledgerentry", ()),
            (_("Reconciliation"), "difference", "payments.reconciliationdifference", ("differences",)),
            (_("Reports for the books"), "request_quote", "page:money_reports", ()),
        ],
    ),
    (
        _("System"),
        False,
        [
            (_("Deliveries"), "outgoing_mail", "notifications.delivery", ("deliveries",)),
            (_("Suppressed addresses"), "unsubscribe", "notifications.suppressedaddress", ()),
            (_("System"), "monitor_heart", "page:system", ("backups", "books")),
            (_("Load and errors"), "speed", "page:figures", ()),
            (_("Requests and errors"), "manage_search", "page:requests", ()),
            (_("Jobs"), "memory", "procrastinate.procrastinatejob", ("jobs",)),
            (_("Webhooks"), "webhook", "webhooks.webhookendpoint", ()),
            (_("Webhook deliveries"), "send", "webhooks.webhookdelivery", ()),
            (_("API keys"), "key", "accounts.apikey", ()),
            (_("Audit log"), "policy", "audit.auditentry", ()),
            (_("Erasures"), "person_remove", "privacy.erasure", ()),
            (_("Retention"), "auto_delete", "privacy.retentionrun", ()),
            (_("Settings"), "tune", "core.platformsetting", ()),
            (_("Texts and mails"), "edit_note", "page:texts", ()),
            (_("Routes of money"), "alt_route", "payments.providerroute", ()),
            (_("Firewall"), "security", "core.firewallrule", ()),
            (_("Stopped by limits"), "speed", "core.throttledsubject", ()),
        ],
    ),
    (
        _("Records"),
        True,
        [
            (_("Price rules"), "sell", "rates.pricerule", ()),
            (_("Fees"), "receipt", "rates.fee", ()),
            (_("Taxes"), "gavel", "rates.tax", ()),
            (_("Host standings"), "workspace_premium", "accounts.hoststanding", ()),
            (_("Payout accounts"), "account_balance", "payments.payoutaccount", ()),
            (_("Payout splits"), "call_split", "payments.payoutsplit", ()),
            (_("Folios"), "receipt_long", "payments.folio", ()),
            (_("Ledger transactions"), "menu_book", "payments.ledgertransaction", ()),
            (_("Provider events"), "webhook", "payments.providerevent", ("events",)),
            (_("Number ranges"), "format_list_numbered", "payments.documentseries", ()),
            (_("Comparisons with providers"), "compare_arrows", "payments.reconciliationrun", ()),
            (_("Notifications"), "notifications", "notifications.notification", ()),
        ],
    ),
    (
        _("Reference"),
        True,
        [
            (_("Amenities"), "pool", "listings.amenity", ()),
            (_("Locations"), "location_city", "listings.location", ()),
            (_("Currencies"), "paid", "core.currency", ()),
            (_("Exchange rates"), "currency_exchange", "core.exchangerate", ()),
            (_("Roles"), "badge", "auth.group", ()),
        ],
    ),
]

ADMINS_ONLY = {"auth.group", "core.platformsetting"}
BY_RULE = {
    "core.firewallrule": "firewall.see",
    "core.throttledsubject": "firewall.see",
    "webhooks.webhookendpoint": "webhook.oversee",
    "webhooks.webhookdelivery": "webhook.oversee",
    "accounts.apikey": "api_key.oversee",
}
"""Pages whose readers a rule of the domain names, whatever permissions their group has."""


def sidebar(request: HttpRequest) -> dict[str, Any]:
    """Unfold's ``SIDEBAR`` for this user. Asked several times a page; the badges are counted once."""
    known: dict[str, Any] | None = getattr(request, "_sidebar", None)
    if known is None:
        home = {"title": _("Dashboard"), "icon": "space_dashboard", "link": reverse("admin:index")}
        groups: list[dict[str, Any]] = [{"title": "", "items": [home]}]
        if getattr(request.user, "is_staff", False):
            groups += [_group(request, *group) for group in GROUPS]
        known = {
            "show_search": True,
            "command_search": True,
            "show_all_applications": False,
            "navigation": [group for group in groups if group["items"]],
        }
        request._sidebar = known  # type: ignore[attr-defined]
    return known


def _group(request: HttpRequest, title: Any, collapsible: bool, pages: list[Page]) -> dict[str, Any]:
    items = [_item(request, *page) for page in pages if may_see(request.user, page[2])]
    return {"title": title, "separator": True, "collapsible": collapsible, "items": items}


def may_see(user: Any, label: str) -> bool:
    """Whether the pages of the model ``label`` (``app.model``), or the page ``page:key``, are for ``user``."""
    if label.startswith(OWN):
        return PAGES[label.removeprefix(OWN)].may_see(user)
    if label in BY_RULE:
        return access.can(user, BY_RULE[label])
    app, model = label.split(".")
    return bool(user.has_perm(f"{app}.view_{model}")) and (label not in ADMINS_ONLY or user.has_role(ADMIN))


def _item(request: HttpRequest, title: Any, icon: str, label: str, badges: tuple[str, ...]) -> dict[str, Any]:
    item = {"title": title, "icon": icon, "link": address_of(label)}
    if badges:
        counts = waiting.counts(request)
        total = sum(counts.get(key, 0) for key in badges)
        if total:
            variant = next(
                kind.variant for kind in waiting.KINDS if counts.get(kind.key) and kind.key in badges
            )
            item |= {"badge": waiting.shown(total), "badge_variant": variant}
    return item


def address_of(label: str) -> str:
    """Where the page of a line of ``GROUPS`` lies."""
    if label.startswith(OWN):
        return PAGES[label.removeprefix(OWN)].url()
    app, model = label.split(".")
    return reverse(f"admin:{app}_{model}_changelist")
