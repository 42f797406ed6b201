"""Everything that happened to one booking, in one list: steps, money, what providers told, letters, acts of staff.

Each source is read by the booking's own index and cut at what a page shows, so that the list costs the same number of
queries whatever stands in it. What a role has no page for is left out; words of messages and addresses are never here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo

from django.db.models import Model, Q
from django.utils.translation import gettext_lazy as _
from procrastinate.contrib.django.models import ProcrastinateJob

from admin_site.bookings.booking_letters import letters
from admin_site.frame.display import (
    ALTERATION_COLOURS,
    BOOKING_COLOURS,
    DISPUTE_COLOURS,
    JOB_COLOURS,
    OP_COLOURS,
    REFUND_COLOURS,
    instant,
    money,
    signed,
    url_of,
)
from admin_site.frame.masking import full_name
from backend.audit.models import AuditEntry
from backend.bookings.models import Alteration, Booking, HostPenalty
from backend.bookings.states import BookingStatus
from backend.bookings.step_sentences import OF_STEPS
from backend.messaging.models import Message
from backend.payments.intents import SETTLE_JOB
from backend.payments.models import (
    Dispute,
    Document,
    MoneyOp,
    Payment,
    Payout,
    PayoutHold,
    ProviderEvent,
    RefundRequest,
)
from backend.reviews.models import Review

AT_MOST = 200
"""How many moments one page shows."""


@dataclass(frozen=True, slots=True)
class Moment:
    """One thing that happened: when, what, and what there is to say of it."""

    at: datetime
    kind: str
    title: Any
    note: Any = ""
    who: Any = ""
    state: Any = ""
    colour: str = "default"
    url: str = ""


@dataclass
class Reader:
    """What of one booking ``user`` may see, not younger than ``until``."""

    booking: Booking
    user: Any
    until: datetime | None = None
    rows: dict[str, Any] = field(default_factory=dict)

    def sees(self, permission: str) -> bool:
        return not permission or bool(self.user.has_perm(permission))

    def url(self, row: Model) -> str:
        meta = row._meta
        return url_of(row) if self.sees(f"{meta.app_label}.view_{meta.model_name}") else ""

    def cut(self, rows: Any, at: str = "created_at") -> Any:
        """The newest of ``rows``, one more than a page."""
        older = rows if self.until is None else rows.filter(**{f"{at}__lte": self.until})
        return older.order_by(f"-{at}")[: AT_MOST + 1]

    @cached_property
    def payments(self) -> list[Payment]:
        return list(Payment.objects.filter(folio=self.booking.folio_id).order_by("-id")[:AT_MOST])

    @cached_property
    def payouts(self) -> list[Payout]:
        rows = Payout.objects.filter(folio=self.booking.folio_id).select_related("receiver")
        return list(rows.order_by("-id")[:AT_MOST])

    @cached_property
    def ops(self) -> list[MoneyOp]:
        mine = Q(payment__in=_ids(self.payments)) | Q(payout__in=_ids(self.payouts))
        return list(MoneyOp.objects.filter(mine).order_by("-created_at")[: 2 * AT_MOST])

    @cached_property
    def refund_requests(self) -> list[RefundRequest]:
        rows = RefundRequest.objects.filter(folio=self.booking.folio_id)
        return list(rows.select_related("requested_by", "decided_by").order_by("-id")[:AT_MOST])

    @cached_property
    def disputes(self) -> list[Dispute]:
        return list(Dispute.objects.filter(payment__in=_ids(self.payments)).order_by("-id")[:AT_MOST])

    @cached_property
    def alterations(self) -> list[Alteration]:
        return list(Alteration.objects.filter(booking=self.booking).order_by("-id")[:AT_MOST])

    @cached_property
    def penalties(self) -> list[HostPenalty]:
        return list(HostPenalty.objects.filter(booking=self.booking))

    def side(self, user_id: int | None) -> Any:
        """Which side of the stay somebody is on."""
        if user_id == self.booking.guest_id:
            return _("guest")
        return _("host") if user_id == self.booking.host_id else _("co-host or staff")


def _ids(rows: Iterable[Model]) -> list[Any]:
    return [row.pk for row in rows]


def _named(user: Any) -> str:
    return "" if user is None else full_name(user)


def steps(of: Reader) -> Iterable[Moment]:
    for row in of.cut(of.booking.transitions.select_related("actor"), "at"):
        moved = row.new if row.new != row.old else ""
        yield Moment(
            row.at,
            "steps",
            OF_STEPS.get(row.event, row.event),
            note=row.reason,
            who=_named(row.actor) or row.by,
            state=_status(moved),
            colour=BOOKING_COLOURS.get(moved, "default"),
        )


def _status(value: str) -> Any:
    return BookingStatus(value).label if value else ""


def movements(of: Reader) -> Iterable[Moment]:
    for op in of.ops:
        tried = [op.provider, op.provider_ref, op.error_code]
        if op.attempts > 1:
            tried.append(str(_("attempts: %(n)s") % {"n": op.attempts}))
        if op.updated_at != op.created_at:
            tried.append(f"{instant(op.updated_at, seconds=True)} UTC")
        yield Moment(
            op.created_at,
            "money",
            f"{op.get_kind_display()} · {money(op.amount_minor, op.currency)}",
            note=" · ".join(part for part in tried if part),
            state=op.get_state_display(),
            colour=OP_COLOURS[op.state],
            url=of.url(op),
        )
    for request in of.refund_requests:
        amount = money(request.amount_minor, request.currency)
        yield Moment(
            request.created_at,
            "money",
            _("Refund by hand asked for: %(amount)s") % {"amount": amount},
            note=request.reason,
            who=_named(request.requested_by),
            state=request.get_status_display(),
            colour=REFUND_COLOURS[request.status],
            url=of.url(request),
        )
        if request.decided_at and request.decided_by:
            yield Moment(
                request.decided_at,
                "money",
                _("Refund by hand decided: %(amount)s") % {"amount": amount},
                note=request.decision_note,
                who=_named(request.decided_by),
                state=request.get_status_display(),
                colour=REFUND_COLOURS[request.status],
                url=of.url(request),
            )
    for penalty in of.penalties:
        owed = money(penalty.amount_minor, penalty.currency)
        yield Moment(
            penalty.created_at,
            "money",
            _("Host's penalty: %(amount)s") % {"amount": owed},
            url=of.url(penalty),
        )
        if penalty.waived_at:
            words = _("Host's penalty waived: %(amount)s") % {"amount": owed}
            yield Moment(penalty.waived_at, "money", words, note=penalty.waiver_reason, url=of.url(penalty))


def payouts(of: Reader) -> Iterable[Moment]:
    for payout in of.payouts:
        yield Moment(
            payout.created_at,
            "payouts",
            _("Payout of %(amount)s, due %(due)s")
            % {"amount": money(payout.amount_minor, payout.currency), "due": instant(payout.due_at)},
            note=payout.reference,
            who=_named(payout.receiver),
            state=payout.get_status_display(),
            url=of.url(payout),
        )
    holds = PayoutHold.objects.filter(payout__in=_ids(of.payouts)).select_related("owner", "released_by")
    for hold in of.cut(holds):
        words = _("Payout held: %(reason)s") % {"reason": hold.get_reason_display()}
        yield Moment(hold.created_at, "payouts", words, note=hold.note, who=_named(hold.owner))
        if hold.released_at:
            words = _("Payout no longer held: %(reason)s") % {"reason": hold.get_reason_display()}
            yield Moment(hold.released_at, "payouts", words, who=_named(hold.released_by))


def told_by_providers(of: Reader) -> Iterable[Moment]:
    keys, refs = [str(op.pk) for op in of.ops], [op.provider_ref for op in of.ops if op.provider_ref]
    refs += [dispute.provider_ref for dispute in of.disputes]
    rows = ProviderEvent.objects.filter(Q(op_key__in=keys) & ~Q(op_key="") | Q(object_ref__in=refs))
    for event in of.cut(rows.defer("payload"), "received_at"):
        yield Moment(
            event.received_at,
            "events",
            f"{event.provider} · {event.type}",
            note=event.object_ref,
            state=event.outcome or _("waits"),
            colour="success" if event.applied_at else "warning",
            url=of.url(event),
        )


def disputes(of: Reader) -> Iterable[Moment]:
    for row in of.disputes:
        about = {"amount": money(row.amount_minor, row.currency)}
        yield Moment(
            row.opened_at,
            "disputes",
            _("Dispute of %(amount)s") % about,
            note=row.reason,
            state=row.get_status_display(),
            colour=DISPUTE_COLOURS[row.status],
            url=of.url(row),
        )
        if row.closed_at:
            yield Moment(
                row.closed_at,
                "disputes",
                _("Dispute closed: %(amount)s") % about,
                state=row.get_status_display(),
                colour=DISPUTE_COLOURS[row.status],
                url=of.url(row),
            )


def messages(of: Reader) -> Iterable[Moment]:
    """Who wrote when; what, is shown for a reason on the conversation's page alone."""
    conversation = of.booking.conversation
    if conversation is None:
        return
    written = Message.objects.filter(conversation=conversation, sender__isnull=False).select_related("sender")
    for row in of.cut(written.defer("body", "params")):
        words = _("%(side)s wrote: %(kind)s") % {
            "side": str(of.side(row.sender_id)).capitalize(),
            "kind": row.get_kind_display(),
        }
        read = _("read") if row.read_at else _("unread")
        yield Moment(
            row.created_at,
            "messages",
            words,
            who=_named(row.sender),
            state=_("hidden") if row.hidden_at else read,
            url=of.url(conversation),
        )


