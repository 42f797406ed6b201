"""What hosts are paid: payouts and what holds them, accounts as far as they may be shown, and who shares with whom."""

from __future__ import annotations

from datetime import UTC, timedelta
from typing import Any

from django.contrib import admin
from django.db.models import OuterRef, Q, QuerySet, Subquery
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import ChoicesDropdownFilter, RadioFilter
from unfold.decorators import display

from admin_site.frame import finding
from admin_site.frame.actions import DANGER, SUCCESS, WARNING, dialog_action
from admin_site.frame.base import Page, Rows
from admin_site.frame.display import OP_COLOURS, instant, label, link, money, percent, pretty, table
from admin_site.frame.exporting import export_action, major
from admin_site.frame.many import Ticked, many_action
from admin_site.frame.masking import full_name
from admin_site.frame.narrowing import Amounts, ByCurrency, ByHost, ByProvider, Days
from admin_site.frame.revealing import Shown, reveal_action
from admin_site.home import next_steps
from backend.core import access
from backend.payments import desk, payouts, revealing
from backend.payments.models import MoneyOp, Payout, PayoutAccount, PayoutHold, PayoutSplit
from backend.payments.states import PayoutStatus

PAYOUT_COLOURS = {
    "scheduled": "default",
    "on_hold": "warning",
    "sent": "info",
    "paid": "success",
    "failed": "danger",
    "reversed": "danger",
}
ACCOUNT_COLOURS = {"pending": "warning", "active": "success", "restricted": "danger", "disabled": "default"}

STILL_OWED = (PayoutStatus.SCHEDULED, PayoutStatus.ON_HOLD, PayoutStatus.FAILED)


class Holds(Rows):
    """Why a payout waits, and waited before."""

    model = PayoutHold
    verbose_name_plural = _("Holds")
    fields = ("reason", "note", "owner", "created_at", "released_at", "released_by")
    readonly_fields = fields
    ordering = ("-id",)


class Tries(Rows):
    """What a provider was asked for a payout."""

    model = MoneyOp
    verbose_name_plural = _("Money operations")
    fields = ("created_at", "kind", "provider", "amount", "outcome", "provider_ref", "error_code", "attempts")
    readonly_fields = fields
    ordering = ("created_at",)

    @display(description=_("amount"))
    def amount(self, op: MoneyOp) -> str:
        return money(op.amount_minor, op.currency)

    @display(description=_("state"))
    def outcome(self, op: MoneyOp) -> str:
        return label(op.get_state_display(), OP_COLOURS[op.state])


class AttentionFilter(RadioFilter):
    """Those that somebody must look at, as the badge counts them."""

    title = _("attention")
    parameter_name = "attention"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("yes", _("needs attention"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Payout]) -> QuerySet[Payout]:
        return queryset.filter(needs_attention=True) if self.value() == "yes" else queryset


class HoldFilter(RadioFilter):
    title = _("held by")
    parameter_name = "held_by"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return list(PayoutHold.Reason.choices)

    def queryset(self, request: HttpRequest, queryset: QuerySet[Payout]) -> QuerySet[Payout]:
        if not self.value():
            return queryset
        return queryset.filter(
            pk__in=PayoutHold.objects.filter(reason=self.value(), released_at=None).values("payout")
        )


class DueFilter(RadioFilter):
    """What is sent next, by days in UTC; what is held is not among it."""

    title = _("due")
    parameter_name = "due"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("overdue", _("overdue")), ("today", _("today")), ("tomorrow", _("tomorrow"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Payout]) -> QuerySet[Payout]:
        today = timezone.now().astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        day = timedelta(days=1)
        spans = {
            "overdue": {"due_at__lt": today},
            "today": {"due_at__gte": today, "due_at__lt": today + day},
            "tomorrow": {"due_at__gte": today + day, "due_at__lt": today + 2 * day},
        }
        if self.value() not in spans:
            return queryset
        free = queryset.filter(
            status__in=[PayoutStatus.SCHEDULED, PayoutStatus.FAILED], needs_attention=False
        )
        return free.filter(**spans[str(self.value())])


class ByReceiver(ByHost):
    """The beginning of a receiver's name, or their email address."""

    title = _("receiver")
    parameter_name = "receiver"
    field = "receiver"


class ByAccountsProvider(ByProvider):
    """Through whom it was paid, or is tried to be."""

    def queryset(self, request: HttpRequest, queryset: QuerySet[Payout]) -> QuerySet[Payout]:
        return queryset.filter(account__provider=self.value()) if self.value() else queryset


