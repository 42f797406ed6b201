"""The platform's settings: what an operator may change without a deploy, typed, bounded and described.

Each setting is declared here once with its default; a row of ``platform_settings`` overrides it. Read with
``platform.get("hold_minutes")``; the answer is at most ``FRESH_FOR_S`` seconds old in each process.
"""

from __future__ import annotations

import threading
import time
import unicodedata
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from django.utils.translation import gettext_lazy as _

from backend.core.errors import Invalid, Text
from backend.core.models import PlatformSetting

FRESH_FOR_S = 1.0


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting. ``kind`` is ``int``, ``decimal``, ``bool``, ``choice`` or ``text``; bounds are inclusive.

    The bounds of a text are those of its length.
    """

    key: str
    kind: str
    default: Any
    description: Text
    low: int | None = None
    high: int | None = None
    choices: tuple[str, ...] = ()

    def parse(self, raw: Any) -> Any:
        """The typed value of ``raw`` (JSON or form text). Raises: Invalid."""
        if self.kind == "bool" and isinstance(raw, bool):
            return raw
        if self.kind == "choice" and raw in self.choices:
            return raw
        if self.kind == "text" and isinstance(raw, str):
            text = unicodedata.normalize("NFC", raw.strip())
            if text.replace("\n", "").isprintable() and (self.low or 0) <= len(text) <= (self.high or 0):
                return text
        if self.kind in ("int", "decimal") and not isinstance(raw, bool):
            try:
                number = Decimal(str(raw))
            except InvalidOperation:
                number = Decimal("NaN")
            fits = number.is_finite() and (self.low is None or number >= self.low)
            fits = fits and (self.high is None or number <= self.high)
            if fits and (self.kind == "decimal" or number == number.to_integral_value()):
                return int(number) if self.kind == "int" else number
        raise Invalid.field(self.key, "invalid_setting", _("This value does not fit the setting."))


_DECLARED = [
    Setting("currency", "choice", "EUR", _("The platform's currency: prices are compared in it."), choices=("EUR", "USD", "GBP", "CHF", "KES", "SGD")),
    Setting("listing_approval", "bool", False, _("New listings wait for a moderator before they are published.")),
    Setting("hold_minutes", "int", 15, _("How long nights are held for an unpaid instant booking."), 1, 1440),
    Setting("request_hours", "int", 24, _("How long a host has to answer a request."), 1, 168),
    Setting("accepted_payment_hours", "int", 24, _("How long a guest has to pay an accepted request."), 1, 168),
    Setting("quote_minutes", "int", 15, _("How long a quote's price is kept."), 1, 1440),
    Setting("service_fee_model", "choice", "host_only", _("Who bears the service fee."), choices=("host_only", "split")),
    Setting("host_fee_percent", "decimal", Decimal("15.5"), _("The host's service fee when the host alone bears it."), 0, 50),
    Setting("split_host_fee_percent", "decimal", Decimal("3"), _("The host's part of a split service fee."), 0, 50),
    Setting("split_guest_fee_percent", "decimal", Decimal("14.1"), _("The guest's part of a split service fee."), 0, 50),
    Setting("non_refundable_percent", "decimal", Decimal(10), _("How much less a non-refundable stay costs, in percent of its nights."), 0, 50),
    Setting("charge_in_guest_currency", "bool", True, _("A guest who asked for a price in another currency is charged in it, at the rate of the quote.")),
    Setting("payout_when", "choice", "completed", _("When a host is paid: after the stay, or a day after it began."), choices=("completed", "day_after_check_in")),
    Setting("payout_delay_hours", "int", 0, _("How many hours later than that a payout is due."), 0, 720),
    Setting("new_host_hold_days", "int", 0, _("How long after a host's first confirmed booking payouts are held."), 0, 90),
    Setting("payout_account_change_hours", "int", 24, _("How long payouts wait when a host names another account than before."), 0, 720),
    Setting("payout_minimum", "decimal", Decimal(0), _("The smallest payout, in the platform's currency; less waits for the next one."), 0, 1000),
    Setting("refund_four_eyes_above", "decimal", Decimal(500), _("A refund by hand above this, in the platform's currency, needs a second person."), 0, 1_000_000),
    Setting("dispute_loss_borne_by", "choice", "platform", _("Who bears a payment that a guest's bank has taken back."), choices=("platform", "host", "shared")),
    Setting("issuer_code", "text", "KRB", _("Short name of who issues documents, at the beginning of their numbers."), 1, 12),
    Setting("issuer_name", "text", "Karibu", _("Name of who issues documents."), 1, 120),
    Setting("issuer_address", "text", "", _("Postal address of who issues documents, in lines."), 0, 400),
    Setting("issuer_tax_id", "text", "", _("Tax number of who issues documents."), 0, 60),
    Setting("law_language", "choice", "", _("A second language that the law wants on documents."), choices=("", "en", "fr", "es", "sw", "ar")),
    Setting("feed_stale_hours", "int", 6, _("How old an imported calendar's last good answer may be before guests must ask the host."), 1, 720),
    Setting("feed_refresh_minutes", "int", 5, _("An imported calendar older than this is asked again before a booking."), 0, 1440),
    Setting("limit_feed_polls_user", "int", 600, _("How often an hour one host may have imported calendars asked."), 1, 100_000),
    Setting("limit_sign_in_account", "int", 10, _("Failed sign-ins an hour for one account."), 1, 100_000),
    Setting("limit_sign_in_address", "int", 100, _("Failed sign-ins an hour from one address."), 1, 1_000_000),
    Setting("limit_known_device", "int", 10, _("Further failed sign-ins an hour from a device of the account that no limit must lock out."), 0, 1000),
    Setting("limit_register_address", "int", 100, _("Registrations an hour from one address."), 1, 1_000_000),
    Setting("limit_letters_account", "int", 5, _("Verification mails, password mails and phone codes an hour for one account, each."), 1, 1000),
    Setting("limit_code_tries", "int", 5, _("Wrong tries of one phone code; then a new one is needed."), 1, 20),
    Setting("limit_letters_address", "int", 30, _("Passwords that one network address may ask to reset in an hour."), 1, 100_000),
    Setting("limit_proofs_address", "int", 100, _("Verification links, phone codes and second steps that one address may try in an hour, each."), 1, 100_000),
    Setting("limit_refresh_address", "int", 600, _("Refreshed sessions a minute from one address."), 1, 1_000_000),
    Setting("limit_refresh_session", "int", 30, _("How often a minute one session may be refreshed."), 1, 10_000),
    Setting("limit_email_changes_user", "int", 10, _("Other email addresses that one user may try in an hour."), 1, 1000),
    Setting("limit_cohosts_host", "int", 30, _("Co-hosts that one host may name in an hour."), 1, 10_000),
    Setting("new_account_days", "int", 7, _("How many days an account counts as new."), 0, 365),
    Setting("limit_open_inquiries_user", "int", 20, _("Unanswered questions to hosts that one guest may have."), 1, 1000),
    Setting("limit_holds_user", "int", 5, _("Unpaid holds that one user may have."), 1, 1000),
    Setting("limit_changes_booking", "int", 10, _("Changes of one booking that its guest, and its host, may propose in a day."), 1, 1000),
    Setting("limit_listings_host", "int", 200, _("Listings that one host may create in a day."), 1, 100_000),
    Setting("limit_listings_new_host", "int", 200, _("Listings that a new account may create in a day."), 1, 100_000),
    Setting("limit_messages_user", "int", 60, _("Messages a minute from one user."), 1, 10_000),
    Setting("limit_messages_new_user", "int", 60, _("Messages a minute from a new account."), 1, 10_000),
    Setting("limit_conversations_user", "int", 200, _("Hosts and guests that one user may begin to write to in a day."), 1, 100_000),
    Setting("limit_conversations_new_user", "int", 40, _("Hosts and guests that a new account may begin to write to in a day."), 1, 100_000),
    Setting("limit_attachments_user", "int", 100, _("Pictures and files for messages that one user may upload in an hour."), 1, 10_000),
    Setting("mask_contact_data", "bool", True, _("Email addresses, phone numbers and links are taken out of messages until a booking is confirmed.")),
    Setting("limit_reads_address", "int", 600, _("Anonymous reads a minute from one address."), 1, 10_000_000),
    Setting("limit_reads_user", "int", 3000, _("Searches, listings, calendars and people that one user may look at in a minute."), 1, 10_000_000),
    Setting("limit_promo_codes", "int", 100, _("Promotion codes that do not exist, an hour, that one user or address may try."), 1, 1_000_000),
    Setting("limit_reports_user", "int", 30, _("Reports to the moderators that one user may make in a day."), 1, 1000),
    Setting("limit_exports_user", "int", 10, _("Exports of all their data that one user may have in a day."), 1, 1000),
    Setting("retention_sessions_days", "int", 90, _("How long a device that was signed out is kept in the list of devices."), 1, 3650),
    Setting("retention_addresses_days", "int", 365, _("How long the audit log keeps the network addresses of those who acted."), 1, 3650),
    Setting("retention_notifications_days", "int", 730, _("How long notices are kept."), 30, 3650),
    Setting("retention_deliveries_days", "int", 90, _("How long it is kept when a notice was mailed."), 7, 3650),
    Setting("retention_provider_events_days", "int", 90, _("How long the content of a payment provider's message is kept after it was applied."), 7, 3650),
    Setting("retention_inquiries_days", "int", 730, _("How long a question to a host is kept after it ended without a booking."), 30, 3650),
    Setting("retention_messages_days", "int", 1095, _("How long after the last message of a conversation its texts and files are kept."), 30, 3650),
    Setting("retention_reports_days", "int", 730, _("How long the words of a report are kept after it was decided."), 30, 3650),
    Setting("retention_guest_lists_days", "int", 365, _("How long after the stay the names of companions, arrival notes and messages are kept."), 1, 3650),
    Setting("retention_documents_years", "int", 10, _("How long invoices and the books are kept, as the law demands it."), 1, 30),
    Setting("message_mail_minutes", "int", 3, _("How long a message may stay unread before it is mailed."), 0, 1440),
    Setting("limit_sms_user", "int", 10, _("Short messages a day to one user; codes are not among them."), 0, 1000),
    Setting("limit_sms_platform", "int", 1000, _("Short messages a day in all; codes are not among them."), 0, 10_000_000),
    Setting("sms_prefixes", "text", "", _("Beginnings of the phone numbers that short messages may go to, like +254 +255; empty: all."), 0, 400),
    Setting("review_reminder_days", "int", 2, _("How many days before the time for reviews is up people are reminded; 0: not at all."), 0, 13),
    Setting("limit_tickets_user", "int", 60, _("Websocket tickets a minute for one user."), 1, 10_000),
    Setting("limit_tickets_address", "int", 600, _("Websocket tickets a minute for one address."), 1, 1_000_000),
    Setting("limit_sockets_user", "int", 5, _("Open websockets of one user."), 1, 100),
]  # fmt: skip
DECLARED = {setting.key: setting for setting in _DECLARED}

_lock = threading.Lock()
_values: dict[str, Any] = {}
_read_at = float("-inf")


def get(key: str) -> Any:
    """The value in force of a declared setting. Raises: KeyError for one that is not declared."""
    global _values, _read_at
    setting = DECLARED[key]
    if time.monotonic() - _read_at > FRESH_FOR_S:
        rows = dict(PlatformSetting.objects.values_list("key", "value"))
        with _lock:
            _values, _read_at = rows, time.monotonic()
    return setting.parse(_values[key]) if key in _values else setting.default


def put(key: str, raw: Any) -> Any:
    """Change a setting and return its typed value. Raises: Invalid, KeyError for one that is not declared."""
    value = DECLARED[key].parse(raw)
    stored = str(value) if isinstance(value, Decimal) else value
    PlatformSetting.objects.update_or_create(key=key, defaults={"value": stored})
    forget()
    return value


def forget() -> None:
    """Read again at the next ``get``."""
    global _read_at
    _read_at = float("-inf")