def changes(of: Reader) -> Iterable[Moment]:
    for row in of.alterations:
        yield Moment(
            row.created_at,
            "changes",
            _("Change proposed by the %(side)s: %(difference)s")
            % {
                "side": row.get_proposed_by_display(),
                "difference": signed(row.difference_minor, of.booking.currency),
            },
            note=row.reason,
            state=row.get_status_display(),
            colour=ALTERATION_COLOURS[row.status],
            url=of.url(row),
        )


def reviews(of: Reader) -> Iterable[Moment]:
    rows = Review.objects.visible_to(of.user).filter(booking=of.booking).select_related("author")
    for row in of.cut(rows):
        yield Moment(
            row.created_at,
            "reviews",
            _("Review of %(what)s: %(rating)s of 5")
            % {"what": row.get_about_display(), "rating": row.rating},
            who=_named(row.author),
            state=row.get_status_display(),
            url=of.url(row),
        )


def papers(of: Reader) -> Iterable[Moment]:
    rows = Document.objects.visible_to(of.user).filter(folio=of.booking.folio_id).defer("data")
    for row in of.cut(rows, "issued_at"):
        words = f"{str(row.get_kind_display()).capitalize()} {row.reference} · {money(row.total_minor, row.currency)}"
        mailed = _("mailed") if row.emailed_at else _("not mailed yet")
        yield Moment(row.issued_at, "papers", words, state=mailed, url=of.url(row))


