"""Who may use which operation, and what the others hear: one line an operation, shown in OpenAPI as ``x-access``.

The operations of the domain decide; this table says what they must decide. ``tests/matrix`` tries every operation as
everybody and compares. An operation without a line fails there.

An answer follows from three questions, in this order. Nobody signed in, or a token that is worth nothing: 401. An
object that the caller may not know of: 404, exactly as if it were not there. Known, but not theirs to use: 403.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from backend.listings.cohosts import GRANTS

ANYONE = "anyone"
USER = "user"
OWNER, GUEST, HOST, SELF = "owner", "guest", "host", "cohost:self"
HOSTS = "role:host"
CALENDAR, BOOKINGS, MESSAGES, PAYOUTS = COHOSTS = tuple(f"cohost:{grant}" for grant in GRANTS)
SUPPORT, MODERATOR, FINANCE, ADMIN = STAFF = ("role:support", "role:moderator", "role:finance", "role:admin")
MONEY = (SUPPORT, FINANCE, ADMIN)

MEANINGS = {
    ANYONE: "Also without a token.",
    USER: "Whoever is signed in.",
    OWNER: "Whose object it is.",
    GUEST: "The guest of the stay.",
    HOST: "The host of the listing.",
    SELF: "The co-host whom it is about.",
    HOSTS: "Whoever has the role host.",
    **{f"cohost:{grant}": f"A co-host of the listing with the grant {grant}." for grant in GRANTS},
    **{role: f"Staff with the role {role.removeprefix('role:')}." for role in STAFF},
}

KNOWN_TO: dict[str, tuple[str, ...]] = {
    "listing": (ANYONE,),
    "hidden listing": (HOST, *COHOSTS, *STAFF),
    "offer": (ANYONE,),
    "booking": (GUEST, HOST, BOOKINGS, *STAFF),
    "listing's texts": (HOST, CALENDAR),
    "inquiry": (GUEST, HOST, BOOKINGS, *STAFF),
    "conversation": (GUEST, HOST, MESSAGES),
    "payment": (GUEST, HOST, PAYOUTS, *MONEY),
    "dispute": (HOST,),
    "document": (OWNER, FINANCE, ADMIN),
    "payout shares": (HOST, *MONEY),
    "review": (ANYONE,),
    "sealed review": (GUEST,),
    "hidden review": (GUEST, SUPPORT, MODERATOR, ADMIN),
    "own": (OWNER,),
    "user": (ANYONE,),
}
"""Kind of object → who may know of one. A listing that is not offered at the moment is a "hidden listing"."""


@dataclass(frozen=True, slots=True)
class Access:
    """``may`` use it, on an object of the kind ``of``; ``never`` takes somebody out again."""

    may: tuple[str, ...]
    of: str = ""
    never: tuple[str, ...] = ()
    note: str = ""

    def document(self) -> dict[str, Any]:
        """As OpenAPI shows it."""
        shown: dict[str, Any] = {"allowed": list(self.may)}
        if self.never:
            shown["never"] = list(self.never)
        if self.of:
            shown |= {"object": self.of, "known_to": list(KNOWN_TO[self.of]), "others": 404}
        elif self.may not in ((ANYONE,), (USER,)):
            shown["others"] = 403
        if self.note:
            shown["note"] = self.note
        return shown


_anyone, _user, _own = Access((ANYONE,)), Access((USER,)), Access((OWNER,), "own")
_kept = Access((HOST, CALENDAR), "listing")
_answered = Access((HOST, BOOKINGS), "booking")
_asked = Access((HOST, BOOKINGS), "inquiry")
_changed = Access((GUEST, HOST, BOOKINGS), "booking")
_talked = Access((GUEST, HOST, MESSAGES), "conversation")
_papers = Access((GUEST, HOST, FINANCE, ADMIN), "booking")
_offered = Access((ANYONE,), "offer")
_proven = "What is sent is the proof: "

ACCESS: dict[str, Access] = {
    "accounts_register": _anyone,
    "accounts_login": _anyone,
    "mfa_finish_login": Access((ANYONE,), note=_proven + "the token of the first step and a code."),
    "accounts_refresh": Access((ANYONE,), note=_proven + "a refresh token."),
    "verification_verify_email": Access((ANYONE,), note=_proven + "the key from the mail."),
    "verification_reset_password": _anyone,
    "verification_confirm_reset": Access((ANYONE,), note=_proven + "the token from the mail."),
    "accounts_logout": _user,
    "accounts_change_password": _user,
    "accounts_get_profile": _user,
    "accounts_put_profile": _user,
    "accounts_patch_profile": _user,
    "accounts_put_photo": _user,
    "accounts_delete_photo": _user,
    "accounts_become_host": _user,
    "accounts_list_sessions": _user,
    "accounts_delete_session": _own,
    "accounts_get_user": Access((ANYONE,), "user"),
    "verification_resend_key": _user,
    "verification_ask_phone": _user,
    "verification_verify_phone": _user,
    "mfa_begin": _user,
    "mfa_confirm": _user,
    "mfa_disable": _user,
    "mfa_renew_codes": _user,
    "social_sign_in": Access((ANYONE,), note=_proven + "what the provider gave."),
    "social_start": _anyone,
    "social_callback": Access((ANYONE,), note=_proven + "the state and code of the provider's answer."),
    "social_callback_posted": Access(
        (ANYONE,), note=_proven + "the state and code of the provider's answer."
    ),
    "social_confirm": _user,
    "social_list_identities": _user,
    "social_link": _user,
    "social_unlink": _own,
    "identity_checks_hand_in": _user,
    "identity_checks_list_checks": _user,
    "identity_checks_get_check": _own,
    "privacy_export_data": _user,
    "privacy_erase": _user,
    "realtime_make_ticket": _user,
    "notifications_list_notifications": _user,
    "notifications_read_all": _user,
    "notifications_read": _own,
    "notifications_get_preferences": _user,
    "notifications_put_preferences": _user,
    "notifications_patch_preferences": _user,
    "mail_reports_take_reports": Access((ANYONE,), note=_proven + "the service's signature."),
    "sms_reports_take_twilio": Access((ANYONE,), note=_proven + "Twilio's signature."),
    "sms_reports_take_africas_talking": Access((ANYONE,), note=_proven + "the end of the address."),
    "platform_show": _anyone,
    "reference_list_amenities": _anyone,
    "reference_list_currencies": _anyone,
    "reference_list_locations": _anyone,
    "search_search_properties": _anyone,
    "properties_create_property": Access((HOSTS,)),
    "properties_list_own_properties": _user,
    "properties_get_property": Access((ANYONE,), "listing"),
    "properties_put_property": _kept,
    "properties_patch_property": _kept,
    "properties_delete_property": Access((HOST, MODERATOR, ADMIN), "listing"),
    **dict.fromkeys(
        (f"property_texts_{name}" for name in ("list_texts", "read_text", "put_text", "remove_text")),
        Access((HOST, CALENDAR), "listing's texts"),
    ),
    "photos_add_photo": _kept,
    "photos_patch_photo": _kept,
    "photos_delete_photo": _kept,
    "cohosts_list_cohosts": Access((HOST, *COHOSTS), "listing"),
    "cohosts_add": Access((HOST,), "listing"),
    "cohosts_change": Access((HOST,), "listing"),
    "cohosts_end": Access((HOST, SELF), "listing"),
    "calendar_read": Access((ANYONE,), "listing"),
    "calendar_change": _kept,
    "feeds_list_feeds": _kept,
    "feeds_add_feed": _kept,
    "feeds_get_feed": _kept,
    "feeds_remove_feed": _kept,
    "feeds_poll_feed": _kept,
    "feeds_decide_conflict": Access(
        (HOST, CALENDAR), "listing", note="To cancel the booking takes the grant bookings besides."
    ),
    "feeds_list_subscribers": _kept,
    "feeds_add_subscriber": _kept,
    "feeds_revoke_subscriber": _kept,
    "feeds_export": Access((ANYONE,), note=_proven + "the token in the address; another one answers 404."),
    "availability_read": _offered,
    "quotes_make": _offered,
    "cancellations_at_property": _offered,
    "cancellations_list_policies": _anyone,
    "prices_list_price_rules": _kept,
    "prices_add_price_rule": _kept,
    "prices_read_price_rule": _kept,
    "prices_change_price_rule": _kept,
    "prices_remove_price_rule": _kept,
    "prices_list_fees": _kept,
    "prices_add_fee": _kept,
    "prices_read_fee": _kept,
    "prices_change_fee": _kept,
    "prices_remove_fee": _kept,
    "prices_list_taxes": _kept,
    "prices_add_tax": _kept,
    "prices_read_tax": _kept,
    "prices_change_tax": _kept,
    "prices_remove_tax": _kept,
    "prices_list_promo_codes": _kept,
    "prices_add_promo_code": _kept,
    "prices_read_promo_code": _kept,
    "prices_change_promo_code": _kept,
    "prices_remove_promo_code": _kept,
    "api_keys_list_keys": Access((HOSTS,)),
    "api_keys_make": Access((HOSTS,)),
    "api_keys_revoke": _own,
    "webhooks_list_webhooks": Access((HOSTS,)),
    "webhooks_add": Access((HOSTS,)),
    "webhooks_read": _own,
    "webhooks_change": _own,
    "webhooks_remove": _own,
    "webhooks_rotate": _own,
    "webhooks_send_test": _own,
    "webhooks_list_deliveries": _own,
    "webhooks_read_delivery": _own,
    "webhooks_retry": _own,
    "webhooks_replay": _own,
    "host_codes_list_codes": Access((HOSTS,)),
    "host_codes_add_code": Access((HOSTS,)),
    "host_codes_read_code": _own,
    "host_codes_change_code": _own,
    "host_codes_remove_code": _own,
    "bookings_create": Access((USER,), "offer", never=(HOST,)),
    "bookings_list_bookings": _user,
    "bookings_read": Access(KNOWN_TO["booking"], "booking"),
    "bookings_cancel": Access((GUEST, HOST, BOOKINGS, SUPPORT, ADMIN), "booking"),
    "bookings_accept": _answered,
    "bookings_decline": _answered,
    "bookings_pay": Access((GUEST,), "booking"),
    "bookings_tell_guests": Access((GUEST,), "booking"),
    "cancellations_of_booking": Access(KNOWN_TO["booking"], "booking"),
    "alterations_ask": Access((GUEST,), "booking"),
    "alterations_propose": _answered,
    "alterations_preview": Access(
        _changed.may, "booking", note="A total of one's own is the host's to name."
    ),
    "alterations_accept": Access(_changed.may, "booking", note="The side that did not propose it."),
    "alterations_decline": Access(_changed.may, "booking", note="The side that did not propose it."),
    "alterations_withdraw": Access(_changed.may, "booking", note="The side that proposed it."),
    "refunds_give": Access((HOST,), "booking"),
    "invoices_get_invoice": _papers,
    "invoices_get_receipt": _papers,
    "inquiries_ask": Access((USER,), "offer", never=(HOST,)),
    "inquiries_list_inquiries": _user,
    "inquiries_read": Access(KNOWN_TO["inquiry"], "inquiry"),
    "inquiries_pre_approve": _asked,
    "inquiries_special_offer": _asked,
    "inquiries_decline": _asked,
    "inquiries_withdraw": Access((GUEST,), "inquiry"),
    "conversations_list_conversations": _user,
    "conversations_start": Access((USER,), "offer", never=(HOST,)),
    "conversations_read_conversation": _talked,
    "conversations_change": _talked,
    "messages_list_messages": _talked,
    "messages_send": _talked,
    "messages_read": _talked,
    "attachments_upload": _talked,
    "attachments_fetch": Access(
        (ANYONE,), note=_proven + "the token in the address; another one answers 404."
    ),
    "user_blocks_list_blocks": _user,
    "user_blocks_block": _user,
    "user_blocks_unblock": _own,
    "reviews_write": _changed,
    "reviews_list_of_property": Access((ANYONE,), "listing"),
    "reviews_list_reviews": _user,
    "reviews_list_of_guest": Access(
        (GUEST, HOST, BOOKINGS, SUPPORT, MODERATOR, ADMIN),
        "user",
        note="The guest, and hosts whom the guest has asked or booked with.",
    ),
    "reviews_read": Access(
        (ANYONE,),
        "review",
        note="One of a guest is for them and for the hosts whom they have asked; a sealed or hidden one for its author's side.",
    ),
    "reviews_edit": Access((GUEST,), "sealed review", note="The side that wrote it."),
    "reviews_respond": Access((HOST, BOOKINGS), "review"),
    "reviews_appeal": Access((GUEST,), "hidden review", note="The side that wrote it."),
    "host_see_today": _user,
    "standing_see_standing": _user,
    "host_analytics_see_analytics": Access(
        (USER,),
        note="A property_id of one's own, or of somebody else's whose payouts one was granted; others answer 404.",
    ),
    "payments_list_payments": _user,
    "payments_get_payment": Access(KNOWN_TO["payment"], "payment"),
    "payments_receive_webhook": Access((ANYONE,), note=_proven + "the provider's signature."),
    "payments_receive_callback": Access((ANYONE,), note=_proven + "the token in the address."),
    "disputes_list_disputes": _user,
    "disputes_get_dispute": Access((HOST,), "dispute"),
    "payouts_list_payouts": _user,
    "payouts_get_payout": _own,
    "payout_accounts_list_accounts": _user,
    "payout_accounts_add_account": Access((HOSTS,)),
    "payout_accounts_get_account": _own,
    "payout_accounts_choose_account": _own,
    "payout_accounts_remove_account": _own,
    "payout_accounts_onboard": _own,
    "payout_splits_list_splits": Access((HOST, *MONEY), "payout shares"),
    "payout_splits_put_splits": Access((HOST,), "payout shares"),
    "payout_splits_remove_splits": Access((HOST,), "payout shares"),
    "statements_see_statement": _user,
    "statements_export_statement": _user,
    "invoices_get_statement": _user,
    "invoices_list_documents": _user,
    "invoices_get_document": Access(KNOWN_TO["document"], "document"),
    "invoices_get_document_pdf": Access(KNOWN_TO["document"], "document"),
    "wishlists_list_wishlists": _user,
    "wishlists_create": _user,
    "wishlists_read": _own,
    "wishlists_rename": _own,
    "wishlists_remove": _own,
    "wishlists_add_place": _own,
    "wishlists_remove_place": _own,
    "wishlists_share": _own,
    "wishlists_unshare": _own,
    "reports_report_property": Access((USER,), "listing", never=(HOST, *COHOSTS)),
    "reports_report_user": Access((USER,), "user", never=(OWNER,)),
    "reports_report_message": Access(
        (GUEST, HOST, MESSAGES), "conversation", note="Of what somebody else wrote in it."
    ),
    "reports_report_review": Access((USER,), "review", note="Not the side that wrote it."),
    "reports_list_reports": _user,
    "appeals_appeal_property": Access((HOST,), "listing"),
    "appeals_appeal_by_token": Access(
        (ANYONE,), note=_proven + "the token, which a letter brought; another one answers 404."
    ),
    "saved_searches_list_searches": _user,
    "saved_searches_save": _user,
    "saved_searches_read": _own,
    "saved_searches_change": _own,
    "saved_searches_remove": _own,
    "wishlists_read_shared": Access(
        (ANYONE,), note=_proven + "the token in the address; another one answers 404."
    ),
}
"""Operation id → who may. Lists of one's own things are for whoever is signed in: they show nothing else."""
