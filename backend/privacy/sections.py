"""The parts of an export: which rows of a person it holds and under which names. Other people's data are left out."""

from __future__ import annotations

from collections.abc import Iterator

from allauth.mfa.models import Authenticator
from django.conf import settings
from django.db.models import Q
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _

from backend.accounts.models import User
from backend.audit.models import AuditEntry
from backend.core.money import number
from backend.listings.cohosts import grants_of
from backend.listings.models import CoHost
from backend.notifications.models import Notification
from backend.notifications.rendering import render
from backend.privacy.reading import BATCH, Row, Section, absolute, table, walk


def _identities(user: User) -> Iterator[Row]:
    for row in Authenticator.objects.filter(user=user).order_by("pk"):
        yield {"kind": row.type, "created_at": row.created_at, "last_used_at": row.last_used_at}


def _cohosted(user: User) -> Iterator[Row]:
    for row in CoHost.objects.filter(user=user).select_related("listing").order_by("pk"):
        yield {
            "property_id": row.listing_id,
            "title": row.listing.title,
            "grants": grants_of([row])[row.pk],
            "created_at": row.created_at,
        }


def _documents(user: User) -> Iterator[Row]:
    for row in walk(user.documents, ["reference", "kind", "total_minor", "currency", "issued_at", "data"]):
        yield {
            "id": row["pk"],
            "number": row["reference"],
            "kind": row["kind"],
            "total": number(row["total_minor"], row["currency"]),
            "currency": row["currency"],
            "issued_at": row["issued_at"],
            "pdf_url": absolute(f"/api/documents/{row['pk']}.pdf"),
            "content": row["data"],
        }


def _notifications(user: User) -> Iterator[Row]:
    last = 0
    language = get_language() or settings.LANGUAGE_CODE
    while rows := list(Notification.objects.filter(user=user, pk__gt=last).order_by("pk")[:BATCH]):
        for row in rows:
            title, body = render(row, language)
            yield {"created_at": row.created_at, "kind": row.kind, "title": title, "body": body,
                   "url": absolute(row.url), "data": row.data, "read_at": row.read_at}  # fmt: skip
        last = rows[-1].pk


def _acts(user: User) -> Iterator[Row]:
    """What the person did, and what was done to the account; colleagues of ours are not named."""
    about = Q(actor=user) | Q(object_type="user", object_id=str(user.pk))
    paths = ["at", "actor_id", "action", "object_type", "object_id", "before", "after", "reason", "address"]
    for row in walk(AuditEntry.objects.filter(about), paths):
        own = row["actor_id"] == user.pk
        by = _("you") if own else _("our team") if row["actor_id"] else _("the system")
        yield {
            "at": row["at"],
            "by": str(by),
            # The log's word, read aloud: "payout_account.add" is a payout account, add.
            "action": row["action"].replace("_", " ").replace(".", ": "),
            "about": f"{row['object_type']} {row['object_id']}",
            "before": row["before"],
            "after": row["after"],
            "reason": row["reason"],
            "address": row["address"] if own else None,
        }


_AT = {"at": _("at"), "created_at": _("created at")}