def acts(of: Reader) -> Iterable[Moment]:
    """What was done to it and to all that belongs to it, by whom and why, as the audit log has it."""
    objects: list[tuple[str, list[Any]]] = [
        ("booking", [of.booking.pk]),
        ("payment", _ids(of.payments)),
        ("payout", _ids(of.payouts)),
        ("refundrequest", _ids(of.refund_requests)),
        ("alteration", _ids(of.alterations)),
        ("hostpenalty", _ids(of.penalties)),
        ("dispute", _ids(of.disputes)),
        ("moneyop", _ids(of.ops)),
    ]
    about = Q(pk=None)
    for name, keys in objects:
        about |= Q(object_type=name, object_id__in=[str(key) for key in keys])
    for row in of.cut(AuditEntry.objects.filter(about).select_related("actor", "in_stead_of"), "at"):
        who = _named(row.actor) or str(_("the system"))
        if row.in_stead_of is not None:
            who = str(_("%(who)s for %(whom)s") % {"who": who, "whom": _named(row.in_stead_of)})
        yield Moment(
            row.at,
            "acts",
            row.action,
            note=row.reason,
            who=who,
            state=row.get_door_display(),
            url=of.url(row),
        )


def jobs(of: Reader) -> Iterable[Moment]:
    """The jobs that were to send its money. The index holds these alone."""
    keys = [str(op.pk) for op in of.ops]
    rows = ProcrastinateJob.objects.filter(task_name=SETTLE_JOB).extra(
        where=["args ->> 'op_id' = ANY(%s)"], params=[keys]
    )
    for job in rows.order_by("-id")[:AT_MOST]:
        at = job.scheduled_at or next(
            (op.created_at for op in of.ops if str(op.pk) == job.args.get("op_id")), of.booking.created_at
        )
        yield Moment(
            at,
            "jobs",
            _("Job %(id)s: %(name)s") % {"id": job.pk, "name": job.task_name},
            note=_("attempts: %(n)s") % {"n": job.attempts},
            state=job.status,
            colour=JOB_COLOURS.get(job.status, "default"),
            url=of.url(job),
        )


