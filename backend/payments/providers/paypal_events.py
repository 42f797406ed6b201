"""What PayPal tells: webhooks with their signature, disputes, the lines of its report.

A webhook is signed with a key whose certificate PayPal serves. The address of the certificate comes with the webhook, so
it is only fetched from PayPal's own hosts (or from the configured base of the interface), and once in a while. Where
the file brings the certificates above it, they must lead to a root that we know; a certificate alone rests on the TLS
connection to PayPal that it came through. Its name must be the one that PayPal signs messages with.
"""

from __future__ import annotations

import base64
import binascii
import json
import threading
import warnings
import zlib
from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import certifi
import structlog
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.utils import CryptographyDeprecationWarning
from cryptography.x509.oid import NameOID
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError
from django.conf import settings

from backend.core import net
from backend.core.errors import Unavailable
from backend.payments.providers import units
from backend.payments.providers.base import DisputeState, Event, ForgedWebhook, Movement, Status, Topic
from backend.payments.providers.wire import parsed

LATEST, EARLIEST = timedelta(days=4), timedelta(minutes=5)
"""How old a webhook may be (PayPal tries again for three days), and how far ahead of our clock."""

CERTIFICATE_HOSTS = frozenset(
    {
        *("api.paypal.com", "api-m.paypal.com", "api.sandbox.paypal.com", "api-m.sandbox.paypal.com"),
        *("messageverificationcerts.paypal.com", "messageverificationcerts.sandbox.paypal.com"),
    }
)
SIGNER = "messageverificationcerts"
"""How the name of a certificate begins that PayPal signs messages with."""

KEPT_FOR = timedelta(hours=12)
MAX_CERTIFICATES, MAX_CERTIFICATE_BYTES = 20, 64 * 1024

_STATUS: dict[str, Status] = {"S": "succeeded", "P": "pending", "D": "failed", "V": "failed"}

_certificates: dict[str, tuple[x509.Certificate, datetime]] = {}
_lock = threading.Lock()

log = structlog.get_logger(__name__)


def verified(body: bytes, headers: Mapping[str, str], now: datetime) -> Event:
    """The event of a webhook. Raises: ForgedWebhook; Unavailable when the certificate cannot be fetched now."""
    given = {name.lower(): value for name, value in headers.items()}
    sent_id, sent_at = given.get("paypal-transmission-id", ""), given.get("paypal-transmission-time", "")
    if given.get("paypal-auth-algo", "") != "SHA256withRSA" or not sent_id or not settings.PAYPAL_WEBHOOK_ID:
        raise ForgedWebhook
    try:
        age = now - datetime.fromisoformat(sent_at)
        signature = base64.b64decode(given.get("paypal-transmission-sig", ""), validate=True)
        message = f"{sent_id}|{sent_at}|{settings.PAYPAL_WEBHOOK_ID}|{zlib.crc32(body)}".encode("ascii")
    except (ValueError, TypeError, binascii.Error):
        raise ForgedWebhook from None
    if not -EARLIEST <= age <= LATEST:
        raise ForgedWebhook
    key = _certificate(given.get("paypal-cert-url", ""), now).public_key()
    if not isinstance(key, RSAPublicKey):
        raise ForgedWebhook
    try:
        key.verify(signature, message, PKCS1v15(), SHA256())
        return event_of(body)
    except (InvalidSignature, ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError):
        raise ForgedWebhook from None


def event_of(body: bytes) -> Event:
    """What an event is about. Raises: ValueError, KeyError … for what is no event of PayPal."""
    parsed(body)  # refuses NaN, which no table takes
    payload = _plain(body)
    kind, resource = str(payload["event_type"]), payload["resource"]
    topic: Topic = "order"
    reference, key = str(resource.get("id") or ""), _key_of(resource)
    if kind.startswith("CUSTOMER.DISPUTE."):
        topic, reference, key = "dispute", str(resource["dispute_id"]), ""
    elif kind.startswith("CHECKOUT.ORDER."):
        key = _key_of((resource.get("purchase_units") or [{}])[0])
    elif kind.startswith("PAYMENT.PAYOUTS-ITEM."):
        reference, key = (
            str(resource["payout_batch_id"]),
            str(resource["payout_item"].get("sender_item_id", "")),
        )
    elif kind.startswith("PAYMENT.PAYOUTSBATCH."):
        header = resource["batch_header"]
        reference = str(header["payout_batch_id"])
        key = str(header.get("sender_batch_header", {}).get("sender_batch_id", ""))
    elif not kind.startswith(("PAYMENT.CAPTURE.", "PAYMENT.AUTHORIZATION.", "PAYMENT.REFUND.")):
        topic = "other"
    return Event(str(payload["id"]), kind, reference, key, payload, topic)


def dispute_of(found: dict[str, Any]) -> DisputeState:
    """A dispute as PayPal shows it. Raises: KeyError, ValueError … for what is none."""
    amount = found["dispute_amount"]
    currency = amount["currency_code"]
    status = _dispute_status(found)
    due = found.get("seller_response_due_date")
    return DisputeState(
        reference=found["dispute_id"],
        parent_ref=found["disputed_transactions"][0]["seller_transaction_id"],
        amount_minor=units.from_text(units.PAYPAL, amount["value"], currency),
        currency=currency,
        status=status,
        reason=str(found.get("reason", "")).lower(),
        funds_withdrawn=_is_withdrawn(found, status),
        opened_at=datetime.fromisoformat(found["create_time"]),
        evidence_due_at=datetime.fromisoformat(due) if due else None,
    )