SECTIONS: tuple[Section, ...] = (
    table(
        "profile",
        _("Profile"),
        "accounts.User",
        "pk",
        "pk=id username email first_name last_name created_at last_login suspended_at suspended_reason"
        " profile__phone=phone profile__phone_verified_at=phone_verified_at profile__bio=bio"
        " profile__languages=languages profile__photo=photo_url"
        " profile__identity_verified_at=identity_verified_at profile__currency=currency"
        " profile__language=language profile__timezone=timezone"
        " profile__notification_preferences=notifications profile__is_superhost=is_superhost"
        " profile__response_rate=response_rate profile__response_time_hours=response_time_hours",
        is_one=True,
    ),
    table("roles", _("Roles"), "accounts.User_groups", "user", "group__name=role"),
    table("emails", _("Email addresses"), "account.EmailAddress", "user", "email verified primary"),
    table(
        "identities",
        _("Accounts elsewhere"),
        "socialaccount.SocialAccount",
        "user",
        "provider uid extra_data last_login date_joined",
    ),
    Section(
        "second_steps",
        _("Second steps of signing in"),
        _identities,
        {"kind": _("kind"), **_AT, "last_used_at": _("last used at")},
    ),
    table(
        "sessions",
        _("Signed-in devices"),
        "accounts.Session",
        "user",
        "device address created_at last_used_at expires_at revoked_at revoked_reason",
    ),
    table(
        "api_keys",
        _("API keys"),
        "accounts.ApiKey",
        "user",
        "name prefix scopes created_at expires_at last_used_at revoked_at",
    ),
    table(
        "webhooks",
        _("Webhooks"),
        "webhooks.WebhookEndpoint",
        "user",
        "url description events created_at disabled_at disabled_reason",
    ),
    table(
        "identity_checks",
        _("Identity checks"),
        "accounts.IdentityCheck",
        "user",
        "document status created_at decided_at reason",
    ),
    table(
        "standing",
        _("Standing as a host"),
        "accounts.HostStanding",
        "host",
        "quarter stays nights response_rate cancellation_rate rating is_superhost computed_at",
    ),
    table(
        "listings",
        _("Listings"),
        "listings.Listing",
        "host",
        "id status status_reason language title description property_type room_type currency"
        " price_minor@currency=price_per_night weekend_price_minor@currency=weekend_price"
        " cleaning_fee_minor@currency=cleaning_fee extra_guest_fee_minor@currency=extra_guest_fee"
        " max_guests bedrooms beds bathrooms min_nights max_nights check_in_time check_out_time"
        " cancellation_policy house_rules location line1 line2 city region postal_code country latitude longitude"
        " timezone rating review_count source source_id created_at updated_at published_at",
    ),
    table(
        "listing_texts",
        _("Listings in other languages"),
        "listings.ListingText",
        "listing__host",
        "listing_id=property_id language title description house_rules created_at updated_at",
    ),
    table(
        "listing_steps",
        _("Steps of listings"),
        "listings.ListingTransition",
        "listing__host",
        "listing_id=property_id old new reason at",
    ),
    table(
        "photos",
        _("Photos"),
        "listings.Photo",
        "listing__host",
        "listing_id=property_id file=url caption position is_cover created_at sizes",
    ),
    table(
        "calendar_blocks",
        _("Closed nights"),
        "availability.Block",
        "listing__host",
        "listing_id=property_id nights reason active note created_at released_at",
    ),
    table(
        "calendar_days",
        _("Calendar days"),
        "availability.CalendarDay",
        "listing__host",
        "listing_id=property_id date price_minor@listing__currency=price min_nights max_nights"
        " closed_to_arrival closed_to_departure note",
    ),
    table(
        "price_rules",
        _("Price rules"),
        "rates.PriceRule",
        "listing__host",
        "listing_id=property_id kind starts_on ends_on weekdays price_minor@listing__currency=price percent",
    ),
    table(
        "calendar_feeds",
        _("Imported calendars"),
        "availability.CalendarFeed",
        "listing__host",
        "listing_id=property_id name url=address kind status last_polled_at last_healthy_at created_at",
    ),
    table(
        "calendar_entries",
        _("Entries of imported calendars"),
        "availability.FeedEvent",
        "feed__listing__host",
        "feed_id uid starts_on ends_on summary kind created_at removed_at",
    ),
    table(
        "calendar_subscribers",
        _("Readers of calendars"),
        "availability.CalendarSubscriber",
        "listing__host",
        "listing_id=property_id name created_at last_used_at revoked_at",
    ),
    table(
        "promo_codes",
        _("Promotion codes"),
        "rates.PromoCode",
        "host",
        "code percent amount_minor@currency=amount currency starts_at ends_at active created_at",
    ),
    table(
        "service_fees",
        _("Terms of the service fee"),
        "rates.ServiceFeeTerms",
        "host",
        "model host_percent guest_percent effective_from reason",
    ),
    Section(
        "cohosted",
        _("Kept for others"),
        _cohosted,
        {"property_id": _("listing"), "title": _("title"), "grants": _("grants"), **_AT},
    ),
    table(
        "stays",
        _("Stays as a guest"),
        "bookings.Booking",
        "guest",
        "id reference listing__title=property check_in check_out guests pets guest_list arrival_time arrival_note"
        " message status canceled_by total_minor@currency=total_price refund_minor@currency=refund_amount currency"
        " created_at confirmed_at ended_at",
    ),
    table(
        "hosted",
        _("Stays of guests"),
        "bookings.Booking",
        "host",
        "id reference listing_id=property_id listing__title=property check_in check_out guests status canceled_by"
        " total_minor@currency=total_price host_payout_minor@currency=host_payout currency created_at confirmed_at"
        " ended_at",
    ),
    table(
        "booking_steps",
        _("Steps of bookings"),
        "bookings.BookingTransition",
        "actor",
        "booking__reference=booking event old new reason at",
    ),
    table(
        "changes_as_guest",
        _("Changes that you proposed as a guest"),
        "bookings.Alteration",
        "booking__guest",
        "booking__reference=booking status check_in check_out guests difference_minor@booking__currency=difference"
        " reason created_at",
        proposed_by="guest",
    ),
    table(
        "changes_as_host",
        _("Changes that you proposed as a host"),
        "bookings.Alteration",
        "booking__host",
        "booking__reference=booking status check_in check_out guests difference_minor@booking__currency=difference"
        " reason created_at",
        proposed_by="host",
    ),
    table(
        "inquiries",
        _("Questions to hosts"),
        "bookings.Inquiry",
        "guest",
        "id listing__title=property status check_in check_out guests message total_minor@currency=offered currency"
        " created_at answered_at",
    ),
    table(
        "inquiries_answered",
        _("Answers to guests"),
        "bookings.Inquiry",
        "host",
        "id listing__title=property status check_in check_out answer total_minor@currency=offered currency"
        " created_at answered_at",
    ),
    table(
        "messages",
        _("Messages"),
        "messaging.Message",
        "sender",
        "conversation_id conversation__listing__title=property seq kind body read_at created_at",
    ),
    table(
        "attachments",
        _("Files in messages"),
        "messaging.Attachment",
        "uploader",
        "id conversation_id message_id kind name content_type size created_at",
    ),
    table("blocks", _("Blocked people"), "messaging.UserBlock", "blocker", "blocked_id=user_id created_at"),
    table(
        "reports",
        _("Reports"),
        "moderation.Report",
        "reporter",
        "id reason details listing_id=property_id user_id message_id review_id status created_at decided_at",
    ),
    table(
        "decisions",
        _("Decisions of our team"),
        "moderation.Decision",
        "person",
        "id case__listing_id=property_id case__message_id=message_id case__review_id=review_id action reason_code words"
        " decided_at appeal_until reversed_at",
    ),
    table(
        "appeals",
        _("Appeals"),
        "moderation.Appeal",
        "person",
        "id decision_id words status note created_at decided_at",
    ),
    table(
        "strikes",
        _("Strikes"),
        "moderation.Strike",
        "person",
        "id decision_id points reason_code created_at expires_at removed_at",
    ),
    table(
        "saved_searches",
        _("Saved searches"),
        "search.SavedSearch",
        "user",
        "id name query notify created_at updated_at looked_at closed_at",
    ),
    table("wishlists", _("Wishlists"), "wishlists.Wishlist", "user", "id name created_at updated_at"),
    table(
        "wishlist_places",
        _("Places on wishlists"),
        "wishlists.WishlistPlace",
        "wishlist__user",
        "wishlist__name=wishlist listing_id=property_id listing__title=title created_at",
    ),
    table(
        "reviews_written",
        _("Reviews written"),
        "reviews.Review",
        "author",
        "id booking__reference=booking listing__title=property about rating cleanliness accuracy check_in"
        " communication location value comment private_note status created_at published_at response responded_at"
        " hidden_at hidden_reason appeal appealed_at appeal_outcome appeal_reason appeal_decided_at",
    ),
    table(
        "reviews_received",
        _("Reviews received"),
        "reviews.Review",
        "subject",
        "id booking__reference=booking listing__title=property about rating cleanliness accuracy check_in"
        " communication location value comment private_note published_at response responded_at",
        status="published",
    ),
    table(
        "reviews_answered",
        _("Responses to reviews"),
        "reviews.Review",
        "responded_by",
        "id booking__reference=booking listing__title=property response responded_at",
    ),
    table(
        "payments",
        _("Payments"),
        "payments.Payment",
        "folio__guest",
        "reference kind provider status amount_minor@currency=amount currency charged_minor@charged_currency=charged"
        " charged_currency refunded_minor@currency=refunded card_brand card_last4 folio__booking__reference=booking"
        " created_at completed_at",
    ),
    table(
        "refund_requests",
        _("Refunds by hand"),
        "payments.RefundRequest",
        "folio__guest",
        "folio__booking__reference=booking amount_minor@currency=amount currency status reason decision_note"
        " created_at decided_at",
    ),
    table(
        "disputes",
        _("Disputed payments"),
        "payments.Dispute",
        "payment__folio__guest",
        "payment__reference=payment amount_minor@currency=amount currency reason status note opened_at closed_at",
    ),
    table(
        "dispute_answers",
        _("Answers to disputed payments"),
        "payments.DisputeAnswer",
        "dispute__payment__folio__guest",
        "dispute__payment__reference=payment kind state text created_at",
    ),
    table(
        "payout_accounts",
        _("Payout accounts"),
        "payments.PayoutAccount",
        "user",
        "provider currency country provider_ref destination shown status requirements is_default created_at",
    ),
    table(
        "payouts",
        _("Payouts"),
        "payments.Payout",
        "receiver",
        "reference folio__booking__reference=booking status gross_minor@currency=gross netted_minor@currency=netted"
        " amount_minor@currency=amount currency due_at sent_at paid_at",
    ),
    table(
        "suppressed_addresses",
        _("Addresses that nothing is sent to"),
        "notifications.SuppressedAddress",
        "user",
        "channel address reason created_at",
    ),
    table(
        "payout_holds",
        _("Payouts on hold"),
        "payments.PayoutHold",
        "payout__receiver",
        "payout__reference=payout reason note created_at released_at",
    ),
    table(
        "payout_splits",
        _("Shares of others' earnings"),
        "payments.PayoutSplit",
        "user",
        "listing__title=property percent created_at",
    ),
    table(
        "penalties",
        _("Penalties"),
        "bookings.HostPenalty",
        "host",
        "booking__reference=booking percent amount_minor@currency=amount currency created_at waived_at waiver_reason",
    ),
    Section(
        "documents",
        _("Documents"),
        _documents,
        {
            "id": _("number"),
            "number": _("document number"),
            "kind": _("kind"),
            "total": _("total"),
            "currency": _("currency"),
            "issued_at": _("issued at"),
            "pdf_url": _("file"),
            "content": _("content"),
        },
    ),
    Section(
        "notifications",
        _("Notifications"),
        _notifications,
        {
            **_AT,
            "kind": _("kind"),
            "title": _("title"),
            "body": _("text"),
            "url": _("link"),
            "data": _("data"),
            "read_at": _("read at"),
        },
    ),
    Section(
        "acts",
        _("What was done"),
        _acts,
        {
            **_AT,
            "by": _("by"),
            "action": _("action"),
            "about": _("about"),
            "before": _("before"),
            "after": _("after"),
            "reason": _("reason"),
            "address": _("address"),
        },
    ),
)