def written_to_people(of: Reader) -> Iterable[Moment]:
    about = [
        *((f"payment:{payment.pk}") for payment in of.payments),
        *((f"alteration:{row.pk}") for row in of.alterations),
        *((f"payout:{row.pk}") for row in of.payouts),
        *((f"dispute:{row.pk}") for row in of.disputes),
    ]
    for letter in of.cut(letters(of.booking, about)):
        ways = [
            f"{each.get_channel_display()}: {each.get_state_display()}" for each in letter.deliveries.all()
        ]
        troubles = {each.error for each in letter.deliveries.all() if each.error}
        went = {each.state for each in letter.deliveries.all()}
        bad = went & {"failed", "bounced", "suppressed"}
        yield Moment(
            letter.created_at,
            "letters",
            _("Letter %(kind)s to the %(side)s") % {"kind": letter.kind, "side": of.side(letter.user_id)},
            note=" · ".join(sorted(troubles)),
            who=_named(letter.user),
            state=" · ".join(ways) or _("in the app"),
            colour="danger" if bad else "success" if went & {"sent", "delivered"} else "default",
            url=of.url(letter),
        )


@dataclass(frozen=True, slots=True)
class Source:
    """One kind of moments: its words and icon, who may see it, and where it is read."""

    key: str
    title: Any
    icon: str
    permission: str
    read: Callable[[Reader], Iterable[Moment]]


SOURCES = [
    Source("steps", _("Steps"), "flag", "", steps),
    Source("money", _("Money"), "payments", "", movements),
    Source("payouts", _("Payouts"), "account_balance_wallet", "", payouts),
    Source("disputes", _("Disputes"), "gavel", "", disputes),
    Source("changes", _("Changes"), "edit_calendar", "", changes),
    Source("letters", _("Letters"), "mail", "notifications.view_delivery", written_to_people),
    Source("messages", _("Messages"), "forum", "messaging.view_conversation", messages),
    Source("reviews", _("Reviews"), "star", "reviews.view_review", reviews),
    Source("papers", _("Documents"), "description", "payments.view_document", papers),
    Source("acts", _("Acts"), "policy", "audit.view_auditentry", acts),
    Source("events", _("Providers"), "webhook", "payments.view_providerevent", told_by_providers),
    Source("jobs", _("Jobs"), "memory", "procrastinate.view_procrastinatejob", jobs),
]
KEYS = {source.key: source for source in SOURCES}


@dataclass(frozen=True, slots=True)
class Page:
    """What is shown: the newest moments first, and where older ones begin (None: there are none)."""

    moments: list[Moment]
    older: datetime | None


def offered(user: Any) -> list[Source]:
    """The kinds that ``user`` may see."""
    return [source for source in SOURCES if not source.permission or user.has_perm(source.permission)]


def read(booking: Booking, user: Any, *, kind: str = "", until: datetime | None = None) -> Page:
    """The newest moments of ``booking`` up to ``until``, of one ``kind`` or of all that ``user`` may see.

    A page ends between two instants, so that what happened at once stands together and nothing is shown twice.
    """
    of = Reader(booking, user, until)
    sources = [source for source in offered(user) if kind in ("", source.key)]
    found = [moment for source in sources for moment in source.read(of)]
    found = [moment for moment in found if until is None or moment.at <= until]
    found.sort(key=lambda moment: moment.at, reverse=True)
    if len(found) <= AT_MOST:
        return Page(found, None)
    older = found[AT_MOST].at
    whole = [moment for moment in found[:AT_MOST] if moment.at > older]
    return Page(whole or found[:AT_MOST], older)


def clocks(booking: Booking, user: Any) -> tuple[ZoneInfo, ZoneInfo]:
    """The listing's clock, and the reader's own (UTC unless they have said)."""
    profile = getattr(user, "profile", None)
    own = getattr(profile, "timezone", "") or "UTC"
    return ZoneInfo(booking.listing.timezone), ZoneInfo(own)


def as_utc(text: str) -> datetime | None:
    """The instant that an address names; None for none or nonsense."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)
