"""PayPal: orders that the guest approves, authorizations, captures, refunds, payouts to an email, disputes.

PayPal moves nothing before the guest has approved an order on its page. The first call makes the order and answers
``pending`` with the ``approval_url``; once it is approved the next look takes the money, under a key made of ours. Until
then an order may be given up safely, since only we can take its money.

What PayPal knows of us: the operation's id is ``PayPal-Request-Id``, ``invoice_id`` (which a merchant's account uses
once only) and, for what begins a payment or gives back, ``custom_id``; of payouts ``sender_batch_id`` and
``sender_item_id`` alone: an answer that PayPal keeps for a request's id, an error too, would hide which batch was made. References are PayPal's own: the order until its money is taken, then the capture or authorization.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Self
from urllib.parse import quote

import structlog
from django.conf import settings
from django.utils.translation import gettext_lazy as _

from backend.core.errors import Invalid
from backend.payments.providers import paypal_events, units
from backend.payments.providers.base import (
    ABANDONED,
    DisputeState,
    Event,
    Movement,
    Order,
    PaysOut,
    ProviderUnavailable,
    Result,
    TellsDisputes,
)
from backend.payments.providers.paypal_line import Line, issue_of, refused, seller_fee, understood, value
from backend.payments.providers.wire import Answer

BATCH_REMEMBERED = timedelta(days=29)
"""A payout is made once for its ``sender_batch_id`` within 30 days, as PayPal's reference of POST /v1/payments/payouts
says; a day is left for clocks that differ."""

APPROVAL_LIFE = timedelta(minutes=30)
"""How long a guest may take to approve; PayPal itself would wait for hours, and nothing else could be paid meanwhile."""

_TAKEN = {"COMPLETED", "PARTIALLY_REFUNDED", "REFUNDED"}
_LATER = {"ORDER_NOT_APPROVED", "PAYER_ACTION_REQUIRED"}
_DONE_BEFORE = {"ORDER_ALREADY_CAPTURED", "ORDER_ALREADY_AUTHORIZED", "AUTHORIZATION_ALREADY_CAPTURED"}
_CODES = {
    "AUTHORIZATION_VOIDED": "already_voided",
    "PREVIOUSLY_VOIDED": "already_voided",
    "AUTHORIZATION_ALREADY_CAPTURED": "already_captured",
    "MAX_CAPTURE_AMOUNT_EXCEEDED": "amount_too_large",
    "REFUND_AMOUNT_EXCEEDED": "amount_too_large",
    "CAPTURE_FULLY_REFUNDED": "amount_too_large",
}
_PER_PAGE = 500
_DISPUTES_PER_PAGE = 50

log = structlog.get_logger(__name__)


class PayPal(PaysOut, TellsDisputes):
    """The adapter of PayPal's REST interface (Orders v2, Payments v2, Payouts v1, Disputes v1)."""

    name = units.PAYPAL
    gives_up = True
    pays_to = "email"
    lists = frozenset({"charge", "capture", "refund"})

    @classmethod
    def configured(cls) -> Self | None:
        return cls() if settings.PAYPAL_CLIENT_ID and settings.PAYPAL_SECRET else None

    def accepted_options(self, options: Mapping[str, Any]) -> dict[str, Any]:
        if options:
            raise Invalid.field(
                next(iter(options)), "unknown_option", _("This way to pay has no such option.")
            )
        return {}

    def carry_out(self, order: Order) -> Result:
        try:
            value(order)
        except units.CannotMove:
            return Result("failed", error_code=units.CannotMove.code)
        with understood():
            return super().carry_out(order)

    def authorize(self, order: Order) -> Result:
        return self._begin(order)

    def charge(self, order: Order) -> Result:
        return self._begin(order)

    def capture(self, order: Order) -> Result:
        with Line() as line:
            answer = self._capture(line, order, order.parent_ref, order.key)
            if issue_of(answer) == "AUTHORIZATION_EXPIRED":
                renewed = line.post(
                    f"/v2/payments/authorizations/{quote(order.parent_ref)}/reauthorize",
                    f"{order.key}:reauthorize",
                    {"amount": value(order)},
                )
                if not renewed.is_ok:
                    return Result("failed", error_code="authorization_expired")
                answer = self._capture(line, order, renewed.body["id"], f"{order.key}:again")
            if answer.is_ok:
                return _of_capture(answer.body, order)
            if issue_of(answer) in _DONE_BEFORE | {"DUPLICATE_INVOICE_ID"}:
                found = self._captured(line, order)
                if found is not None:
                    return found
            return refused(answer, _CODES)

    def void(self, order: Order) -> Result:
        with Line() as line:
            answer = line.post(f"/v2/payments/authorizations/{quote(order.parent_ref)}/void", order.key, {})
        return Result("succeeded", reference=order.parent_ref) if answer.is_ok else refused(answer, _CODES)

    def refund(self, order: Order) -> Result:
        capture = order.taken_ref or order.parent_ref
        body = {"amount": value(order), "invoice_id": order.key, "custom_id": order.key}
        with Line() as line:
            answer = line.post(f"/v2/payments/captures/{quote(capture)}/refund", order.key, body)
            if answer.is_ok:
                return _of_refund(answer.body, order)
            # PayPal may have forgotten our key while it remembers what it did.
            return self._refunded(line, order) or refused(answer, _CODES)

    def payout(self, order: Order) -> Result:
        body = {
            "sender_batch_header": {"sender_batch_id": order.key},
            "items": [
                {
                    "recipient_type": "EMAIL",
                    "receiver": order.destination,
                    "amount": {"currency": order.currency, "value": value(order)["value"]},
                    "sender_item_id": order.key,
                }
            ],
        }
        if order.since is not None and order.at - order.since > BATCH_REMEMBERED:
            raise ProviderUnavailable("PayPal may have forgotten this payout, and would make it again")
        with Line() as line:
            answer = line.post("/v1/payments/payouts", "", body)
            if answer.is_ok:
                return Result("pending", str(answer.body["batch_header"]["payout_batch_id"]))
            if not _is_duplicate(answer):
                return refused(answer, _CODES)
            # Sent before; the refusal links to the first one.
            batch = line.found(f"/v1/payments/payouts/{quote(_linked_batch(answer.body))}").body
            if batch["batch_header"]["sender_batch_header"]["sender_batch_id"] != order.key:
                raise ProviderUnavailable("PayPal names another payout as the same one")
            return _of_batch(batch, order)

    def reverse(self, order: Order) -> Result:
        return Result("failed", error_code="cannot_be_reversed")

    def look_up(self, order: Order) -> Result | None:
        with understood(), Line() as line:
            if order.kind in ("authorize", "charge"):
                return self._begun(line, order)
            if order.kind == "capture":
                return self._captured(line, order)
            if order.kind == "void":
                return self._voided(line, order)
            if order.kind == "refund":
                return self._refunded(line, order)
            if order.kind == "payout" and order.reference:
                return _of_batch(line.found(f"/v1/payments/payouts/{quote(order.reference)}").body, order)
        return None

    def give_up(self, order: Order) -> Result | None:
        """Only we can take an order's money: from now on nobody does. Where it was taken before, that is the answer."""
        if order.kind not in ("authorize", "charge"):
            return None
        if order.reference:
            with understood(), Line() as line:
                answer = line.get(f"/v2/checkout/orders/{quote(order.reference)}")
                done = _done(answer.body, order) if answer.is_ok else None
                if done is not None:
                    return _of_begun(done, order)
        return Result("failed", order.reference, ABANDONED)

    def dispute(self, reference: str) -> DisputeState:
        with understood(), Line() as line:
            return paypal_events.dispute_of(line.found(f"/v1/customer/disputes/{quote(reference)}").body)

    def disputes_since(self, since: datetime) -> list[str]:
        params = {
            "start_time": since.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
            "page_size": str(_DISPUTES_PER_PAGE),
        }
        found: list[str] = []
        token: str | None = ""
        with understood(), Line() as line:
            while token is not None:
                page = line.found(
                    "/v1/customer/disputes", {**params, **({"next_page_token": token} if token else {})}
                ).body
                found += [str(each["dispute_id"]) for each in page.get("items", [])]
                token = paypal_events.next_page(page)
        return found

    def verify_webhook(self, body: bytes, headers: Mapping[str, str], now: datetime) -> Event:
        return paypal_events.verified(body, headers, now)

    def list_recent(self, since: datetime) -> Iterable[Movement]:
        """Captures, refunds and payouts from PayPal's report, which lags by up to three hours."""
        params = {
            "start_date": since.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "end_date": (since + timedelta(days=31)).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "fields": "transaction_info",
            "page_size": str(_PER_PAGE),
        }
        page, pages = 1, 1
        while page <= pages:
            with understood(), Line() as line:
                report = line.found("/v1/reporting/transactions", {**params, "page": str(page)}).body
                pages = int(report.get("total_pages", 1))
                movements = [paypal_events.movement_of(row) for row in report["transaction_details"]]
            yield from (each for each in movements if each is not None)
            page += 1

    def _begin(self, order: Order) -> Result:
        """Make the order, or finish the one that was approved."""
        with Line() as line:
            found = self._begun(line, order)
            if found is not None:
                return found
            body = {
                "intent": "CAPTURE" if order.kind == "charge" else "AUTHORIZE",
                "purchase_units": [{"custom_id": order.key, "invoice_id": order.key, "amount": value(order)}],
                "payment_source": {
                    "paypal": {
                        "experience_context": {
                            "return_url": settings.PAYPAL_RETURN_URL,
                            "cancel_url": settings.PAYPAL_RETURN_URL,
                            "shipping_preference": "NO_SHIPPING",
                            "user_action": "PAY_NOW",
                        }
                    }
                },
            }
            try:
                answer = line.post("/v2/checkout/orders", order.key, body)
                return _waiting(answer.body) if answer.is_ok else refused(answer, _CODES)
            except ProviderUnavailable as error:
                # Nobody has the order's address, so nobody can approve it: no money will move, and the guest may
                # try again at once.
                log.warning("payments.paypal_order_not_made", op=order.key, error=str(error))
                return Result("failed", error_code="processing_error")

    def _begun(self, line: Line, order: Order) -> Result | None:
        """What became of an order; one that was approved is finished while it is open."""
        if not order.reference:
            return None
        if not order.is_open:
            thing = "captures" if order.kind == "charge" else "authorizations"
            answer = line.get(f"/v2/payments/{thing}/{quote(order.reference)}")
            if answer.is_ok:
                return _of_begun(answer.body, order)
        answer = line.get(f"/v2/checkout/orders/{quote(order.reference)}")
        if answer.status == 404:
            return Result("failed", order.reference, "approval_expired")
        made = line.must(answer).body
        done = _done(made, order)
        if done is not None:
            return _of_begun(done, order)
        if made["status"] == "APPROVED" and order.is_open:
            return self._finish(line, order)
        is_late = order.at >= datetime.fromisoformat(made["create_time"]) + APPROVAL_LIFE
        if made["status"] == "VOIDED" or is_late:
            return Result("failed", order.reference, "approval_expired")
        return _waiting(made)

    def _finish(self, line: Line, order: Order) -> Result:
        verb = "capture" if order.kind == "charge" else "authorize"
        path = f"/v2/checkout/orders/{quote(order.reference)}"
        answer = line.post(f"{path}/{verb}", f"{order.key}:{verb}", {})
        if answer.is_ok or issue_of(answer) in _DONE_BEFORE:
            done = _done(answer.body if answer.is_ok else line.found(path).body, order)
            if done is None:
                raise ProviderUnavailable("the order is finished without a payment")
            return _of_begun(done, order)
        if issue_of(answer) in _LATER:
            return _waiting(line.found(path).body)
        failed = refused(answer, _CODES)
        return Result("failed", order.reference, failed.error_code)

    @staticmethod
    def _capture(line: Line, order: Order, authorization: str, key: str) -> Answer:
        body = {"amount": value(order), "invoice_id": order.key, "final_capture": True}
        return line.post(f"/v2/payments/authorizations/{quote(authorization)}/capture", key, body)

    def _captured(self, line: Line, order: Order) -> Result | None:
        """The capture of an authorization, by its reference or among the captures of the order it came from."""
        if order.reference:
            return _of_capture(line.found(f"/v2/payments/captures/{quote(order.reference)}").body, order)
        for capture in self._payments(line, "authorizations", order.parent_ref).get("captures", []):
            if capture.get("invoice_id") == order.key:
                return _of_capture(capture, order)
        return None

    def _refunded(self, line: Line, order: Order) -> Result | None:
        if order.reference:
            return _of_refund(line.found(f"/v2/payments/refunds/{quote(order.reference)}").body, order)
        capture = order.taken_ref or order.parent_ref
        for refund in self._payments(line, "captures", capture).get("refunds", []):
            if order.key in (refund.get("custom_id"), refund.get("invoice_id")):
                return _of_refund(refund, order)
        return None

    @staticmethod
    def _voided(line: Line, order: Order) -> Result | None:
        status = line.found(f"/v2/payments/authorizations/{quote(order.parent_ref)}").body["status"]
        if status == "VOIDED":
            return Result("succeeded", reference=order.parent_ref)
        if status in ("CAPTURED", "PARTIALLY_CAPTURED"):
            return Result("failed", error_code="already_captured")
        if status in ("EXPIRED", "DENIED"):
            return Result("failed", error_code="authorization_expired")
        return None

    @staticmethod
    def _payments(line: Line, thing: str, reference: str) -> dict[str, Any]:
        """All that was done with the order that an authorization or a capture came from."""
        body = line.found(f"/v2/payments/{thing}/{quote(reference)}").body
        made = body["supplementary_data"]["related_ids"]["order_id"]
        answer = line.get(f"/v2/checkout/orders/{quote(made)}")
        return _payments_of(answer.body) if answer.is_ok else {}


