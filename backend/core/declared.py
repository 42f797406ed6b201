"""Every platform setting, in groups: its kind, default, description, bounds, and the words that staff read of it.

A new one is a line here, in the group where people look for it, and a proof in
``tests/core/test_settings_change_behaviour.py`` that it changes something.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from urllib.parse import urlsplit

from django.conf import settings
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from backend.core.errors import Text
from backend.core.setting import Group, Setting

MINUTES, HOURS, DAYS, PERCENT = _("minutes"), _("hours"), _("days"), "%"
A_MINUTE, AN_HOUR, A_DAY = _("a minute"), _("an hour"), _("a day")
HOME = _("in the platform's currency")

AT_ONCE = _("Counts at once, on every machine.")
NEXT_QUOTES = _("Counts for quotes from then on. Quotes that were given and bookings keep their price.")
NEXT_BOOKINGS = _("Counts for bookings and answers from then on. What waits already keeps its time.")
NEXT_PAYOUTS = _("Counts for payouts that are planned or looked at from then on. What was paid stays paid.")
NEXT_DOCUMENTS = _("Counts for documents and mails from then on. What was issued is never changed.")
NEXT_CLEANING = _("Counts from the next tidying up on. What is deleted then does not come back.")

LANGUAGES: dict[str, Text] = dict(settings.LANGUAGES)
SHARES = {
    "platform": _("the platform"),
    "host": _("the host"),
    "shared": _("both, each their part"),
}

BRANDS: dict[str, Text] = {
    "smtp": "SMTP",
    "sendgrid": "SendGrid",
    "mailgun": "Mailgun",
    "files": _("files of the server"),
    "twilio": "Twilio",
    "africastalking": "Africa's Talking",
}
OF_MAILS, OF_SMS = ("", "smtp", "sendgrid", "mailgun", "files"), ("", "twilio", "africastalking")


def _named(choices: Sequence[str]) -> dict[str, Text]:
    return {each: BRANDS[each] for each in choices if each}


def mail_carriers() -> Sequence[str]:
    """Who could carry mails with what the environment says."""
    return tuple(settings.MAIL_CARRIERS)


def sms_carriers() -> Sequence[str]:
    """Who could carry short messages; the one of ``SMS_URL`` first."""
    return tuple(urlsplit(url).scheme for url in (settings.SMS_URL, settings.SMS_SECOND_URL) if url)


def _as_set_up(name: str) -> Text:
    return format_lazy("{} ({})", _("as the server is set up"), BRANDS.get(name, name))


GROUPS = [
    Group("features", _("Features"), "toggle_on", _("What people can do here at all. What is switched off is refused with a clear word, and comes back as it was."), AT_ONCE, [
        Setting("feature_registration", "bool", True, _("New people can make an account, with a password or with another service."), title=_("New accounts")),
        Setting("feature_google", "bool", True, _("People can sign in with Google, where its keys are set up."), title=_("Sign in with Google")),
        Setting("feature_facebook", "bool", True, _("People can sign in with Facebook, where its keys are set up."), title=_("Sign in with Facebook")),
        Setting("feature_apple", "bool", True, _("People can sign in with Apple, where its keys are set up."), title=_("Sign in with Apple")),
        Setting("feature_listings", "bool", True, _("Hosts can create new listings. Those that exist stay as they are."), title=_("New listings")),
        Setting("feature_bookings", "bool", True, _("Guests can make new bookings. Switch it off for maintenance: bookings that exist go on."), title=_("New bookings")),
        Setting("feature_instant_booking", "bool", True, _("Listings that book instantly do so. Off: each host is asked first, whatever the listing says."), title=_("Instant booking")),
        Setting("feature_inquiries", "bool", True, _("Guests can ask hosts for a special offer or a pre-approval."), title=_("Inquiries")),
        Setting("feature_payments", "bool", True, _("Guests can begin new payments. What is under way is finished."), title=_("Payments")),
        Setting("feature_payouts", "bool", True, _("Payouts that are due are sent. Off: they wait, and go out when it is switched on again."), title=_("Sending of payouts")),
        Setting("feature_promo_codes", "bool", True, _("Promotion codes are taken. Quotes that were given keep theirs."), title=_("Promotion codes")),
        Setting("feature_messages", "bool", True, _("Guests and hosts can write to each other. What was written can be read."), title=_("Messages")),
        Setting("feature_attachments", "bool", True, _("Pictures and files can be sent with messages."), title=_("Files in messages")),
        Setting("feature_reviews", "bool", True, _("Guests and hosts can write reviews. Those that exist stay."), title=_("Reviews")),
        Setting("feature_wishlists", "bool", True, _("People can put listings on wishlists. Those that exist can be read."), title=_("Wishlists")),
        Setting("feature_saved_searches", "bool", True, _("People can save searches and are told of new matches."), title=_("Saved searches")),
        Setting("feature_calendar_imports", "bool", True, _("Hosts can add calendars of other sites. Those that exist are read on."), title=_("New calendar imports")),
        Setting("feature_identity_checks", "bool", True, _("People can hand in a document to prove who they are."), title=_("Identity documents")),
        Setting("feature_sms", "bool", True, _("Notices go out as short messages, too. Codes that prove a phone number always do."), title=_("Short messages")),
    ]),
    Group("platform", _("Platform"), "public", _("Who the platform is, and in which currencies it deals."), AT_ONCE, [
        Setting("currency", "choice", "EUR", _("The platform's currency: prices are compared in it."), choices=("EUR", "USD", "GBP", "CHF", "KES", "SGD"), title=_("Currency")),
        Setting("currencies_offered", "codes", (), _("The currencies that people may choose for prices and payouts, by their ISO letters; empty: all that have a rate. Prices that are set already stay."), 0, 200, title=_("Currencies offered")),
        Setting("issuer_name", "text", "Karibu", _("Name of who issues documents."), 1, 120, title=_("Name"), effect=NEXT_DOCUMENTS),
        Setting("issuer_code", "text", "KRB", _("Short name of who issues documents, at the beginning of their numbers."), 1, 12, title=_("Short name"), effect=NEXT_DOCUMENTS),
        Setting("issuer_address", "text", "", _("Postal address of who issues documents, in lines."), 0, 400, title=_("Postal address"), effect=NEXT_DOCUMENTS),
        Setting("issuer_tax_id", "text", "", _("Tax number of who issues documents."), 0, 60, title=_("Tax number"), effect=NEXT_DOCUMENTS),
        Setting("law_language", "choice", "", _("A second language that the law wants on documents."), choices=("", "en", "fr", "es", "sw", "ar"), words={"": _("none"), **LANGUAGES}, title=_("Language of the law"), effect=NEXT_DOCUMENTS),
    ]),
    Group("bookings", _("Bookings"), "event_available", _("How long things are kept for those who book, and what a listing needs before it is shown."), NEXT_BOOKINGS, [
        Setting("listing_approval", "bool", False, _("New listings wait for a moderator before they are published."), title=_("Approval of new listings"), effect=_("Counts for listings that are offered for the first time from then on.")),
        Setting("hold_minutes", "int", 15, _("How long nights are held for an unpaid instant booking."), 1, 1440, title=_("Hold for an unpaid booking"), unit=MINUTES),
        Setting("request_hours", "int", 24, _("How long a host has to answer a request."), 1, 168, title=_("Time to answer a request"), unit=HOURS),
        Setting("accepted_payment_hours", "int", 24, _("How long a guest has to pay an accepted request."), 1, 168, title=_("Time to pay an accepted request"), unit=HOURS),
        Setting("quote_minutes", "int", 15, _("How long a quote's price is kept."), 1, 1440, title=_("Life of a quote"), unit=MINUTES),
        Setting("limit_holds_user", "int", 5, _("Unpaid holds that one user may have."), 1, 1000, title=_("Unpaid holds of a guest")),
        Setting("limit_open_inquiries_user", "int", 20, _("Unanswered questions to hosts that one guest may have."), 1, 1000, title=_("Open questions of a guest")),
        Setting("limit_changes_booking", "int", 10, _("Changes of one booking that its guest, and its host, may propose in a day."), 1, 1000, title=_("Changes of a booking"), unit=A_DAY),
    ]),
    Group("fees", _("Fees and policies"), "percent", _("What the platform earns, and how much less a stay costs that cannot be given back."), NEXT_QUOTES, [
        Setting("service_fee_model", "choice", "host_only", _("Who bears the service fee."), choices=("host_only", "split"), words={"host_only": _("the host alone"), "split": _("split between host and guest")}, title=_("Service fee")),
        Setting("host_fee_percent", "decimal", Decimal("15.5"), _("The host's service fee when the host alone bears it."), 0, 50, title=_("Host's fee"), unit=PERCENT, only_if=("service_fee_model", "host_only")),
        Setting("split_host_fee_percent", "decimal", Decimal("3"), _("The host's part of a split service fee."), 0, 50, title=_("Host's part"), unit=PERCENT, only_if=("service_fee_model", "split")),
        Setting("split_guest_fee_percent", "decimal", Decimal("14.1"), _("The guest's part of a split service fee."), 0, 50, title=_("Guest's part"), unit=PERCENT, only_if=("service_fee_model", "split")),
        Setting("non_refundable_percent", "decimal", Decimal(10), _("How much less a non-refundable stay costs, in percent of its nights."), 0, 50, title=_("Reduction for non-refundable stays"), unit=PERCENT),
    ]),
    Group("payments", _("Payments and refunds"), "payments", _("How guests pay, who signs for money that goes back, and who bears what a bank takes."), AT_ONCE, [
        Setting("charge_in_guest_currency", "bool", True, _("A guest who asked for a price in another currency is charged in it, at the rate of the quote."), title=_("Charge in the guest's currency"), effect=NEXT_QUOTES),
        Setting("refund_four_eyes_above", "decimal", Decimal(500), _("A refund by hand above this, in the platform's currency, needs a second person."), 0, 1_000_000, title=_("Second person for refunds above"), unit=HOME),
        Setting("dispute_loss_borne_by", "choice", "platform", _("Who bears a payment that a guest's bank has taken back."), choices=("platform", "host", "shared"), words=SHARES, title=_("Loss of a dispute"), effect=_("Counts for disputes that are lost from then on.")),
    ]),
    Group("payouts", _("Payouts"), "account_balance_wallet", _("When hosts are paid, and what holds a payout back."), NEXT_PAYOUTS, [
        Setting("payout_when", "choice", "completed", _("When a host is paid: after the stay, or a day after it began."), choices=("completed", "day_after_check_in"), words={"completed": _("after the stay"), "day_after_check_in": _("a day after check-in")}, title=_("When hosts are paid")),
        Setting("payout_delay_hours", "int", 0, _("How many hours later than that a payout is due."), 0, 720, title=_("Delay"), unit=HOURS),
        Setting("new_host_hold_days", "int", 0, _("How long after a host's first confirmed booking payouts are held."), 0, 90, title=_("Hold for new hosts"), unit=DAYS),
        Setting("payout_account_change_hours", "int", 24, _("How long payouts wait when a host names another account than before."), 0, 720, title=_("Wait after a change of account"), unit=HOURS),
        Setting("payout_minimum", "decimal", Decimal(0), _("The smallest payout, in the platform's currency; less waits for the next one."), 0, 1000, title=_("Smallest payout"), unit=HOME),
    ]),
    Group("calendars", _("Calendars of other sites"), "sync", _("How fresh imported calendars must be before a booking is taken."), AT_ONCE, [
        Setting("feed_refresh_minutes", "int", 5, _("An imported calendar older than this is asked again before a booking."), 0, 1440, title=_("Ask again before a booking after"), unit=MINUTES),
        Setting("feed_stale_hours", "int", 6, _("How old an imported calendar's last good answer may be before guests must ask the host."), 1, 720, title=_("Out of date after"), unit=HOURS),
        Setting("limit_feed_polls_user", "int", 600, _("How often an hour one host may have imported calendars asked."), 1, 100_000, title=_("Asked by one host"), unit=AN_HOUR),
    ]),
    Group("notices", _("Messages and notices"), "forum", _("What people write to each other, and how they are told of things."), AT_ONCE, [
        Setting("mask_contact_data", "bool", True, _("Email addresses, phone numbers and links are taken out of messages until a booking is confirmed."), title=_("Take contact data out of messages")),
        Setting("message_mail_minutes", "int", 3, _("How long a message may stay unread before it is mailed."), 0, 1440, title=_("Mail an unread message after"), unit=MINUTES),
        Setting("mail_provider", "choice", "", _("Who carries mails, of those that the server is set up for. Reports about mails that are under way are taken from all of them."), choices=OF_MAILS, available=mail_carriers, words={"": _as_set_up(settings.EMAIL_PROVIDER), **_named(OF_MAILS)}, title=_("Carrier of mails")),
        Setting("mail_stand_in", "choice", "", _("Who carries mails while the carrier in charge is down. That one is tried again after a minute."), choices=OF_MAILS, available=mail_carriers, words={"": _("nobody"), **_named(OF_MAILS)}, title=_("Stands in for mails")),
        Setting("sms_provider", "choice", "", _("Who carries short messages and codes, of those that the server is set up for."), choices=OF_SMS, available=sms_carriers, words={"": _as_set_up(next(iter(sms_carriers()), "files")), **_named(OF_SMS)}, title=_("Carrier of short messages")),
        Setting("sms_stand_in", "choice", "", _("Who carries short messages while the carrier in charge is down. One that may have gone out is not sent again."), choices=OF_SMS, available=sms_carriers, words={"": _("nobody"), **_named(OF_SMS)}, title=_("Stands in for short messages")),
        Setting("review_reminder_days", "int", 2, _("How many days before the time for reviews is up people are reminded; 0: not at all."), 0, 13, title=_("Reminder of a review"), unit=DAYS),
        Setting("limit_sms_user", "int", 10, _("Short messages a day to one user; codes are not among them."), 0, 1000, title=_("Short messages to one person"), unit=A_DAY, only_if=("feature_sms", True)),
        Setting("limit_sms_platform", "int", 1000, _("Short messages a day in all; codes are not among them."), 0, 10_000_000, title=_("Short messages in all"), unit=A_DAY, only_if=("feature_sms", True)),
        Setting("sms_prefixes", "text", "", _("Beginnings of the phone numbers that short messages may go to, like +254 +255; empty: all."), 0, 400, title=_("Countries of short messages")),
    ]),
    Group("limits_signing_in", _("Limits: signing in"), "lock", _("How often people and networks may try what proves who they are."), AT_ONCE, [
        Setting("limit_sign_in_account", "int", 10, _("Failed sign-ins an hour for one account."), 1, 100_000, title=_("Failed sign-ins of an account"), unit=AN_HOUR),
        Setting("limit_sign_in_address", "int", 100, _("Failed sign-ins an hour from one address."), 1, 1_000_000, title=_("Failed sign-ins from an address"), unit=AN_HOUR),
        Setting("limit_known_device", "int", 10, _("Further failed sign-ins an hour from a device of the account that no limit must lock out."), 0, 1000, title=_("More for a known device"), unit=AN_HOUR),
        Setting("limit_register_address", "int", 100, _("Registrations an hour from one address."), 1, 1_000_000, title=_("New accounts from an address"), unit=AN_HOUR),
        Setting("limit_letters_account", "int", 5, _("Verification mails, password mails and phone codes an hour for one account, each."), 1, 1000, title=_("Mails and codes for an account"), unit=AN_HOUR),
        Setting("limit_letters_address", "int", 30, _("Passwords that one network address may ask to reset in an hour."), 1, 100_000, title=_("Password mails from an address"), unit=AN_HOUR),
        Setting("limit_code_tries", "int", 5, _("Wrong tries of one phone code; then a new one is needed."), 1, 20, title=_("Tries of a phone code")),
        Setting("limit_proofs_address", "int", 100, _("Verification links, phone codes and second steps that one address may try in an hour, each."), 1, 100_000, title=_("Proofs from an address"), unit=AN_HOUR),
        Setting("limit_refresh_address", "int", 600, _("Refreshed sessions a minute from one address."), 1, 1_000_000, title=_("Refreshed sessions from an address"), unit=A_MINUTE),
        Setting("limit_refresh_session", "int", 30, _("How often a minute one session may be refreshed."), 1, 10_000, title=_("Refreshes of a session"), unit=A_MINUTE),
        Setting("limit_email_changes_user", "int", 10, _("Other email addresses that one user may try in an hour."), 1, 1000, title=_("New email addresses of a person"), unit=AN_HOUR),
    ]),
    Group("limits", _("Limits: use"), "speed", _("How much one person or network may do in a time. New accounts may have lower limits."), AT_ONCE, [
        Setting("limit_reads_address", "int", 600, _("Anonymous reads a minute from one address."), 1, 10_000_000, title=_("Reads from an address"), unit=A_MINUTE),
        Setting("limit_reads_user", "int", 3000, _("Searches, listings, calendars and people that one user may look at in a minute."), 1, 10_000_000, title=_("Reads of a person"), unit=A_MINUTE),
        Setting("new_account_days", "int", 7, _("How many days an account counts as new."), 0, 365, title=_("New account"), unit=DAYS),
        Setting("limit_listings_host", "int", 200, _("Listings that one host may create in a day."), 1, 100_000, title=_("New listings of a host"), unit=A_DAY),
        Setting("limit_listings_new_host", "int", 200, _("Listings that a new account may create in a day."), 1, 100_000, title=_("New listings of a new account"), unit=A_DAY),
        Setting("limit_messages_user", "int", 60, _("Messages a minute from one user."), 1, 10_000, title=_("Messages of a person"), unit=A_MINUTE),
        Setting("limit_messages_new_user", "int", 60, _("Messages a minute from a new account."), 1, 10_000, title=_("Messages of a new account"), unit=A_MINUTE),
        Setting("limit_conversations_user", "int", 200, _("Hosts and guests that one user may begin to write to in a day."), 1, 100_000, title=_("New conversations of a person"), unit=A_DAY),
        Setting("limit_conversations_new_user", "int", 40, _("Hosts and guests that a new account may begin to write to in a day."), 1, 100_000, title=_("New conversations of a new account"), unit=A_DAY),
        Setting("limit_attachments_user", "int", 100, _("Pictures and files for messages that one user may upload in an hour."), 1, 10_000, title=_("Files of a person"), unit=AN_HOUR, only_if=("feature_attachments", True)),
        Setting("limit_cohosts_host", "int", 30, _("Co-hosts that one host may name in an hour."), 1, 10_000, title=_("Co-hosts of a host"), unit=AN_HOUR),
        Setting("limit_promo_codes", "int", 100, _("Promotion codes that do not exist, an hour, that one user or address may try."), 1, 1_000_000, title=_("Wrong promotion codes"), unit=AN_HOUR, only_if=("feature_promo_codes", True)),
        Setting("limit_reports_user", "int", 30, _("Reports to the moderators that one user may make in a day."), 1, 1000, title=_("Reports of a person"), unit=A_DAY),
        Setting("limit_exports_user", "int", 10, _("Exports of all their data that one user may have in a day."), 1, 1000, title=_("Exports of a person"), unit=A_DAY),
        Setting("limit_tickets_user", "int", 60, _("Websocket tickets a minute for one user."), 1, 10_000, title=_("Websocket tickets of a person"), unit=A_MINUTE),
        Setting("limit_tickets_address", "int", 600, _("Websocket tickets a minute for one address."), 1, 1_000_000, title=_("Websocket tickets of an address"), unit=A_MINUTE),
        Setting("limit_sockets_user", "int", 5, _("Open websockets of one user."), 1, 100, title=_("Open websockets of a person")),
    ]),
    Group("moderation", _("Moderation"), "gavel", _("How fast cases should be decided, what is found in listings by itself, and what decisions against somebody lead to."), AT_ONCE, [
        Setting("moderation_hours", "int", 48, _("How long a case may wait for a moderator. High ones may half as long, low ones twice as long."), 1, 720, title=_("Decide a case within"), unit=HOURS),
        Setting("moderation_urgent_hours", "int", 4, _("How long a case about safety or fraud may wait for a moderator."), 1, 168, title=_("Decide an urgent case within"), unit=HOURS),
        Setting("appeal_days", "int", 30, _("How long somebody may appeal against a decision about them."), 1, 365, title=_("Appeal within"), unit=DAYS),
        Setting("flag_contact_data", "bool", True, _("Email addresses, phone numbers and links in the texts of listings are found and shown to moderators."), title=_("Find contact data in listings")),
        Setting("flag_copies", "bool", True, _("Pictures, texts and places that another listing has, too, are found and shown to moderators."), title=_("Find copies of listings")),
        Setting("flag_price_deviations", "decimal", Decimal(4), _("How many standard deviations a price must lie from the middle of its place to be shown to moderators."), 1, 100, title=_("Unusual price from")),
        Setting("flag_price_fewest", "int", 20, _("How many comparable places it takes to call a price unusual."), 3, 1000, title=_("Comparable places at least")),
        Setting("flag_new_host_listings", "int", 5, _("A new account with more listings than this is shown to moderators; 0: none is."), 0, 10_000, title=_("Listings of a new host")),
        Setting("strikes_expire_days", "int", 365, _("How long a decision counts against somebody."), 1, 3650, title=_("Strikes count for"), unit=DAYS),
        Setting("strikes_warn", "int", 3, _("From this many points on somebody is warned by mail with each further one."), 1, 100, title=_("Warn from"), unit=_("points")),
        Setting("strikes_block_listings", "int", 6, _("From this many points on somebody can offer no places, and those that they offer are paused."), 1, 100, title=_("No offers from"), unit=_("points")),
        Setting("strikes_propose_suspension", "int", 9, _("From this many points on moderators are asked whether to suspend somebody. Nobody is suspended by itself."), 1, 100, title=_("Propose a suspension from"), unit=_("points")),
    ]),
    Group("retention", _("Retention"), "auto_delete", _("How long what is known of people is kept after it is needed."), NEXT_CLEANING, [
        Setting("retention_sessions_days", "int", 90, _("How long a device that was signed out is kept in the list of devices."), 1, 3650, title=_("Devices"), unit=DAYS),
        Setting("retention_addresses_days", "int", 365, _("How long the audit log keeps the network addresses of those who acted."), 1, 3650, title=_("Network addresses"), unit=DAYS),
        Setting("retention_notifications_days", "int", 730, _("How long notices are kept."), 30, 3650, title=_("Notices"), unit=DAYS),
        Setting("retention_deliveries_days", "int", 90, _("How long it is kept when a notice was mailed."), 7, 3650, title=_("Deliveries of notices"), unit=DAYS),
        Setting("retention_provider_events_days", "int", 90, _("How long the content of a payment provider's message is kept after it was applied."), 7, 3650, title=_("Messages of payment providers"), unit=DAYS),
        Setting("retention_inquiries_days", "int", 730, _("How long a question to a host is kept after it ended without a booking."), 30, 3650, title=_("Questions to hosts"), unit=DAYS),
        Setting("retention_messages_days", "int", 1095, _("How long after the last message of a conversation its texts and files are kept."), 30, 3650, title=_("Conversations"), unit=DAYS),
        Setting("retention_reports_days", "int", 730, _("How long the words of a report are kept after it was decided."), 30, 3650, title=_("Reports"), unit=DAYS),
        Setting("retention_guest_lists_days", "int", 365, _("How long after the stay the names of companions, arrival notes and messages are kept."), 1, 3650, title=_("Companions and arrival notes"), unit=DAYS),
    ]),
    Group("system", _("System"), "monitor_heart", _("What the platform notes of itself, and when it is backed up."), NEXT_CLEANING, [
        Setting("access_log_hours", "int", 48, _("How long a line about each request is kept for staff to look it up."), 6, 720, title=_("Lines of requests"), unit=HOURS),
        Setting("error_log_days", "int", 30, _("How long errors that nobody foresaw are kept with their traces."), 1, 365, title=_("Errors"), unit=DAYS),
        Setting("slow_statement_ms", "int", 200, _("A question to the database that takes longer than this is noted as slow."), 10, 30_000, title=_("Slow questions to the database"), unit=_("milliseconds"), effect=AT_ONCE),
        Setting("backup_hour", "int", 2, _("The hour of the day (UTC) from which on a backup of the whole database is made."), 0, 23, title=_("Hour of the backup"), effect=_("Counts for the next backup.")),
        Setting("backup_keep_days", "int", 14, _("How long backups are kept. The newest one always is."), 1, 3650, title=_("Backups"), unit=DAYS),
        Setting("restore_drill_days", "int", 7, _("How many days may lie between two restores that prove that the backups can be used; 0: none are made by themselves."), 0, 365, title=_("Restore drills"), unit=DAYS, effect=_("Counts for the next drill.")),
    ]),
]  # fmt: skip

DECLARED = {setting.key: setting for group in GROUPS for setting in group.settings}
GROUP_OF = {setting.key: group for group in GROUPS for setting in group.settings}


def effect_of(setting: Setting) -> Text:
    """What a change of ``setting`` changes, as a sentence."""
    return setting.effect or GROUP_OF[setting.key].effect
