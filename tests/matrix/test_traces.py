"""Every operation that changes something leaves its entry in the audit log, or stands here with the reason why not.

Operations of the API are carried out by somebody who may; what they wrote is put back. Actions of the back office call
the same operations; each says here what it leaves.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.core.cache import cache

from backend.audit.models import AuditEntry
from tests.matrix.requests import REQUESTS
from tests.matrix.test_api import OPERATIONS, THERE, Matrix, _expected, _send, matrix
from tests.matrix.test_back_office import ACTIONS

__all__ = ["matrix"]

ROOT = Path(__file__).resolve().parent.parent.parent

TRACES = {
    "accounts_become_host": "role.granted",
    "accounts_change_password": "password.changed",
    "accounts_put_profile": "email.changed",
    "alterations_accept": "booking.accept_alteration",
    "alterations_ask": "booking.alter",
    "alterations_decline": "booking.decline_alteration",
    "alterations_propose": "booking.propose",
    "alterations_withdraw": "booking.withdraw_alteration",
    "bookings_accept": "booking.accept",
    "bookings_cancel": "booking.cancel",
    "bookings_decline": "booking.decline",
    "bookings_tell_guests": "booking.tell_guests",
    "calendar_change": "listing.calendar",
    "cohosts_add": "cohost.add",
    "cohosts_change": "cohost.change",
    "cohosts_end": "cohost.end",
    "feeds_add_feed": "listing.feed_added",
    "feeds_add_subscriber": "listing.subscriber_added",
    "feeds_decide_conflict": "listing.feed_conflict",
    "feeds_remove_feed": "listing.feed_removed",
    "feeds_revoke_subscriber": "listing.subscriber_revoked",
    "api_keys_make": "api_key.made",
    "api_keys_revoke": "api_key.revoked",
    "webhooks_add": "webhook.added",
    "webhooks_change": "webhook.changed",
    "webhooks_remove": "webhook.removed",
    "webhooks_rotate": "webhook.rotated",
    "host_codes_add_code": "promo_code.add",
    "host_codes_change_code": "promo_code.change",
    "host_codes_remove_code": "promo_code.remove",
    "identity_checks_hand_in": "identity_check.hand_in",
    "inquiries_ask": "inquiry.ask",
    "inquiries_decline": "inquiry.decline",
    "inquiries_pre_approve": "inquiry.pre_approve",
    "inquiries_special_offer": "inquiry.special_offer",
    "inquiries_withdraw": "inquiry.withdraw",
    "payout_accounts_add_account": "payout_account.add",
    "payout_accounts_choose_account": "payout_account.choose",
    "payout_accounts_remove_account": "payout_account.remove",
    "payout_splits_put_splits": "payout_split.change",
    "payout_splits_remove_splits": "payout_split.change",
    "prices_add_fee": "fee.add",
    "prices_add_price_rule": "price_rule.add",
    "prices_add_promo_code": "promo_code.add",
    "prices_add_tax": "tax.add",
    "prices_change_fee": "fee.change",
    "prices_change_price_rule": "price_rule.change",
    "prices_change_promo_code": "promo_code.change",
    "prices_change_tax": "tax.change",
    "prices_remove_fee": "fee.remove",
    "prices_remove_price_rule": "price_rule.remove",
    "prices_remove_promo_code": "promo_code.remove",
    "prices_remove_tax": "tax.remove",
    "privacy_erase": "user.erased",
    "properties_create_property": "listing.create",
    "properties_delete_property": "listing.archive",
    "properties_patch_property": "listing.update",
    "properties_put_property": "listing.update",
    "property_texts_put_text": "listing.text",
    "property_texts_remove_text": "listing.text",
    "refunds_give": "refund.give",
    "reviews_appeal": "review.appeal",
    "reviews_edit": "review.edit",
    "reviews_respond": "review.respond",
    "reviews_write": "review.submit",
    "social_unlink": "identity.unlinked",
    "user_blocks_block": "user.block",
    "user_blocks_unblock": "user.unblock",
    **dict.fromkeys(
        (f"reports_report_{subject}" for subject in ("property", "user", "message", "review")), "report.make"
    ),
    "wishlists_share": "wishlist.shared",
}
"""Operation → the action that it leaves."""

ELSEWHERE = {
    "appeals_appeal_property": "appeal.make",
    "appeals_appeal_by_token": "appeal.make",
    "mfa_confirm": "mfa.enabled",
    "mfa_disable": "mfa.disabled",
    "mfa_renew_codes": "mfa.codes_renewed",
    "social_link": "identity.linked",
    "verification_confirm_reset": "password.reset",
    "verification_verify_email": "email.verified",
    "verification_verify_phone": "phone.verified",
    "wishlists_unshare": "wishlist.unshared",
}
"""Those that need a key, a code, a provider or something that was done before; their own tests carry them out."""

WITHOUT = {
    **dict.fromkeys(
        [
            *("accounts_login", "accounts_logout", "accounts_delete_session", "accounts_refresh"),
            *("mfa_finish_login", "social_sign_in", "social_callback_posted", "realtime_make_ticket"),
        ],
        "Sessions are rows of their own: who, from where, since when, and why they ended.",
    ),
    "accounts_register": "The account's own row says since when; nobody else's rights change.",
    **dict.fromkeys(
        [
            *("accounts_patch_profile", "accounts_put_photo", "accounts_delete_photo"),
            *("notifications_read", "notifications_read_all"),
            *("notifications_put_preferences", "notifications_patch_preferences"),
        ],
        "Somebody's own words, picture and ticks: no right, no money, no state.",
    ),
    **dict.fromkeys(
        [
            *("verification_ask_phone", "verification_resend_key", "verification_reset_password"),
            *("mfa_begin", "social_confirm"),
        ],
        "Nothing is changed until the key or the code comes back.",
    ),
    **dict.fromkeys(
        ["alterations_preview", "quotes_make", "feeds_poll_feed"],
        "A question: what it keeps is not somebody's act.",
    ),
    **dict.fromkeys(
        ["bookings_create", "bookings_pay"],
        "The booking's own timeline says who and when, gapless; its money stands in the ledger.",
    ),
    **dict.fromkeys(
        ["photos_add_photo", "photos_delete_photo", "photos_patch_photo"],
        "Pictures of one's own place: no right, no money, no state.",
    ),
    **dict.fromkeys(
        ["payments_receive_webhook", "payments_receive_callback"],
        "What a provider tells is kept word for word, with what became of it.",
    ),
    "mail_reports_take_reports": "What a service reports stands with the mail that it is about.",
    **dict.fromkeys(
        ["sms_reports_take_twilio", "sms_reports_take_africas_talking"],
        "What a carrier reports stands with the message that it is about.",
    ),
    **dict.fromkeys(
        [
            *("wishlists_create", "wishlists_rename", "wishlists_remove"),
            *("wishlists_add_place", "wishlists_remove_place"),
            *("saved_searches_save", "saved_searches_change", "saved_searches_remove"),
        ],
        "What somebody wants to remember or looks for is nobody else's business.",
    ),
    **dict.fromkeys(
        ["conversations_start", "messages_send", "attachments_upload"],
        "The message stands in its conversation, gapless, with who wrote it and when.",
    ),
    **dict.fromkeys(
        ["conversations_change", "messages_read"], "How far somebody has read, and what they put away."
    ),
    **dict.fromkeys(
        ["webhooks_send_test", "webhooks_retry", "webhooks_replay"],
        "What goes out is kept, each attempt with its answer.",
    ),
    "payout_accounts_onboard": "A link to the provider; what changes there comes back as its own entry.",
}
"""Operation → why it leaves none."""

OFFICE = {
    "accounts_apikey_revoke": "api_key.revoked",
    "webhooks_webhookendpoint_send_test": "webhook.tested",
    "webhooks_webhookendpoint_send_again": "webhook.sent_again",
    "webhooks_webhookendpoint_switch_off": "webhook.switched_off",
    "webhooks_webhookdelivery_send_again": "webhook.sent_again",
    "accounts_identitycheck_approve": "identity_check.approve",
    "accounts_identitycheck_refuse": "identity_check.refuse",
    "accounts_identitycheck_picture": "identity_check.look",
    "accounts_user_suspend": "case.decide",
    "accounts_user_restore": "user.restored",
    "accounts_user_grant_role": "role.granted",
    "accounts_user_revoke_role": "role.revoked",
    "audit_auditentry_export": "audit.export",
    "availability_calendarfeed_poll": "listing.feed_polled",
    "availability_feedconflict_decide": "listing.feed_conflict",
    "bookings_booking_cancel": "booking.cancel",
    "bookings_booking_move": "booking.alter",
    "bookings_booking_extend": "booking.extend",
    "bookings_booking_send_again": "booking.send_again",
    "bookings_booking_waive": "penalty.waive",
    "bookings_booking_export": "rows.export",
    "bookings_booking_refund": "refund.give",
    "bookings_cancellationpolicy_publish": "policy.publish",
    "bookings_hostpenalty_waive": "penalty.waive",
    **dict.fromkeys(
        (f"{page}_export" for page in ("core_exchangerate", "core_firewallrule", "rates_promocode")),
        "rows.export",
    ),
    "core_exchangerate_fetch": "exchange_rates.fetched",
    "core_exchangerate_put": "exchange_rates.set",
    "core_platformsetting_set_default": "setting.changed",
    "core_platformsetting_set_value": "setting.changed",
    "core_platformsetting_withdraw": "setting.plan_withdrawn",
    "accounts_user_unlink": "identity.unlinked",
    "accounts_user_erase": "user.erased",
    "accounts_user_reveal": "user.revealed",
    "listings_listing_reveal": "listing.revealed",
    "messaging_conversation_reveal": "conversation.revealed",
    "core_firewallrule_add_rule": "firewall.added",
    "core_firewallrule_remove": "firewall.removed",
    "core_firewallrule_switch_off": "firewall.switched_off",
    "core_firewallrule_switch_on": "firewall.switched_on",
    "core_throttledsubject_block": "firewall.added",
    "listings_cohost_withdraw": "cohost.withdraw",
    "listings_listing_approve": "listing.approved",
    "listings_listing_flag": "listing.flagged",
    "listings_listing_reject": "listing.rejected",
    "listings_listing_change_rules": "listing.update",
    "listings_listing_set_dates": "listing.calendar",
    "listings_listing_add_code": "promo_code.add",
    "listings_listing_add_discount": "price_rule.add",
    "listings_listing_add_fee": "fee.add",
    "listings_listing_add_season": "price_rule.add",
    "listings_listing_add_tax": "tax.add",
    "listings_listing_add_weekend": "price_rule.add",
    "notifications_delivery_retry": "delivery.retried",
    "notifications_suppressedaddress_release": "suppressed_address.released",
    "payments_dispute_accept": "dispute.accept",
    "payments_dispute_give_evidence": "dispute.answer",
    "payments_dispute_note_evidence": "dispute.note",
    **{
        f"payments_{kind}_export": "rows.export"
        for kind in (
            *("dispute", "document", "ledgerentry", "moneyop", "payout"),
            *("reconciliationdifference", "refundrequest"),
        )
    },
    "payments_reconciliationdifference_ask_again": "reconciliation.ask_again",
    "payments_document_send_again": "document.send",
    "payments_payment_export": "rows.export",
    "accounts_user_export": "rows.export",
    "accounts_user_sign_out": "user.signed_out",
    "accounts_user_sign_out_device": "user.signed_out",
    "accounts_user_view_as": "view_as.started",
    "payments_payment_refund": "refund.give",
    "payments_payment_make_again": "refund.retry",
    "payments_payoutaccount_reveal": "payout_account.revealed",
    **{f"payments_payout_{act}_many": f"payout.{act}" for act in ("hold", "release", "retry")},
    "payments_payout_hold": "payout.hold",
    "payments_payout_release": "payout.release",
    "payments_payout_retry": "payout.retry",
    "payments_payout_pay_now": "payout.pay_now",
    "payments_providerevent_retry": "provider_event.retry",
    "payments_reconciliationdifference_settle": "reconciliation.settle",
    "payments_refundrequest_approve": "refund.approve",
    "payments_refundrequest_decline": "refund.decline",
    "payments_refundrequest_withdraw": "refund.withdraw",
    "payments_providerroute_add_route": "route.added",
    "payments_providerroute_set_rank": "route.changed",
    "payments_providerroute_switch_off": "route.changed",
    "payments_providerroute_switch_on": "route.changed",
    "payments_providerroute_remove": "route.removed",
    "moderation_case_take": "case.take",
    "moderation_case_give_back": "case.give_back",
    **dict.fromkeys(
        (
            f"moderation_case_{act}"
            for act in ("ask_for_changes", "flag", "reject", "suspend", "hide", "suspend_person", "dismiss")
        ),
        "case.decide",
    ),
    "moderation_case_approve": "case.decide",
    "moderation_case_take_back": "appeal.decide",
    "moderation_case_let_stand": "appeal.decide",
    "moderation_flag_dismiss": "flag.dismiss",
    "moderation_textrule_add_rule": "text_rule.added",
    "moderation_textrule_switch_on": "text_rule.switched_on",
    "moderation_textrule_switch_off": "text_rule.switched_off",
    "moderation_report_dismiss": "report.dismiss",
    "moderation_report_uphold": "report.uphold",
    "moderation_report_uphold_and_hide": "report.uphold",
    "moderation_report_uphold_and_suspend": "report.uphold",
    "privacy_erasure_go_on": "erasure.taken_up",
    "procrastinate_procrastinatejob_retry": "job.retried",
    "procrastinate_procrastinatejob_discard": "job.discarded",
    "rates_fee_edit": "fee.change",
    "rates_fee_remove": "fee.remove",
    "rates_pricerule_edit": "price_rule.change",
    "rates_pricerule_remove": "price_rule.remove",
    "rates_promocode_add_code": "promo_code.add",
    "rates_promocode_edit": "promo_code.change",
    "rates_promocode_remove": "promo_code.remove",
    "rates_servicefeeterms_set_terms": "service_fee.set",
    "rates_tax_edit": "tax.change",
    "rates_tax_remove": "tax.remove",
    "reviews_review_hide": "review.hide",
    "reviews_review_unhide": "review.unhide",
    "reviews_review_uphold": "review.decide_appeal",
}
"""Action of the back office → the action that it leaves; the tests of the pages carry them out."""

READS = {
    "audit_auditentry_table": "It was noted when it was asked for.",
    "bookings_cancellationpolicy_simulate": "It computes.",
    "bookings_cancellationpolicy_simulate_this": "It leads there.",
    "core_firewallrule_try_address": "It asks.",
    "listings_listing_picture": "It leads there.",
    **dict.fromkeys(
        (f"{page}_import_rows" for page in ("core_exchangerate", "core_firewallrule", "rates_promocode")),
        "It leads to the import, which leaves ``rows.import`` and the entries of its rows.",
    ),
    "listings_listing_price_a_stay": "It computes.",
    "moderation_case_letter": "It composes.",
    "moderation_textrule_try_rule": "It computes.",
    "notifications_delivery_preview": "It composes.",
    "core_platformsetting_effect": "It computes.",
    "notifications_delivery_sheet": "It composes.",
    "payments_document_pdf": "A document as it was issued, for those who may see all of it on its page.",
}
"""Action of the back office → why it leaves none."""


def test_every_operation_that_changes_something_is_placed() -> None:
    changing = {name for name, (method, _path, _details) in OPERATIONS.items() if method != "GET"}

    assert changing == {*TRACES, *ELSEWHERE, *WITHOUT}
    assert len(changing) == len(TRACES) + len(ELSEWHERE) + len(WITHOUT)


def test_every_action_of_the_back_office_is_placed() -> None:
    assert set(ACTIONS) == {*OFFICE, *READS}


def test_what_is_said_to_be_left_is_written_somewhere() -> None:
    files = [*(ROOT / "backend").rglob("*.py"), *(ROOT / "admin_site").rglob("*.py")]
    words = set(re.findall(r'"([a-z_]+\.[a-z_]+)"', "\n".join(file.read_text() for file in files)))
    rows = {
        f"{kind}.{act}"
        for kind in ("fee", "price_rule", "promo_code", "tax")
        for act in ("add", "change", "remove")
    }
    checks = {"identity_check.approve", "identity_check.refuse"}

    assert {*ELSEWHERE.values(), *OFFICE.values()} - rows - checks <= words


@pytest.mark.parametrize("operation", sorted(TRACES))
def test_operation_leaves_its_entry(matrix: Matrix, operation: str) -> None:
    """As the first of those who may. The entry says who, from where and through which door."""
    cache.clear()
    case = next(each for each in REQUESTS[operation] if 200 <= each.status < 300)
    actor = next(
        name
        for name in matrix.clients
        if name != "anonymous" and _expected(matrix.world, operation, case, THERE, name) == case.status
    )
    last = max(AuditEntry.objects.values_list("pk", flat=True), default=0)
    try:
        answer = _send(matrix, operation, case, matrix.world.ids, actor)

        assert answer.status_code == case.status
        written = AuditEntry.objects.filter(pk__gt=last)
        assert [entry.action for entry in written] == [TRACES[operation]]
        (entry,) = written
        assert (entry.door, entry.address) == ("api", "127.0.0.1")
        assert (entry.actor_id, entry.session_id is None) == (matrix.world.people[actor].pk, False)
        assert entry.request_id == answer["X-Request-ID"]
    finally:
        matrix.tables.restore(matrix.tables.changed())
        cache.clear()