def next_page(page: dict[str, Any]) -> str | None:
    """The token of the page behind this one of a list of disputes; None at its end."""
    following = [str(each["href"]) for each in page.get("links", []) if each["rel"] == "next"]
    return parse_qs(urlsplit(following[0]).query)["next_page_token"][0] if following else None


def movement_of(row: dict[str, Any]) -> Movement | None:
    """A line of PayPal's report as a movement of ours; None for what is none (a fee, a currency exchange, a bank)."""
    told = row["transaction_info"]
    code, amount = str(told["transaction_event_code"]), told["transaction_amount"]
    key = str(told.get("invoice_id") or told.get("custom_field") or "")
    currency = amount["currency_code"]
    if code in ("T1107", "T1106"):
        kind = "refund"
    elif code == "T0001":
        kind = "payout"
    elif code.startswith("T00"):
        # What was authorized first has the key of its authorization beside its own.
        kind = "charge" if told.get("custom_field", key) == key else "capture"
    else:
        return None
    return Movement(
        key=key,
        kind=kind,
        reference=str(told["transaction_id"]),
        amount_minor=abs(units.from_text(units.PAYPAL, amount["value"], currency)),
        currency=currency,
        status=_STATUS.get(str(told.get("transaction_status")), "unknown"),
    )


def trusted(pem: bytes, now: datetime, roots: Store) -> x509.Certificate:
    """The certificate that a file begins with, if it is one that PayPal signs with. Raises: ForgedWebhook."""
    try:
        leaf, *above = x509.load_pem_x509_certificates(pem)
        names = leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        name = str(names[0].value).lower()
    except (ValueError, IndexError):
        raise ForgedWebhook from None
    if not (name.startswith(SIGNER) and name.endswith(".paypal.com")):
        raise ForgedWebhook
    if above:
        verifier = PolicyBuilder().store(roots).time(now).build_server_verifier(x509.DNSName(name))
        try:
            verifier.verify(leaf, above)
        except VerificationError:
            raise ForgedWebhook from None
    return leaf


def forget_certificates() -> None:
    """Fetch each certificate anew when it is next needed."""
    with _lock:
        _certificates.clear()


def _key_of(resource: dict[str, Any]) -> str:
    return str(resource.get("invoice_id") or resource.get("custom_id") or "")


def _plain(body: bytes) -> dict[str, Any]:
    payload = json.loads(body)
    if not isinstance(payload, dict):
        raise ValueError("an event is an object")
    return payload


def _dispute_status(found: dict[str, Any]) -> Any:
    status = found["status"]
    if status == "RESOLVED":
        outcome = (found.get("dispute_outcome") or {}).get("outcome_code", "")
        return "lost" if outcome in ("RESOLVED_BUYER_FAVOUR", "ACCEPTED") else "won"
    if status in ("OPEN", "WAITING_FOR_SELLER_RESPONSE"):
        return "needs_response"
    return "under_review"


def _is_withdrawn(found: dict[str, Any], status: str) -> bool:
    """Whether PayPal has our money for it: by its own list of movements, else by how far the dispute has gone."""
    if status in ("won", "lost"):
        return status == "lost"
    moved = [
        each["type"] for each in found.get("money_movements") or [] if each["affected_party"] == "SELLER"
    ]
    if moved:
        return moved.count("DEBIT") > moved.count("CREDIT")
    return found.get("dispute_life_cycle_stage") in ("CHARGEBACK", "PRE_ARBITRATION", "ARBITRATION")


def _certificate(url: str, now: datetime) -> x509.Certificate:
    with _lock:
        known = _certificates.get(url)
    if known is None or now >= known[1] + KEPT_FOR or now < known[1]:
        _require_paypals(url)
        try:
            pem = net.fetch(url, total_s=5, max_bytes=MAX_CERTIFICATE_BYTES).body
        except net.FetchFailed as error:
            if error.is_final or error.code.startswith("http_4"):
                raise ForgedWebhook from None
            log.warning("payments.paypal_certificate_unreachable", code=error.code)
            raise Unavailable from error
        known = trusted(pem, now, _roots()), now
        with _lock:
            if len(_certificates) >= MAX_CERTIFICATES:
                _certificates.clear()
            _certificates[url] = known
    certificate = known[0]
    if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
        raise ForgedWebhook
    return certificate


def _require_paypals(url: str) -> None:
    try:
        parts, base = urlsplit(url), urlsplit(settings.PAYPAL_API_BASE)
        is_paypals = parts.scheme == "https" and parts.netloc in CERTIFICATE_HOSTS
    except ValueError:
        raise ForgedWebhook from None
    is_base = (parts.scheme, parts.netloc) == (base.scheme, base.netloc)
    if not (is_paypals or is_base) or not parts.path.startswith("/v1/notifications/certs/") or parts.query:
        raise ForgedWebhook


@lru_cache(maxsize=1)
def _roots() -> Store:
    """The roots that browsers know, without those that do not keep to the standard."""
    found = []
    for block in Path(certifi.where()).read_text().split("-----END CERTIFICATE-----")[:-1]:
        with warnings.catch_warnings():
            warnings.simplefilter("error", CryptographyDeprecationWarning)
            try:
                found.append(x509.load_pem_x509_certificate(f"{block}-----END CERTIFICATE-----".encode()))
            except (ValueError, CryptographyDeprecationWarning):
                continue
    return Store(found)