def _waiting(made: dict[str, Any]) -> Result:
    links = {link["rel"]: link["href"] for link in made.get("links", [])}
    url = links.get("payer-action") or links.get("approve") or ""
    return Result("pending", made["id"], client={"approval_url": url} if url else {})


def _payments_of(made: dict[str, Any]) -> dict[str, Any]:
    payments: dict[str, Any] = made["purchase_units"][0].get("payments") or {}
    return payments


def _done(made: dict[str, Any], order: Order) -> dict[str, Any] | None:
    """The capture or authorization of an order; the last one, since a refused one may be followed by another."""
    found: list[dict[str, Any]] = _payments_of(made).get(
        "captures" if order.kind == "charge" else "authorizations", []
    )
    return found[-1] if found else None


def _of_begun(done: dict[str, Any], order: Order) -> Result:
    if order.kind == "charge":
        return _of_capture(done, order)
    if done["status"] in ("DENIED", "EXPIRED"):
        return Result("failed", order.reference, "authorization_denied")
    if done["status"] == "PENDING":
        return Result("pending", order.reference)
    return Result("succeeded", done["id"])


def _of_capture(capture: dict[str, Any], order: Order) -> Result:
    if capture["status"] in _TAKEN:
        fee_minor = seller_fee(capture.get("seller_receivable_breakdown"), order.currency)
        return Result("succeeded", capture["id"], fee_minor=fee_minor)
    if capture["status"] == "PENDING":
        # An order keeps its own reference until the money is there; a capture of an authorization has none before.
        return Result("pending", order.reference if order.kind == "charge" else capture["id"])
    reason = (capture.get("status_details") or {}).get("reason") or "declined"
    return Result("failed", order.reference, str(reason).lower())


