"""What is known of people, table by table: whose it is, where they find it in their export, what erasure makes of it.

Export, erasure and the invariants of ``check_books`` go by this list; a test walks all tables and refuses a field that
is neither named here nor in ``impersonal``. A table may stand here more than once: what its parties wrote of
themselves has different owners.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from django.apps import apps
from django.db.models import Field, Model


class Fate(Enum):
    """What becomes of a field when its owner is erased."""

    PSEUDONYM = "pseudonym"
    """A name that says nothing stands in its place, at once."""
    BLANKED = "blanked"
    """It is emptied; the row stays for others."""
    DELETED = "deleted"
    """The whole row goes."""
    KEPT = "kept"
    """It stays; ``why`` says on which ground and how long."""


DOCUMENTS_YEARS = 10
"""How long the law has invoices and the books kept; what is older goes by hand, see ``ISSUED``."""

BOOKS = "Commercial and tax law: the books name the parties by number; kept for ten years."
ISSUED = (
    "Tax law: an issued document is not changed. It goes with its file after ten years, which needs"
    " the database's superuser, since the application may not."
)
CHAINED = "Accountability: the log is chained and says who acted by number; it holds no personal texts."
DECIDED = "Accountability: why our team decided as it did; the audit log says the same."
OTHERS_PAPERS = (
    "The other party's record of their stay: the place that they paid for keeps its name and its city."
)


@dataclass(frozen=True, slots=True)
class Personal:
    """Fields of a table that say something of ``owner`` (the path from the row to the user).

    ``section`` is the part of the export that shows them; "" where they are no use to anybody (``why`` says so).
    ``only`` narrows the rows (field → value).
    """

    model: str
    owner: str
    fate: Fate
    fields: tuple[str, ...]
    section: str = ""
    why: str = ""
    only: tuple[tuple[str, str], ...] = ()

    @property
    def table(self) -> type[Model]:
        return apps.get_model(self.model)

    def rows(self, user_id: int) -> Any:
        """The rows of this owner."""
        return self.table._default_manager.filter(**{self.owner: user_id}, **dict(self.only))

    def blanks(self) -> dict[str, Any]:
        """Field → what it is when it is empty."""
        return {name: blank(self.table._meta.get_field(name)) for name in self.fields}


def blank(field: Field[Any, Any] | Any) -> Any:
    """The empty value of a column."""
    if field.null:
        return None
    if field.has_default() and callable(field.default):
        return field.default()
    return ""


def _of(
    model: str, owner: str, fate: Fate, fields: str, section: str = "", why: str = "", **only: str
) -> Personal:
    return Personal(model, owner, fate, tuple(fields.split()), section, why, tuple(sorted(only.items())))


SECRET = "A secret of ours about a device or a proof; it is worth nothing to its owner."  # noqa: S105 - a sentence
BOOKKEEPING = "How often and when we tried; the section shows what was told."

PRINTS = "Digests by which a copy of their listing is recognized; they say nothing by themselves."

PERSONAL: Sequence[Personal] = (
    # The account
    _of("accounts.User", "id", Fate.PSEUDONYM, "username email first_name last_name", "profile"),
    _of("accounts.User", "id", Fate.BLANKED, "suspended_reason", "profile"),
    _of("accounts.User", "id", Fate.PSEUDONYM, "password", why=SECRET),
    _of(
        "accounts.Profile",
        "user",
        Fate.BLANKED,
        "phone bio languages photo currency language timezone notification_preferences response_rate"
        " response_time_hours phone_verified_at identity_verified_at",
        "profile",
    ),
    _of("accounts.Session", "user", Fate.DELETED, "device address revoked_reason", "sessions"),
    _of("accounts.Session", "user", Fate.DELETED, "refresh_secret", why=SECRET),
    _of("accounts.ApiKey", "user", Fate.DELETED, "name prefix", "api_keys"),
    _of("accounts.ApiKey", "user", Fate.DELETED, "digest", why=SECRET),
    _of("webhooks.WebhookEndpoint", "user", Fate.DELETED, "url description", "webhooks"),
    _of("webhooks.WebhookEndpoint", "user", Fate.DELETED, "secret previous_secret", why=SECRET),
    _of(
        "webhooks.WebhookDelivery",
        "endpoint__user",
        Fate.DELETED,
        "object_key data",
        why="What they were told anyway, for 30 days.",
    ),
    _of("accounts.IdentityCheck", "user", Fate.DELETED, "reason", "identity_checks"),
    _of(
        "accounts.IdentityCheck",
        "user",
        Fate.DELETED,
        "picture",
        why="Deleted with the decision; its owner has the original.",
    ),
    _of("accounts.HostStanding", "host", Fate.DELETED, "quarter", "standing"),
    _of("accounts.PhoneCode", "user", Fate.DELETED, "phone digest", why=SECRET),
    _of("accounts.TotpEnrolment", "user", Fate.DELETED, "secret", why=SECRET),
    _of("account.EmailAddress", "user", Fate.DELETED, "email", "emails"),
    _of("account.EmailConfirmation", "email_address__user", Fate.DELETED, "key", why=SECRET),
    _of("socialaccount.SocialAccount", "user", Fate.DELETED, "provider uid extra_data", "identities"),
    _of("socialaccount.SocialToken", "account__user", Fate.DELETED, "token token_secret", why=SECRET),
    _of("mfa.Authenticator", "user", Fate.DELETED, "data", why=SECRET),
    _of("guardian.UserObjectPermission", "user", Fate.DELETED, "object_pk", why="Rights, not facts."),
    _of(
        "admin.LogEntry",
        "user",
        Fate.DELETED,
        "object_id object_repr change_message",
        why="Not written by us; acts stand in the audit log.",
    ),
    _of("core.IdempotencyKey", "user_id", Fate.DELETED, "key fingerprint headers body", why=SECRET),
    _of("notifications.SocketTicket", "user", Fate.DELETED, "hash", why=SECRET),
    _of("privacy.Erasure", "user", Fate.BLANKED, "traces", why="Needed until all is done, then empty."),
    _of(
        "privacy.Erasure",
        "user",
        Fate.KEPT,
        "reason",
        why="Proof that the erasure was asked for and done; no personal texts.",
    ),
    # What they were told
    _of("notifications.Notification", "user", Fate.DELETED, "params data url object_key", "notifications"),
    _of(
        "notifications.LiveEvent", "user", Fate.DELETED, "data", why="The same as notifications, for 30 days."
    ),
    _of("notifications.Delivery", "notification__user", Fate.DELETED, "error provider_id", why=BOOKKEEPING),
    _of(
        "notifications.DeliveryStep", "delivery__notification__user", Fate.DELETED, "reason", why=BOOKKEEPING
    ),
    _of("notifications.SuppressedAddress", "user", Fate.DELETED, "address reason", "suppressed_addresses"),
    # What they offer
    _of(
        "listings.Listing",
        "host",
        Fate.BLANKED,
        "description house_rules line1 line2 postal_code latitude longitude public_latitude public_longitude"
        " status_reason",
        "listings",
    ),
    _of("listings.Listing", "host", Fate.KEPT, "title city region", "listings", why=OTHERS_PAPERS),
    _of("listings.Listing", "host", Fate.PSEUDONYM, "location", "listings"),
    _of(
        "listings.Listing",
        "host",
        Fate.KEPT,
        "source source_id",
        "listings",
        why="By these a repeated import knows what it must not bring back.",
    ),
    _of(
        "listings.ListingText",
        "listing__host",
        Fate.DELETED,
        "title description house_rules",
        "listing_texts",
    ),
    _of("listings.ListingTransition", "listing__host", Fate.BLANKED, "reason", "listing_steps"),
    _of("listings.Photo", "listing__host", Fate.DELETED, "file sizes caption", "photos"),
    _of("availability.Block", "listing__host", Fate.BLANKED, "note", "calendar_blocks"),
    _of("availability.CalendarDay", "listing__host", Fate.BLANKED, "note", "calendar_days"),
    _of("availability.CalendarFeed", "listing__host", Fate.DELETED, "name url", "calendar_feeds"),
    _of(
        "availability.CalendarFeed",
        "listing__host",
        Fate.DELETED,
        "error etag last_modified digest",
        why=BOOKKEEPING,
    ),
    _of("availability.FeedEvent", "feed__listing__host", Fate.DELETED, "uid summary", "calendar_entries"),
    _of("availability.CalendarSubscriber", "listing__host", Fate.DELETED, "name", "calendar_subscribers"),
    _of("availability.CalendarSubscriber", "listing__host", Fate.DELETED, "salt", why=SECRET),
    _of("listings.CoHost", "user", Fate.DELETED, "listing", "cohosted"),
    _of(
        "listings.ListingGrant", "user", Fate.DELETED, "permission", why="Shown with the co-hosted listings."
    ),
    _of("rates.PromoCode", "host", Fate.KEPT, "code", "promo_codes", why=BOOKS),
    _of("rates.ServiceFeeTerms", "host", Fate.KEPT, "reason", "service_fees", why=BOOKS),
    # Their stays
    _of("bookings.Booking", "guest", Fate.BLANKED, "guest_list arrival_note message", "stays"),
    _of("bookings.BookingTransition", "actor", Fate.BLANKED, "reason", "booking_steps"),
    _of(
        "bookings.Alteration",
        "booking__guest",
        Fate.BLANKED,
        "reason",
        "changes_as_guest",
        proposed_by="guest",
    ),
    _of(
        "bookings.Alteration", "booking__host", Fate.BLANKED, "reason", "changes_as_host", proposed_by="host"
    ),
    _of("bookings.Inquiry", "guest", Fate.BLANKED, "message", "inquiries"),
    _of("bookings.Inquiry", "host", Fate.BLANKED, "answer", "inquiries_answered"),
    _of("bookings.HostPenalty", "host", Fate.KEPT, "waiver_reason", "penalties", why=BOOKS),
    # What they remember and look for
    _of("wishlists.Wishlist", "user", Fate.DELETED, "name", "wishlists"),
    _of("search.SavedSearch", "user", Fate.DELETED, "name query", "saved_searches"),
    _of("wishlists.Wishlist", "user", Fate.DELETED, "share_token", why=SECRET),
    # What they say of stays, and what is said of them
    _of(
        "reviews.Review",
        "author",
        Fate.KEPT,
        "comment",
        "reviews_written",
        why="Others rely on what was said of a place or a guest; it stays without a name.",
    ),
    _of("reviews.Review", "author", Fate.BLANKED, "private_note appeal", "reviews_written"),
    _of(
        "reviews.Review",
        "author",
        Fate.KEPT,
        "hidden_reason appeal_reason",
        "reviews_written",
        why="Accountability: why somebody's words were taken away, and not given back.",
    ),
    _of(
        "reviews.Review",
        "responded_by",
        Fate.KEPT,
        "response",
        "reviews_answered",
        why="It answers a review that stays; it has no name either.",
    ),
    _of(
        "reviews.Review",
        "subject",
        Fate.KEPT,
        "comment",
        "reviews_received",
        why="It is its author's. What is said of a guest is shown to nobody once the guest is gone.",
        status="published",
    ),
    # What they write
    _of("messaging.Message", "sender", Fate.BLANKED, "body", "messages"),
    _of("messaging.Attachment", "uploader", Fate.DELETED, "file thumbnail name content_type", "attachments"),
    _of("messaging.UserBlock", "blocker", Fate.DELETED, "blocked", "blocks"),
    _of("messaging.Participation", "user", Fate.DELETED, "read_seq", why="How far they have read."),
    # What they report
    _of("moderation.Report", "reporter", Fate.BLANKED, "details", "reports"),
    _of("moderation.Report", "reporter", Fate.KEPT, "note", why=DECIDED),
    _of(
        "moderation.Report",
        "message__sender",
        Fate.BLANKED,
        "evidence",
        why="A copy of what stands among their messages. That somebody reported it is that person's to know.",
    ),
    # What was decided about them
    _of("moderation.Decision", "person", Fate.KEPT, "words", "decisions", why=DECIDED),
    _of("moderation.Decision", "person", Fate.KEPT, "before", why="The state that a listing was in."),
    _of(
        "moderation.Decision",
        "person",
        Fate.BLANKED,
        "snapshot",
        why="A copy of what their listing said; the listing shows it.",
    ),
    _of("moderation.Appeal", "person", Fate.BLANKED, "words", "appeals"),
    _of("moderation.Appeal", "person", Fate.KEPT, "note", "appeals", why=DECIDED),
    _of("moderation.Strike", "person", Fate.KEPT, "paused", why="Which listings a strike has paused."),
    _of(
        "moderation.Flag",
        "listing__host",
        Fate.BLANKED,
        "found",
        why="Words and numbers of their own listing, for those who decide about it.",
    ),
    _of("moderation.ListingPrint", "listing__host", Fate.DELETED, "text spot", why=PRINTS),
    _of("moderation.PhotoPrint", "listing__host", Fate.DELETED, "digest look", why=PRINTS),
    # Their money
    _of(
        "payments.PayoutAccount",
        "user",
        Fate.BLANKED,
        "destination shown requirements country",
        "payout_accounts",
    ),
    _of("payments.PayoutAccount", "user", Fate.KEPT, "provider_ref", "payout_accounts", why=BOOKS),
    _of("payments.PayoutSplit", "user", Fate.DELETED, "percent", "payout_splits"),
    _of("payments.Document", "recipient", Fate.KEPT, "data file", "documents", why=ISSUED),
    _of(
        "payments.Document",
        "folio__host",
        Fate.KEPT,
        "data",
        why=f"{ISSUED} The guest's papers are the guest's.",
    ),
    _of(
        "payments.RefundRequest",
        "folio__guest",
        Fate.KEPT,
        "reason decision_note",
        "refund_requests",
        why=BOOKS,
    ),
    _of("payments.Dispute", "payment__folio__guest", Fate.KEPT, "reason note", "disputes", why=BOOKS),
    _of(
        "payments.DisputeAnswer",
        "dispute__payment__folio__guest",
        Fate.KEPT,
        "text",
        "dispute_answers",
        why=BOOKS,
    ),
    _of("payments.Payment", "folio__guest", Fate.KEPT, "card_brand card_last4", "payments", why=BOOKS),
    _of("payments.PayoutHold", "payout__receiver", Fate.KEPT, "note", "payout_holds", why=BOOKS),
    # What we noted of what they did
    _of(
        "telemetry.AccessLine",
        "user_id",
        Fate.KEPT,
        "network",
        why="Security: which door was used and when, by number, with the network instead of the address; dropped after"
        " access_log_hours.",
    ),
    _of(
        "telemetry.ErrorLine",
        "user_id",
        Fate.KEPT,
        "event trace",
        why="Security: what failed, without secrets, addresses and values of rows; dropped after error_log_days.",
    ),
    _of("audit.AuditEntry", "actor", Fate.BLANKED, "address", "acts"),
    _of("audit.AuditEntry", "actor", Fate.KEPT, "before after reason", "acts", why=CHAINED),
)

UNOWNED: dict[str, tuple[str, ...]] = {
    # Personal values in rows that name nobody by a key; ``cleaning`` finds them by other ways.
    "payments.MpesaRequest": ("phone",),
    "payments.ProviderEvent": ("payload",),
    "procrastinate.ProcrastinateJob": ("args",),
    "core.RateCounter": ("key",),
    "core.ThrottledSubject": ("subject",),
    "sessions.Session": ("session_data",),
}
"""Model → personal fields without a path to their owner. A phone's orders and providers' events are found by the money
that they are about; jobs by the account's number or address; counters and the back office's sessions run out by
themselves (``retention``)."""