@admin.register(Payout)
class PayoutPage(Ticked, Page):
    icon = "account_balance_wallet"
    actions_list = ("release_many", "hold_many", "retry_many", "export")
    export = export_action(
        columns=[
            ("reference", "reference"),
            ("booking", "folio.booking.reference"),
            ("receiver", lambda payout: full_name(payout.receiver)),
            ("provider", "account.provider"),
            ("status", "status"),
            ("held_by", "held_for"),
            ("earned", major("gross_minor")),
            ("taken_for_debts", major("netted_minor")),
            ("amount", major("amount_minor")),
            ("currency", "currency"),
            ("paid", major("paid_minor", "paid_currency")),
            ("paid_currency", "paid_currency"),
            ("due_at", "due_at"),
            ("sent_at", "sent_at"),
            ("paid_at", "paid_at"),
        ],
    )
    list_display = ("reference", "receiver_link", "booking", "amount", "state", "held_by", "due_at")
    list_filter = (
        ("status", ChoicesDropdownFilter),
        HoldFilter,
        AttentionFilter,
        DueFilter,
        ByAccountsProvider,
        ByCurrency,
        ByReceiver,
        ("amount_minor", Amounts),
        ("due_at", Days),
    )
    list_filter_submit = True
    search_fields = ("reference",)
    search_help_text = _("Reference of the payout or booking, or a receiver's name or email")
    ordering = ("-id",)
    inlines = (Holds, Tries)
    actions_detail = ("hold", "release", "retry", "pay_now")
    offered = {
        "hold": lambda payout: payout.status in STILL_OWED,
        "release": lambda payout: payout.status == PayoutStatus.ON_HOLD,
        "retry": lambda payout: payout.needs_attention or payout.status == PayoutStatus.FAILED,
        "pay_now": lambda payout: payout.status in STILL_OWED and payout.due_at > timezone.now(),
    }
    fieldsets = (
        (
            None,
            {
                "fields": (
                    "next_step",
                    ("reference", "booking", "part"),
                    ("receiver_link", "account_link", "state"),
                    ("gross", "netted", "amount"),
                    ("paid", "rate"),
                    ("attempts", "failure_code", "needs_attention"),
                    ("due_at", "created_at"),
                    ("sent_at", "paid_at", "reversed_at"),
                )
            },
        ),
        (_("Parts of the stay"), {"classes": ("tab",), "fields": ("divided",)}),
        (_("The receiver's next payouts"), {"classes": ("tab",), "fields": ("also_waits",)}),
    )
    readonly_fields = (
        *(
            "next_step",
            "booking",
            "receiver_link",
            "account_link",
            "state",
            "gross",
            "netted",
            "amount",
            "paid",
        ),
        *("divided", "also_waits"),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Payout]:
        oldest = PayoutHold.objects.filter(payout=OuterRef("pk"), released_at=None).order_by("id")
        rows = super().get_queryset(request).select_related("folio__booking", "receiver", "account")
        return rows.annotate(held_for=Subquery(oldest.values("reason")[:1]))

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Payout], search_term: str
    ) -> tuple[QuerySet[Payout], bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        word = term.upper()
        by_reference = queryset.filter(Q(reference=word) | Q(folio__in=finding.folio_ids(word)))
        if by_reference.exists():
            return by_reference, False
        return queryset.filter(receiver__in=finding.people_ids(term)), False

    def has_hold_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        row = self.get_row(request, str(object_id))
        return row is not None and access.can(request.user, "payout.hold", row)

    def has_release_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        row = self.get_row(request, str(object_id))
        return row is not None and access.can(request.user, "payout.release", row)

    @dialog_action(
        title=_("Hold"),
        question=_("It is not sent until somebody lets it go. The receiver hears that it waits, not why."),
        done=_("The payout is held."),
        permission="hold",
        icon="front_hand",
        variant=DANGER,
    )
    def hold(self, request: HttpRequest, row: Payout, given: dict[str, Any]) -> None:
        payouts.hold(actor=request.user, payout_id=row.pk, reason=given["reason"], now=timezone.now())

    @dialog_action(
        title=_("Release"),
        question=_("What staff hold, and rules that are only caution, count no more for this payout."),
        done=_("The payout is released."),
        permission="release",
        icon="lock_open",
        variant=SUCCESS,
    )
    def release(self, request: HttpRequest, row: Payout, given: dict[str, Any]) -> None:
        payouts.release(actor=request.user, payout_id=row.pk, reason=given["reason"], now=timezone.now())

    @dialog_action(
        title=_("Try again"),
        question=_("It is sent again within a minute, to the account that the receiver has named by now."),
        done=_("The payout is tried again."),
        permission="release",
        icon="replay",
        variant=WARNING,
    )
    def retry(self, request: HttpRequest, row: Payout, given: dict[str, Any]) -> None:
        payouts.retry(actor=request.user, payout_id=row.pk, reason=given["reason"], now=timezone.now())

    @dialog_action(
        title=_("Pay now"),
        question=_("It is due now instead of later. What holds it still holds it."),
        done=_("The payout is due."),
        permission="release",
        icon="bolt",
    )
    def pay_now(self, request: HttpRequest, row: Payout, given: dict[str, Any]) -> None:
        payouts.pay_now(actor=request.user, payout_id=row.pk, reason=given["reason"], now=timezone.now())

    def has_release_many_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Whoever has the money desk; each payout asks its own rule."""
        return self.has_view_permission(request) and access.can(request.user, "money.see")

    def told_of_ticked(self, rows: list[Payout]) -> str:
        """What they come to, by currency."""
        sums: dict[str, int] = {}
        for row in rows:
            sums[row.currency] = sums.get(row.currency, 0) + row.amount_minor
        return " · ".join(money(minor, currency) for currency, minor in sorted(sums.items()))

    @many_action(
        title=_("Release the ticked"),
        question=_("What staff hold, and rules that are only caution, count no more for these payouts."),
        done=_("Released: {count}."),
        permission="release_many",
        icon="lock_open",
        variant=SUCCESS,
    )
    def release_many(self, request: HttpRequest, row: Payout, given: dict[str, Any]) -> None:
        payouts.release(actor=request.user, payout_id=row.pk, reason=given["reason"], now=timezone.now())

    @many_action(
        title=_("Hold the ticked"),
        question=_("They are not sent until somebody lets them go. Receivers hear that they wait, not why."),
        done=_("Held: {count}."),
        permission="release_many",
        icon="front_hand",
        variant=DANGER,
    )
    def hold_many(self, request: HttpRequest, row: Payout, given: dict[str, Any]) -> None:
        payouts.hold(actor=request.user, payout_id=row.pk, reason=given["reason"], now=timezone.now())

    @many_action(
        title=_("Try the ticked again"),
        question=_(
            "They are sent again within a minute, to the accounts that their receivers have named by now."
        ),
        done=_("Tried again: {count}."),
        permission="release_many",
        icon="replay",
    )
    def retry_many(self, request: HttpRequest, row: Payout, given: dict[str, Any]) -> None:
        payouts.retry(actor=request.user, payout_id=row.pk, reason=given["reason"], now=timezone.now())

    @display(description=_("what waits for this receiver"))
    def also_waits(self, payout: Payout) -> str:
        """What else is to be paid to them, in the order in which it is due."""
        return table(
            [_("payout"), _("booking"), _("amount"), _("status"), _("due at")],
            [
                [
                    link(each),
                    link(getattr(each.folio, "booking", None)),
                    money(each.amount_minor, each.currency),
                    label(each.get_status_display(), PAYOUT_COLOURS[each.status]),
                    instant(each.due_at),
                ]
                for each in desk.waiting_of(payout.receiver_id)
            ],
        )

    @display(description=_("divided among"))
    def divided(self, payout: Payout) -> str:
        """All who are paid for the same stay."""
        parts = Payout.objects.filter(folio=payout.folio_id).select_related("receiver").order_by("id")[:50]
        return table(
            [_("payout"), _("receiver"), _("part"), _("earned"), _("amount"), _("status")],
            [
                [
                    link(each),
                    link(each.receiver, full_name(each.receiver)),
                    each.part,
                    money(each.gross_minor, each.currency),
                    money(each.amount_minor, each.currency),
                    label(each.get_status_display(), PAYOUT_COLOURS[each.status]),
                ]
                for each in parts
            ],
        )

    @display(description=_("next step"))
    def next_step(self, payout: Any) -> str:
        return next_steps.of_payout(payout, payout.held_for or "", timezone.now())

    @display(description=_("booking"))
    def booking(self, payout: Payout) -> str:
        return link(getattr(payout.folio, "booking", None))

    @display(description=_("receiver"))
    def receiver_link(self, payout: Payout) -> str:
        return link(payout.receiver, full_name(payout.receiver))

    @display(description=_("account"))
    def account_link(self, payout: Payout) -> str:
        return link(payout.account)

    @display(description=_("status"))
    def state(self, payout: Payout) -> str:
        return label(payout.get_status_display(), PAYOUT_COLOURS[payout.status])

    @display(description=_("held by"))
    def held_by(self, payout: Any) -> str:
        if payout.status != PayoutStatus.ON_HOLD or not payout.held_for:
            return "–"
        return str(PayoutHold.Reason(payout.held_for).label)

    @display(description=_("earned"))
    def gross(self, payout: Payout) -> str:
        return money(payout.gross_minor, payout.currency)

    @display(description=_("taken for debts"))
    def netted(self, payout: Payout) -> str:
        return money(payout.netted_minor, payout.currency)

    @display(description=_("amount"))
    def amount(self, payout: Payout) -> str:
        return money(payout.amount_minor, payout.currency)

    @display(description=_("paid"))
    def paid(self, payout: Payout) -> str:
        return money(payout.paid_minor, payout.paid_currency) if payout.paid_currency else "–"


@admin.register(PayoutAccount)
class PayoutAccountPage(Page):
    """Where hosts are paid. The destination itself is shown for a reason only."""

    icon = "account_balance"
    list_display = ("user_link", "provider", "paid_in", "shown", "state", "is_default", "created_at")
    list_filter = (("status", ChoicesDropdownFilter),)
    list_filter_submit = True
    list_select_related = ("user",)
    search_fields = ("provider_ref",)
    search_help_text = _("The provider's account, or a host's name or email")
    ordering = ("-id",)
    fields = (
        ("user_link", "provider", "state"),
        ("paid_in", "country", "is_default"),
        ("shown", "provider_ref"),
        "asked_for",
        ("created_at", "updated_at", "replaced_at"),
    )
    readonly_fields = ("user_link", "paid_in", "state", "asked_for")
    actions_detail = ("reveal",)
    offered = {"reveal": lambda account: bool(account.destination)}

    def has_reveal_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        row = self.get_row(request, str(object_id))
        return row is not None and access.can(request.user, "payout_account.reveal", row)

    @reveal_action(question=_("Shows what this host is paid to. The audit log keeps that you have seen it."))
    def reveal(self, request: HttpRequest, row: PayoutAccount, reason: str) -> Shown:
        destination = revealing.destination(
            actor=request.user, account=row, reason=reason, now=timezone.now()
        )
        return [(_("destination"), destination)]

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[PayoutAccount], search_term: str
    ) -> tuple[QuerySet[PayoutAccount], bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        by_reference = queryset.filter(provider_ref=term)
        if by_reference.exists():
            return by_reference, False
        return queryset.filter(user__in=finding.people_ids(term)), False

    @display(description=_("user"))
    def user_link(self, account: PayoutAccount) -> str:
        return link(account.user, full_name(account.user))

    @display(description=_("paid in"))
    def paid_in(self, account: PayoutAccount) -> str:
        return account.currency or str(_("each listing's currency"))

    @display(description=_("status"))
    def state(self, account: PayoutAccount) -> str:
        return label(account.get_status_display(), ACCOUNT_COLOURS[account.status])

    @display(description=_("what the provider still asks for"))
    def asked_for(self, account: PayoutAccount) -> str:
        return pretty(account.requirements)


@admin.register(PayoutSplit)
class PayoutSplitPage(Page):
    icon = "call_split"
    list_display = ("listing_link", "host_link", "user_link", "part", "created_at")
    list_select_related = ("listing__host", "user")
    ordering = ("-id",)
    fields = (("listing_link", "host_link"), ("user_link", "part"), "created_at")
    readonly_fields = ("listing_link", "host_link", "user_link", "part")

    @display(description=_("listing"))
    def listing_link(self, split: PayoutSplit) -> str:
        return link(split.listing)

    @display(description=_("host"))
    def host_link(self, split: PayoutSplit) -> str:
        return link(split.listing.host, full_name(split.listing.host))

    @display(description=_("receiver"))
    def user_link(self, split: PayoutSplit) -> str:
        return link(split.user, full_name(split.user))

    @display(description=_("percent"))
    def part(self, split: PayoutSplit) -> str:
        return percent(split.percent)