def _of_refund(refund: dict[str, Any], order: Order) -> Result:
    reference, status = refund["id"], refund["status"]
    if status == "COMPLETED":
        # PayPal gives a part of its own fee back: what it kept of this movement is negative.
        fee_minor = -seller_fee(refund.get("seller_payable_breakdown"), order.currency)
        return Result("succeeded", reference, fee_minor=fee_minor)
    if status == "PENDING":
        return Result("pending", reference)
    if not order.is_open:
        return Result("succeeded", reference, stage="returned")
    reason = (refund.get("status_details") or {}).get("reason") or "refund_failed"
    return Result("failed", reference, str(reason).lower())


def _is_duplicate(answer: Answer) -> bool:
    """Whether a payout is refused since its batch was sent before. The word for it stands in one of three places."""
    return answer.status == 400 and "duplicate" in str(answer.body.get("details", answer.body)).lower()


def _linked_batch(body: dict[str, Any]) -> str:
    """The id of the batch that a refusal links to. Raises: ProviderUnavailable."""
    for link in body.get("links") or []:
        path, _slash, batch = str(link.get("href", "")).rstrip("/").rpartition("/")
        if path.endswith("/payments/payouts"):
            return batch
    raise ProviderUnavailable("this payout was sent before, and PayPal does not say as which")


def _of_batch(batch: dict[str, Any], order: Order) -> Result:
    header, items = batch["batch_header"], batch.get("items") or []
    reference = header["payout_batch_id"]
    status = items[0]["transaction_status"] if items else header["batch_status"]
    if not items and status not in ("DENIED", "CANCELED"):
        return Result("pending", reference)
    if status in ("SUCCESS", "UNCLAIMED"):
        kept = items[0].get("payout_item_fee") or {}
        is_ours = kept.get("currency") == order.currency
        fee_minor = units.from_text(units.PAYPAL, kept["value"], order.currency) if is_ours else 0
        return Result(
            "succeeded", reference, fee_minor=fee_minor, stage="arrived" if status == "SUCCESS" else "sent"
        )
    if status in ("PENDING", "ONHOLD", "NEW", "PROCESSING"):
        return Result("pending", reference)
    if not order.is_open:
        return Result("succeeded", reference, stage="returned")
    errors = items[0].get("errors") or {} if items else {}
    return Result("failed", reference, str(errors.get("name") or f"payout_{status}").lower())
