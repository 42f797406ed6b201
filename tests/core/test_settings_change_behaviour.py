"""Nothing can be set that nothing reads: each setting has a proof here, or a test elsewhere that sets it."""

from __future__ import annotations

import re
from importlib import import_module
from inspect import getsource
from typing import Any

import pytest

from backend.core import platform
from tests.core.setting_proofs import PROOFS
from tests.fakes.identity_provider import apps

pytestmark = pytest.mark.usefixtures("db")

ELSEWHERE: dict[str, str] = {
    "currency": "admin_site.test_dashboard.test_gmv_is_in_the_platforms_currency_at_the_stored_rates",
    "listing_approval": "api.test_properties.test_create_waits_for_approval_where_the_platform_demands_it",
    "limit_holds_user": "bookings.test_create.test_create_allows_so_many_unpaid_holds_and_no_more",
    "limit_open_inquiries_user": "bookings.test_inquiries.test_ask_is_limited_per_guest",
    "limit_changes_booking": "bookings.test_alterations.test_ask_and_propose_are_limited_a_day_for_each_side",
    "non_refundable_percent": "bookings.test_quotes.test_non_refundable_rate_is_a_platform_setting",
    "charge_in_guest_currency": "bookings.test_guest_currency.test_platform_may_charge_in_the_listings_currency_alone",
    "dispute_loss_borne_by": "payments.test_disputes.test_lost_is_borne_by_whom_the_platform_says",
    "payout_when": "bookings.test_earnings.test_day_after_check_in_pays_a_short_stay_once",
    "payout_delay_hours": "bookings.test_earnings.test_completed_stay_is_paid_at_once_and_after_the_delay_of_the_platform",
    "new_host_hold_days": "payments.test_payouts.test_new_host_waits_and_staff_may_let_it_go",
    "payout_minimum": "payments.test_payouts.test_payouts_below_the_minimum_wait_for_each_other",
    "mail_provider": "notifications.test_carriers.test_staff_choose_who_carries_mails_and_reports_of_both_are_taken",
    "mail_stand_in": "notifications.test_carriers.test_who_stands_in_carries_mails_while_the_other_is_down",
    "sms_provider": "notifications.test_carriers.test_staff_choose_who_carries_short_messages",
    "sms_stand_in": "notifications.test_carriers.test_who_stands_in_carries_short_messages_while_the_other_is_down",
    "review_reminder_days": "reviews.test_windows.test_reminder_follows_its_setting",
    "limit_sms_user": "notifications.test_text_deliveries.test_the_guard_stops_too_many_to_one_user_and_in_all",
    "limit_sms_platform": "notifications.test_text_deliveries.test_the_guard_stops_too_many_to_one_user_and_in_all",
    "sms_prefixes": "notifications.test_text_deliveries.test_the_guard_knows_countries",
    "limit_sign_in_account": "identity.test_mfa.test_guesses_of_codes_count_as_failed_sign_ins",
    "limit_sign_in_address": "api.test_accounts.test_login_stops_an_address_after_its_failures_and_no_other",
    "limit_known_device": "api.test_abuse.test_a_borrowed_device_guesses_no_better_than_a_stranger",
    "limit_register_address": "identity.test_social.test_accounts_made_by_identities_are_limited_by_address",
    "limit_letters_account": "identity.test_proofs.test_resend_is_limited_and_ends_with_the_proof",
    "limit_letters_address": "identity.test_proofs.test_reset_is_limited_for_each_network_address",
    "limit_refresh_session": "api.test_abuse.test_a_session_is_refreshed_so_often_and_no_oftener",
    "limit_email_changes_user": "api.test_abuse.test_taken_addresses_are_not_found_out_at_large_by_changing_ones_own",
    "limit_reads_address": "api.test_quotes.test_quotes_of_nobody_count_as_reads",
    "limit_reads_user": "api.test_abuse.test_whoever_copies_the_market_signed_in_is_counted_too",
    "limit_listings_host": "api.test_properties.test_create_over_the_daily_limit_is_throttled",
    "limit_listings_new_host": "api.test_abuse.test_new_accounts_list_less",
    "limit_messages_user": "api.test_conversations.test_messages_a_minute_are_limited",
    "limit_messages_new_user": "api.test_conversations.test_messages_a_minute_are_limited",
    "limit_conversations_user": "api.test_conversations.test_new_conversations_a_day_are_limited_and_old_ones_are_not",
    "limit_conversations_new_user": "api.test_abuse.test_new_accounts_write_to_fewer_people",
    "limit_attachments_user": "messaging.test_attachments.test_upload_is_for_those_who_are_in_it_and_not_without_end",
    "limit_promo_codes": "api.test_quotes.test_wrong_codes_are_limited_for_each_who_tries_them",
    "limit_reports_user": "moderation.test_services.test_reports_a_day_are_limited_and_refused_ones_do_not_count",
    "moderation_hours": "moderation.test_cases.test_how_fast_cases_are_due_is_a_setting",
    "moderation_urgent_hours": "moderation.test_cases.test_how_fast_cases_are_due_is_a_setting",
    "appeal_days": "moderation.test_appeals.test_how_long_one_may_appeal_is_a_setting",
    "flag_contact_data": "moderation.test_findings.test_contact_data_are_found_and_a_setting_says_whether",
    "flag_copies": "moderation.test_findings.test_copies_are_found_text_place_and_pictures_and_a_setting_says_whether",
    "flag_price_deviations": "moderation.test_findings.test_how_odd_a_price_must_be_and_among_how_many_are_settings",
    "flag_price_fewest": "moderation.test_findings.test_how_odd_a_price_must_be_and_among_how_many_are_settings",
    "flag_new_host_listings": "moderation.test_findings.test_a_new_host_with_many_listings_is_found",
    "strikes_expire_days": "moderation.test_appeals.test_how_long_strikes_count_is_a_setting",
    "strikes_warn": "moderation.test_appeals.test_points_add_up_expire_and_warn",
    "strikes_block_listings": "moderation.test_appeals.test_too_many_points_stop_offers_and_pause_what_is_offered_until_one_is_taken_back",
    "strikes_propose_suspension": "moderation.test_appeals.test_nobody_is_suspended_by_a_sum_but_the_moderators_are_asked",
    "limit_exports_user": "privacy.test_export.test_export_is_limited_and_on_record",
    "limit_tickets_user": "api.test_realtime.test_tickets_are_limited_per_user",
    "access_log_hours": "telemetry.test_retention.test_lines_go_in_parts",
    "error_log_days": "telemetry.test_retention.test_errors_go_after_their_days",
    "slow_statement_ms": "telemetry.test_recording.test_slow_statement_is_noted_without_its_values",
    "backup_hour": "jobs.test_backup_schedule.test_base_is_due_once_after_its_hour",
    "backup_keep_days": "jobs.test_backups.test_old_backups_go_and_the_newest_stays",
    "restore_drill_days": "jobs.test_backup_schedule.test_drill_is_due_by_its_days",
    "limit_sockets_user": "realtime.test_door.test_the_limit_of_sockets_is_a_platform_setting",
}
"""Setting → the test that sets it and looks at what comes of it."""


def test_every_setting_is_proven() -> None:
    assert set(PROOFS) & set(ELSEWHERE) == set()
    assert sorted({*PROOFS, *ELSEWHERE}) == sorted(platform.DECLARED)


@pytest.mark.parametrize("key", sorted(PROOFS))
def test_setting_changes_what_is_seen(key: str, settings: Any) -> None:
    settings.SOCIAL_APPS = apps()
    proof = PROOFS[key]
    for other, value in proof.given.items():
        platform.put(other, value)

    before = proof.observe()
    platform.put(key, proof.value)
    after = proof.observe()

    assert (before, after) == (proof.before, proof.after)
    assert before != after


@pytest.mark.parametrize("key", sorted(ELSEWHERE))
def test_setting_is_set_by_the_test_that_proves_it(key: str) -> None:
    module, _dot, name = ELSEWHERE[key].rpartition(".")
    source = getsource(getattr(import_module(f"tests.{module}"), name))

    assert re.search(rf'platform\.put\(\s*"{key}"', source)
    assert "assert " in source
