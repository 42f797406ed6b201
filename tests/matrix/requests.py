"""For every operation of the API a request that works for whoever may use it, and the status that they hear."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from api.access import BOOKINGS, GUEST, HOST
from tests.factories import PASSWORD
from tests.matrix.world import FEED, STAFF, stay

Ids = dict[str, Any]
Body = Callable[[Ids], Any]


@dataclass(frozen=True)
class Case:
    """``status`` for whoever may. ``at``: which thing stands in a placeholder of the path, where it is not the usual one.

    ``picture`` is the name of the field that a picture is uploaded in, ``form`` what goes with it. ``refs``: the things that ``body`` names. ``only``: of those who may, who may do it here. ``unlike``: what single
    actors hear in place of ``status``, who may use the operation and have nothing there.
    """

    status: int = 200
    body: Body | None = None
    at: dict[str, str] = field(default_factory=dict)
    query: str = ""
    refs: tuple[str, ...] = ()
    only: frozenset[str] = frozenset()
    unlike: dict[str, int] = field(default_factory=dict)
    picture: str = ""
    form: dict[str, str] = field(default_factory=dict)
    hidden: int = 0
    """What whoever may hears at a listing that is not offered; 0: the same as ``status``."""


USUAL = {
    "property_id": "listing",
    "booking_id": "booking",
    "rule_id": "rule",
    "fee_id": "fee",
    "tax_id": "tax",
    "code_id": "code",
    "photo_id": "photo",
    "feed_id": "feed",
    "conflict_id": "conflict",
    "subscriber_id": "subscriber",
    "cohost_id": "cohost",
    "inquiry_id": "inquiry",
    "conversation_id": "conversation",
    "attachment_id": "attachment",
    "payment_id": "payment",
    "payout_id": "payout",
    "dispute_id": "dispute",
    "document_id": "document",
    "account_id": "account",
    "notification_id": "notification",
    "session_id": "session",
    "user_id": "user",
    "identity_id": "identity",
    "check_id": "check",
    "review_id": "review",
    "wishlist_id": "wishlist",
    "search_id": "search",
    "key_id": "key",
    "webhook_id": "webhook",
    "delivery_id": "webhook_delivery",
    "message_id": "message",
}
"""Placeholder of a path → the name of the thing in ``World.ids``."""


def _says(**values: Any) -> Body:
    return lambda ids: values


def _dates(days: int = 90) -> dict[str, str]:
    wanted = stay(days)
    return {"check_in": wanted.check_in.isoformat(), "check_out": wanted.check_out.isoformat()}


def _query(days: int = 90) -> str:
    return "?" + "&".join(f"{name}={value}" for name, value in _dates(days).items())


FIVE = {
    "title": "Flat over the river",
    "description": "Two rooms and a balcony.",
    "price_per_night": 100,
    "location": "Lisbon, Portugal",
    "availability": True,
}
HOST_SIDE, GUEST_SIDE = frozenset({HOST, BOOKINGS}), frozenset({GUEST})
READ, DONE, MADE = Case(), Case(204), 201
GOOGLE = {"provider": "=google"}
"""Nobody can sign in through it here."""

CODES = {"code_id": "host_code"}

REQUESTS: dict[str, list[Case]] = {
    "accounts_register": [
        Case(MADE, _says(username="newcomer", email="newcomer@example.com", password=PASSWORD))
    ],
    "accounts_login": [Case(200, _says(username="host", password=PASSWORD))],
    "mfa_finish_login": [Case(401, _says(mfa_token="none", code="123456"))],
    "accounts_refresh": [Case(401, _says(refresh="none"))],
    "verification_verify_email": [Case(422, _says(key="none"))],
    "verification_reset_password": [Case(202, _says(email="nobody@example.org"))],
    "verification_confirm_reset": [Case(422, _says(token="none", new_password="battery-staple-7"))],
    "accounts_logout": [DONE],
    "accounts_change_password": [
        Case(204, _says(current_password=PASSWORD, new_password="battery-staple-7"))
    ],
    "accounts_get_profile": [READ],
    "accounts_put_profile": [Case(200, _says(email="elsewhere@example.com"))],
    "accounts_patch_profile": [Case(200, _says(bio="I like the sea."))],
    "accounts_put_photo": [Case(picture="photo")],
    "accounts_delete_photo": [DONE],
    "accounts_become_host": [READ],
    "accounts_list_sessions": [READ],
    "accounts_delete_session": [DONE],
    "accounts_get_user": [READ],
    "verification_resend_key": [Case(409)],
    "verification_ask_phone": [Case(202, _says(phone="+254712345678"))],
    "verification_verify_phone": [Case(422, _says(code="123456"))],
    "mfa_begin": [READ],
    "mfa_confirm": [Case(422, _says(code="123456"))],
    "mfa_disable": [Case(409, _says(password=PASSWORD))],
    "mfa_renew_codes": [Case(409, _says(password=PASSWORD))],
    "social_sign_in": [Case(404, _says(id_token="none"), at=GOOGLE)],
    "social_start": [Case(404, at=GOOGLE)],
    "social_callback": [Case(404, at=GOOGLE)],
    "social_callback_posted": [Case(404, at=GOOGLE)],
    "social_confirm": [Case(204, _says(password=PASSWORD))],
    "social_list_identities": [READ],
    "social_link": [Case(404, _says(provider="google", id_token="none"))],
    "social_unlink": [DONE],
    "identity_checks_hand_in": [
        Case(MADE, picture="picture", form={"kind": "passport"}, unlike={"guest": 409})
    ],
    "identity_checks_list_checks": [READ],
    "identity_checks_get_check": [READ],
    "privacy_export_data": [READ],
    "privacy_erase": [
        Case(
            204, _says(password=PASSWORD), unlike=dict.fromkeys(("guest", "host", *STAFF, "superuser"), 409)
        ),
    ],
    "realtime_make_ticket": [READ],
    "notifications_list_notifications": [READ],
    "notifications_read_all": [DONE],
    "notifications_read": [DONE],
    "notifications_get_preferences": [READ],
    "notifications_put_preferences": [
        Case(200, lambda ids: {"message.received": {"email": False, "sms": True}})
    ],
    "notifications_patch_preferences": [Case(200, lambda ids: {"review.invited": {"in_app": False}})],
    "mail_reports_take_reports": [Case(404, at={"provider": "=sendgrid"})],
    "sms_reports_take_twilio": [Case(404)],
    "sms_reports_take_africas_talking": [Case(404, at={"secret": "=secret"})],
    "platform_show": [READ],
    "reference_list_amenities": [READ],
    "reference_list_currencies": [READ],
    "reference_list_locations": [Case(query="?q=lis")],
    "search_search_properties": [READ],
    "properties_create_property": [Case(MADE, _says(**FIVE))],
    "properties_list_own_properties": [READ],
    "properties_get_property": [READ],
    "properties_put_property": [Case(200, _says(**{**FIVE, "title": "Flat with a view"}))],
    "properties_patch_property": [Case(200, _says(title="Flat with a view"))],
    "properties_delete_property": [
        Case(204, at={"property_id": "bare"}),
        Case(409, at={"property_id": "listing"}),
    ],
    "property_texts_list_texts": [READ],
    "property_texts_read_text": [Case(at={"language": "=fr"})],
    "property_texts_put_text": [Case(200, _says(title="Appartement"), at={"language": "=fr"})],
    "property_texts_remove_text": [Case(204, at={"language": "=fr"})],
    "photos_add_photo": [Case(MADE, picture="file")],
    "photos_patch_photo": [Case(200, _says(caption="The balcony"))],
    "photos_delete_photo": [DONE],
    "cohosts_list_cohosts": [READ],
    "cohosts_add": [Case(MADE, _says(email="other_guest@example.com", grants=["calendar"]))],
    "cohosts_change": [Case(200, _says(grants=["messages"]))],
    "cohosts_end": [DONE],
    "calendar_read": [READ],
    "calendar_change": [
        Case(200, lambda ids: {"from": _dates()["check_in"], "to": _dates()["check_out"], "price": 120})
    ],
    "feeds_list_feeds": [READ],
    "feeds_add_feed": [Case(MADE, _says(name="VRBO", url=f"{FEED}?other"))],
    "feeds_get_feed": [READ],
    "feeds_remove_feed": [DONE],
    "feeds_poll_feed": [READ],
    "feeds_decide_conflict": [Case(200, _says(decision="keep"))],
    "feeds_list_subscribers": [READ],
    "feeds_add_subscriber": [Case(MADE, _says(name="Booking.com"))],
    "feeds_revoke_subscriber": [DONE],
    "feeds_export": [Case(404, query="?token=none")],
    "availability_read": [Case(query=_query()), Case(query=_query(), at={"property_id": "hidden"})],
    "quotes_make": [
        Case(200, lambda ids: _dates()),
        Case(422, lambda ids: _dates(), {"property_id": "hidden"}),
    ],
    "cancellations_at_property": [
        Case(query=_query()),
        Case(422, query=_query(), at={"property_id": "hidden"}),
    ],
    "cancellations_list_policies": [READ],
    "prices_list_price_rules": [READ],
    "prices_add_price_rule": [Case(MADE, _says(kind="early_bird", days_before=60, percent=5))],
    "prices_read_price_rule": [READ],
    "prices_change_price_rule": [Case(200, _says(percent=12))],
    "prices_remove_price_rule": [DONE],
    "prices_list_fees": [READ],
    "prices_add_fee": [Case(MADE, _says(kind="linen", amount=15))],
    "prices_read_fee": [READ],
    "prices_change_fee": [Case(200, _says(amount=16))],
    "prices_remove_fee": [DONE],
    "prices_list_taxes": [READ],
    "prices_add_tax": [Case(MADE, _says(name="VAT", percent=6))],
    "prices_read_tax": [READ],
    "prices_change_tax": [Case(200, _says(percent=8))],
    "prices_remove_tax": [DONE],
    "prices_list_promo_codes": [READ],
    "prices_add_promo_code": [Case(MADE, _says(code="AUTUMN", percent=10))],
    "prices_read_promo_code": [READ],
    "prices_change_promo_code": [Case(200, _says(percent=12))],
    "prices_remove_promo_code": [DONE],
    "api_keys_list_keys": [READ],
    "api_keys_make": [Case(MADE, _says(name="Desk", scopes=["listings:read"]))],
    "api_keys_revoke": [DONE],
    "webhooks_list_webhooks": [READ],
    "webhooks_add": [Case(MADE, _says(url=FEED))],
    "webhooks_read": [READ],
    "webhooks_change": [Case(200, _says(description="Desk"))],
    "webhooks_remove": [DONE],
    "webhooks_rotate": [READ],
    "webhooks_send_test": [Case(202)],
    "webhooks_list_deliveries": [READ],
    "webhooks_read_delivery": [READ],
    "webhooks_retry": [Case(202)],
    "webhooks_replay": [Case(202, _says(since="2026-01-01T00:00:00Z"))],
    "host_codes_list_codes": [READ],
    "host_codes_add_code": [Case(MADE, _says(code="AUTUMN", percent=10))],
    "host_codes_read_code": [Case(at=CODES)],
    "host_codes_change_code": [Case(200, _says(percent=12), at=CODES)],
    "host_codes_remove_code": [Case(204, at=CODES)],
    "bookings_create": [
        Case(MADE, lambda ids: {"property_id": ids["bare"], **_dates()}, refs=("bare",)),
        Case(422, lambda ids: {"property_id": ids["hidden"], **_dates()}, refs=("hidden",)),
    ],
    "bookings_list_bookings": [READ, Case(query="?as=host")],
    "bookings_read": [READ, Case(at={"booking_id": "request"})],
    "bookings_cancel": [Case(200, _says(reason="The roof leaks."))],
    "bookings_accept": [Case(at={"booking_id": "request"})],
    "bookings_decline": [Case(at={"booking_id": "request"})],
    "bookings_pay": [Case(200, _says(provider="sandbox", outcome="succeed"), at={"booking_id": "unpaid"})],
    "bookings_tell_guests": [Case(200, _says(guests=[{"name": "Ada"}]))],
    "cancellations_of_booking": [READ],
    "alterations_ask": [Case(200, _says(guests=2))],
    "alterations_propose": [Case(MADE, _says(guests=2))],
    "alterations_preview": [
        Case(200, _says(guests=2)),
        Case(200, _says(guests=2, total_price=250), only=HOST_SIDE),
    ],
    "alterations_accept": [
        Case(at={"booking_id": "asked"}, only=HOST_SIDE),
        Case(at={"booking_id": "proposed"}, only=GUEST_SIDE),
    ],
    "alterations_decline": [
        Case(at={"booking_id": "asked"}, only=HOST_SIDE),
        Case(at={"booking_id": "proposed"}, only=GUEST_SIDE),
    ],
    "alterations_withdraw": [
        Case(at={"booking_id": "asked"}, only=GUEST_SIDE),
        Case(at={"booking_id": "proposed"}, only=HOST_SIDE),
    ],
    "refunds_give": [Case(MADE, _says(amount=10, reason="The shower was cold."))],
    "invoices_get_invoice": [READ],
    "invoices_get_receipt": [READ],
    "inquiries_ask": [
        Case(MADE, lambda ids: {"property_id": ids["bare"], "message": "Hello?", **_dates()}, refs=("bare",)),
        Case(422, lambda ids: {"property_id": ids["hidden"], "message": "Hello?", **_dates()}),
    ],
    "conversations_list_conversations": [READ, Case(query="?as=host")],
    "conversations_start": [
        Case(MADE, lambda ids: {"property_id": ids["bare"], "body": "Hello?"}, refs=("bare",)),
    ],
    "conversations_read_conversation": [READ],
    "conversations_change": [Case(200, _says(archived=True))],
    "messages_list_messages": [READ],
    "messages_send": [Case(MADE, _says(body="It is.", client_id="m-1"))],
    "messages_read": [DONE],
    "attachments_upload": [Case(MADE, picture="file")],
    "attachments_fetch": [Case(404, at={"size": "=full"}, query="?token=none")],
    "user_blocks_list_blocks": [READ],
    "user_blocks_block": [Case(MADE, lambda ids: {"user_id": ids["blockable"]}, refs=("blockable",))],
    "user_blocks_unblock": [Case(204, at={"user_id": "blocked"})],
    "inquiries_list_inquiries": [READ, Case(query="?as=host")],
    "inquiries_read": [READ],
    "inquiries_pre_approve": [READ],
    "inquiries_special_offer": [Case(200, _says(total_price=250))],
    "inquiries_decline": [READ],
    "inquiries_withdraw": [READ],
    "reviews_write": [
        Case(MADE, _says(rating=5, comment="We would come again."), at={"booking_id": "stayed"})
    ],
    "reviews_list_of_property": [READ],
    "reviews_list_reviews": [READ, Case(query="?about=by_me")],
    "reviews_list_of_guest": [Case(at={"user_id": "stayer"})],
    "reviews_read": [READ],
    "reviews_edit": [Case(200, _says(rating=4), at={"review_id": "sealed_review"})],
    "reviews_respond": [Case(MADE, _says(comment="Come again."))],
    "reviews_appeal": [Case(MADE, _says(reason="I named nobody."), at={"review_id": "hidden_review"})],
    "host_see_today": [READ],
    "standing_see_standing": [READ],
    "host_analytics_see_analytics": [READ, Case(query="?from=2027-01-01&to=2027-03-01")],
    "payments_list_payments": [READ, Case(query="?as=host")],
    "payments_get_payment": [READ],
    "payments_receive_webhook": [Case(400, _says(id="evt_1"), at={"provider": "=sandbox"})],
    "payments_receive_callback": [
        Case(404, _says(id="evt_1"), at={"provider": "=mpesa", "token": "=none", "key": "=none"})
    ],
    "disputes_list_disputes": [READ],
    "disputes_get_dispute": [READ],
    "payouts_list_payouts": [READ],
    "payouts_get_payout": [READ],
    "payout_accounts_list_accounts": [READ],
    "payout_accounts_add_account": [Case(MADE, _says(provider="sandbox"))],
    "payout_accounts_get_account": [READ],
    "payout_accounts_choose_account": [
        Case(200, _says(is_default=True), at={"account_id": "second_account"})
    ],
    "payout_accounts_remove_account": [Case(204, at={"account_id": "second_account"})],
    "payout_accounts_onboard": [Case(409)],
    "payout_splits_list_splits": [READ],
    "payout_splits_put_splits": [
        Case(200, _says(parts=[{"email": "other_host@example.com", "percent": 10}]))
    ],
    "payout_splits_remove_splits": [DONE],
    "statements_see_statement": [READ],
    "statements_export_statement": [READ],
    "invoices_get_statement": [Case(404, query="?month=2027-01&currency=EUR")],
    "invoices_list_documents": [READ],
    "invoices_get_document": [READ],
    "invoices_get_document_pdf": [READ],
    "reports_report_property": [Case(MADE, _says(reason="fraud"))],
    "reports_report_user": [Case(MADE, _says(reason="safety"))],
    "reports_report_message": [Case(MADE, _says(reason="inappropriate"), unlike={"guest": 403})],
    "reports_report_review": [Case(MADE, _says(reason="inaccurate"), unlike={"guest": 403})],
    "reports_list_reports": [READ],
    "appeals_appeal_property": [Case(409, _says(words="Look again."))],
    "appeals_appeal_by_token": [Case(404, _says(token="none", words="Look again."))],
    "saved_searches_list_searches": [READ],
    "saved_searches_save": [Case(MADE, _says(name="Lisbon", query={"location": "Lisbon"}))],
    "saved_searches_read": [READ],
    "saved_searches_change": [Case(200, _says(notify=False))],
    "saved_searches_remove": [DONE],
    "wishlists_list_wishlists": [READ],
    "wishlists_create": [Case(MADE, _says(name="Summer by the sea"))],
    "wishlists_read": [READ],
    "wishlists_rename": [Case(200, _says(name="Winter by the sea"))],
    "wishlists_remove": [DONE],
    "wishlists_add_place": [Case(MADE, lambda ids: {"property_id": ids["bare"]}, refs=("bare",))],
    "wishlists_remove_place": [Case(204, at={"property_id": "wished"})],
    "wishlists_share": [READ],
    "wishlists_unshare": [DONE],
    "wishlists_read_shared": [Case(404, at={"token": "=none"})],
}
