"""PayPal as tests meet it: orders that a guest approves, authorizations, captures, refunds, payouts, disputes, webhooks.

Amounts are strings in major units, in as many decimals as PayPal writes for the currency; anything finer is refused. An
``invoice_id`` takes money once only. Webhooks are signed with a key of this fake, whose certificate it serves.
"""

from __future__ import annotations

import base64
import secrets
import zlib
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.hashes import SHA256

from backend.core.money import Money
from tests.fakes.base import Call, Fake, Refused, Reply, Webhook, act, on
from tests.fakes.certificates import certificate, signing_key
from tests.fakes.process import serve

CLIENT, SECRET, WEBHOOK_ID = "client-of-tests", "secret-of-tests", "1JE4291016473214C"
WHOLE = {"HUF", "JPY", "TWD"}

Resource = dict[str, Any]


def _id(length: int = 17) -> str:
    return "".join(secrets.choice("0123456789ABCDEFGHJKLMNPRSTUVWXY") for _ in range(length))


class PayPalFake(Fake):
    """A pretend PayPal."""

    name = "paypal"

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.orders: dict[str, Resource] = {}
        self.authorizations: dict[str, Resource] = {}
        self.captures: dict[str, Resource] = {}
        self.refunds: dict[str, Resource] = {}
        self.batches: dict[str, Resource] = {}
        self.disputes: dict[str, Resource] = {}
        self.tokens: set[str] = set()
        self.funding = "COMPLETED"
        """What becomes of the next captures: COMPLETED, PENDING or DECLINED."""
        self.refunding = "COMPLETED"
        self.paying = "SUCCESS"
        """What becomes of the next payouts, as a transaction status."""
        self.pem = certificate(at=self.clock())

    # How PayPal is asked.

    def key_of(self, call: Call) -> str:
        return call.headers.get("paypal-request-id", "")

    def remembers(self, reply: Reply) -> bool:
        return reply.status < 400

    def error(self, refused: Refused) -> Reply:
        names = {400: "INVALID_REQUEST", 404: "RESOURCE_NOT_FOUND", 429: "RATE_LIMIT_REACHED"}
        name = refused.more.get("name") or names.get(refused.status, "UNPROCESSABLE_ENTITY")
        if refused.status >= 500:
            return Reply({"name": "INTERNAL_SERVER_ERROR", "debug_id": _id(13)}, refused.status)
        details = refused.more.get("details") or [{"issue": refused.code}]
        body = {"name": name, "message": refused.message, "debug_id": _id(13), "details": details}
        return Reply({**body, "links": refused.more.get("links", [])}, refused.status)

    def sign(self, webhook: Webhook, *, forged: bool = False) -> dict[str, str]:
        sent_id, sent_at = f"{_id(8)}-{_id(8)}", self.stamp()
        message = f"{sent_id}|{sent_at}|{WEBHOOK_ID}|{zlib.crc32(webhook.body)}".encode()
        key = signing_key("forged" if forged else "true")
        return {
            "PAYPAL-AUTH-ALGO": "SHA256withRSA",
            "PAYPAL-CERT-URL": f"{self.url}/v1/notifications/certs/CERT-360caa42-fca2a594",
            "PAYPAL-TRANSMISSION-ID": sent_id,
            "PAYPAL-TRANSMISSION-TIME": sent_at,
            "PAYPAL-TRANSMISSION-SIG": base64.b64encode(
                key.sign(message, padding.PKCS1v15(), SHA256())
            ).decode(),
        }

    def stamp(self, seconds: float = 0) -> str:
        return datetime.fromtimestamp(self.clock() + seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    # What a test does in the place of the guest, the receiver, the bank.

    @act
    def approve(self, key: str) -> str:
        """The guest approves the order that was made under ``key``; gives the order's id."""
        with self.lock:
            order = self._of_key(key)
            if order["status"] == "PAYER_ACTION_REQUIRED":
                order["status"] = "APPROVED"
                self._tell("CHECKOUT.ORDER.APPROVED", "checkout-order", self._shown(order))
            return str(order["id"])

    @act
    def approve_all(self) -> list[str]:
        """The guests approve all orders that wait for them; gives our keys."""
        with self.lock:
            waiting = [each for each in self.orders.values() if each["status"] == "PAYER_ACTION_REQUIRED"]
            keys = [str(each["purchase_units"][0]["custom_id"]) for each in waiting]
            for key in keys:
                self.approve(key)
            return keys

    @act
    def expire(self, key: str) -> None:
        """PayPal drops an order that nobody approved."""
        with self.lock:
            del self.orders[self._of_key(key)["id"]]

    @act
    def clear(self, key: str, status: str = "COMPLETED") -> None:
        """A capture that was pending is decided."""
        with self.lock:
            capture = next(each for each in self.captures.values() if each["invoice_id"] == key)
            capture["status"] = status
            if status == "COMPLETED":
                self._book(capture["kind"], key, capture)
            self._tell(f"PAYMENT.CAPTURE.{status}", "capture", _public(capture))

    @act
    def settle_payout(self, key: str, status: str) -> None:
        """What becomes of a payout later, as a transaction status."""
        with self.lock:
            batch = next(
                each
                for each in self.batches.values()
                if each["items"][0]["payout_item"]["sender_item_id"] == key
            )
            self._item(batch, status)

    @act
    def return_refund(self, key: str) -> None:
        """The guest's bank sends a refund back."""
        with self.lock:
            refund = next(each for each in self.refunds.values() if each["custom_id"] == key)
            refund["status"] = "FAILED"
            self._tell("PAYMENT.REFUND.FAILED", "refund", refund)

    @act
    def open_dispute(self, capture: str, stage: str = "CHARGEBACK") -> str:
        """The guest disputes a capture; gives the dispute's id."""
        with self.lock:
            amount = self.captures[capture]["amount"]
            reference = f"PP-D-{_id(5)}"
            self.disputes[reference] = {
                "dispute_id": reference,
                "create_time": self.stamp(),
                "disputed_transactions": [{"seller_transaction_id": capture}],
                "reason": "MERCHANDISE_OR_SERVICE_NOT_RECEIVED",
                "status": "WAITING_FOR_SELLER_RESPONSE",
                "dispute_amount": amount,
                "dispute_life_cycle_stage": stage,
                "seller_response_due_date": self.stamp(10 * 86_400),
            }
            self._tell("CUSTOMER.DISPUTE.CREATED", "dispute", self.disputes[reference])
            return reference

    @act
    def decide_dispute(self, reference: str, outcome: str) -> None:
        """``RESOLVED_BUYER_FAVOUR`` or ``RESOLVED_SELLER_FAVOUR``."""
        with self.lock:
            self.disputes[reference] |= {"status": "RESOLVED", "dispute_outcome": {"outcome_code": outcome}}
            self._tell("CUSTOMER.DISPUTE.RESOLVED", "dispute", self.disputes[reference])

    @act
    def holds(self, currency: str) -> int:
        """What is on the merchant's account: money in less fees, what went out, and what disputes have taken."""
        with self.lock:
            moved = [each for each in self.movements if each.currency == currency]
            fees = [
                _minor(fee)
                for each in self.captures.values()
                if (fee := each["seller_receivable_breakdown"]["paypal_fee"])["value"].strip("0.")
            ]
            taken = [
                _minor(each["dispute_amount"])
                for each in self.disputes.values()
                if each.get("dispute_outcome", {}).get("outcome_code") != "RESOLVED_SELLER_FAVOUR"
            ]
            signs = {"charge": 1, "capture": 1, "refund": -1, "payout": -1}
            return sum(signs[each.kind] * each.amount_minor for each in moved) - sum(fees) - sum(taken)

    @act
    def captured(self, key: str) -> str:
        """The capture that took the money of the order under ``key``; empty when there is none."""
        with self.lock:
            mine = (each["id"] for each in self.captures.values() if each["custom_id"] == key)
            return next(mine, "")

    @act
    def verdicts(self) -> dict[str, str]:
        """Dispute → ``won`` or ``lost`` from where we stand; empty while it is open."""
        words = {"RESOLVED_SELLER_FAVOUR": "won", "RESOLVED_BUYER_FAVOUR": "lost"}
        with self.lock:
            return {
                name: words.get(each.get("dispute_outcome", {}).get("outcome_code", ""), "")
                for name, each in self.disputes.items()
            }

    # What PayPal answers.

    @on("POST", "/v1/oauth2/token")
    def token(self, call: Call) -> Reply:
        basic = base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
        if call.headers.get("authorization") != f"Basic {basic}":
            return Reply({"error": "invalid_client"}, 401)
        token = secrets.token_urlsafe(24)
        self.tokens.add(token)
        return Reply({"access_token": token, "token_type": "Bearer", "expires_in": 32_400})

    @on("GET", "/v1/notifications/certs/{name}")
    def cert(self, call: Call, name: str) -> Reply:
        return Reply(self.pem, headers={"Content-Type": "application/x-pem-file"})

    @on("POST", "/v2/checkout/orders")
    def make_order(self, call: Call) -> Reply:
        given = self._given(call)
        unit = given["purchase_units"][0]
        _minor(unit["amount"])
        order = {
            "id": _id(),
            "intent": given["intent"],
            "status": "PAYER_ACTION_REQUIRED",
            "create_time": self.stamp(),
            "purchase_units": [{**unit, "reference_id": "default"}],
        }
        self.orders[order["id"]] = order
        return Reply(self._shown(order), 200)

    @on("GET", "/v2/checkout/orders/{order}")
    def show_order(self, call: Call, order: str) -> Reply:
        self._given(call)
        return Reply(self._shown(self._there(self.orders, order)))

    @on("POST", "/v2/checkout/orders/{order}/capture")
    def capture_order(self, call: Call, order: str) -> Reply:
        self._given(call)
        made = self._ready(order, "ORDER_ALREADY_CAPTURED")
        unit = made["purchase_units"][0]
        self._capture(made, unit["amount"], unit["invoice_id"], "charge")
        made["status"] = "COMPLETED"
        return Reply(self._shown(made), 201)

    @on("POST", "/v2/checkout/orders/{order}/authorize")
    def authorize_order(self, call: Call, order: str) -> Reply:
        self._given(call)
        made = self._ready(order, "ORDER_ALREADY_AUTHORIZED")
        made["status"] = "COMPLETED"
        authorization = self._authorize(made)
        self._tell("PAYMENT.AUTHORIZATION.CREATED", "authorization", authorization)
        return Reply(self._shown(made), 201)

    @on("GET", "/v2/payments/authorizations/{reference}")
    def show_authorization(self, call: Call, reference: str) -> Reply:
        self._given(call)
        return Reply(self._there(self.authorizations, reference))

    @on("POST", "/v2/payments/authorizations/{reference}/capture")
    def capture_authorization(self, call: Call, reference: str) -> Reply:
        given = self._given(call)
        authorization = self._standing(reference)
        if _minor(given["amount"]) > _minor(authorization["amount"]):
            raise Refused(422, "MAX_CAPTURE_AMOUNT_EXCEEDED")
        made = self.orders[authorization["supplementary_data"]["related_ids"]["order_id"]]
        capture = self._capture(made, given["amount"], given["invoice_id"], "capture")
        authorization["status"] = "CAPTURED"
        return Reply(_public(capture), 201)

    @on("POST", "/v2/payments/authorizations/{reference}/reauthorize")
    def reauthorize(self, call: Call, reference: str) -> Reply:
        self._given(call)
        old = self._there(self.authorizations, reference)
        if old["status"] != "EXPIRED" or old.get("renewed"):
            raise Refused(422, "REAUTHORIZATION_TOO_SOON")
        old["renewed"] = True
        return Reply(self._authorize(self.orders[old["supplementary_data"]["related_ids"]["order_id"]]), 201)

    @on("POST", "/v2/payments/authorizations/{reference}/void")
    def void(self, call: Call, reference: str) -> Reply:
        self._given(call)
        self._standing(reference)["status"] = "VOIDED"
        return Reply(b"", 204)

    @on("GET", "/v2/payments/captures/{reference}")
    def show_capture(self, call: Call, reference: str) -> Reply:
        self._given(call)
        return Reply(_public(self._there(self.captures, reference)))

    @on("POST", "/v2/payments/captures/{reference}/refund")
    def refund(self, call: Call, reference: str) -> Reply:
        given = self._given(call)
        capture = self._there(self.captures, reference)
        amount, currency = given["amount"], capture["amount"]["currency_code"]
        done = [
            each
            for each in self.refunds.values()
            if each["capture"] == reference and each["status"] != "FAILED"
        ]
        left = _minor(capture["amount"]) - sum(_minor(each["amount"]) for each in done)
        if capture["status"] not in ("COMPLETED", "PARTIALLY_REFUNDED"):
            raise Refused(422, "CAPTURE_FULLY_REFUNDED" if left == 0 else "CAPTURE_NOT_COMPLETED")
        if amount["currency_code"] != currency:
            raise Refused(422, "CURRENCY_MISMATCH")
        if _minor(amount) > left:
            raise Refused(422, "REFUND_AMOUNT_EXCEEDED")
        refund = {
            "id": _id(),
            "capture": reference,
            "status": self.refunding,
            "amount": amount,
            "custom_id": given.get("custom_id", ""),
            "invoice_id": given.get("invoice_id", ""),
        }
        self.refunds[refund["id"]] = refund
        if refund["status"] == "COMPLETED":
            self._book("refund", refund["custom_id"], refund, reference)
        capture["status"] = "REFUNDED" if _minor(amount) == left else "PARTIALLY_REFUNDED"
        self._tell("PAYMENT.CAPTURE.REFUNDED", "refund", refund)
        return Reply(refund, 201)

    @on("GET", "/v2/payments/refunds/{reference}")
    def show_refund(self, call: Call, reference: str) -> Reply:
        self._given(call)
        return Reply(self._there(self.refunds, reference))

    @on("POST", "/v1/payments/payouts")
    def pay_out(self, call: Call) -> Reply:
        given = self._given(call)
        sender_batch_id = given["sender_batch_header"]["sender_batch_id"]
        for reference, batch in self.batches.items():
            if batch["batch_header"]["sender_batch_header"]["sender_batch_id"] == sender_batch_id:
                raise Refused(
                    400,
                    "duplicate",
                    "User business error.",
                    name="USER_BUSINESS_ERROR",
                    details=[{"field": "SENDER_BATCH_ID", "issue": "Duplicate batch request"}],
                    links=[{"rel": "self", "href": f"{self.url}/v1/payments/payouts/{reference}"}],
                )
        (item,) = given["items"]
        _minor({"currency_code": item["amount"]["currency"], "value": item["amount"]["value"]})
        reference = _id(13)
        self.batches[reference] = batch = {
            "batch_header": {
                "payout_batch_id": reference,
                "batch_status": "PENDING",
                "sender_batch_header": given["sender_batch_header"],
            },
            "items": [{"payout_item_id": _id(13), "payout_batch_id": reference, "payout_item": item}],
        }
        shown = {"batch_header": dict(batch["batch_header"])}
        self._item(batch, self.paying)
        return Reply(shown, 201)

    @on("GET", "/v1/payments/payouts/{reference}")
    def show_batch(self, call: Call, reference: str) -> Reply:
        self._given(call)
        return Reply(self._there(self.batches, reference))

    @on("GET", "/v1/customer/disputes/{reference}")
    def show_dispute(self, call: Call, reference: str) -> Reply:
        self._given(call)
        return Reply(self._there(self.disputes, reference))

    @on("GET", "/v1/customer/disputes")
    def list_disputes(self, call: Call) -> Reply:
        self._given(call)
        since = datetime.fromisoformat(call.query["start_time"])
        found = [
            each for each in self.disputes.values() if datetime.fromisoformat(each["create_time"]) >= since
        ]
        begin, size = int(call.query.get("next_page_token", 0)), int(call.query["page_size"])
        page, end = found[begin : begin + size], begin + size
        links = [{"rel": "self", "href": f"{self.url}{call.path}"}]
        if end < len(found):
            links.append({"rel": "next", "href": f"{self.url}{call.path}?next_page_token={end}"})
        return Reply({"items": [{"dispute_id": each["dispute_id"]} for each in page], "links": links})

    @on("GET", "/v1/reporting/transactions")
    def report(self, call: Call) -> Reply:
        self._given(call)
        since = datetime.fromisoformat(call.query["start_date"]).timestamp()
        rows = [self._row(each) for each in self.movements if each.at >= since - 1]
        size, page = int(call.query["page_size"]), int(call.query["page"])
        pages = max(1, -(-len(rows) // size))
        return Reply({"transaction_details": rows[(page - 1) * size : page * size], "total_pages": pages})

    # How it works.

    def _given(self, call: Call) -> Any:
        if call.headers.get("authorization", "").removeprefix("Bearer ") not in self.tokens:
            raise Refused(401, "invalid_token", name="AUTHENTICATION_FAILURE")
        return call.json()

    @staticmethod
    def _there(things: dict[str, Resource], reference: str) -> Resource:
        if reference not in things:
            raise Refused(404, "INVALID_RESOURCE_ID")
        return things[reference]

    def _of_key(self, key: str) -> Resource:
        return next(each for each in self.orders.values() if each["purchase_units"][0]["custom_id"] == key)

    def _ready(self, order: str, done: str) -> Resource:
        made = self._there(self.orders, order)
        if made["status"] == "COMPLETED":
            raise Refused(422, done)
        if made["status"] != "APPROVED":
            raise Refused(422, "ORDER_NOT_APPROVED")
        if self.funding == "DECLINED":
            made["status"] = "PAYER_ACTION_REQUIRED"
            raise Refused(422, "INSTRUMENT_DECLINED")
        return made

    def _standing(self, reference: str) -> Resource:
        authorization = self._there(self.authorizations, reference)
        issues = {
            "CAPTURED": "AUTHORIZATION_ALREADY_CAPTURED",
            "VOIDED": "PREVIOUSLY_VOIDED",
            "EXPIRED": "AUTHORIZATION_EXPIRED",
        }
        if authorization["status"] in issues:
            raise Refused(422, issues[authorization["status"]])
        return authorization

    def _authorize(self, made: Resource) -> Resource:
        unit = made["purchase_units"][0]
        authorization = {
            "id": _id(),
            "status": "CREATED",
            "amount": unit["amount"],
            "custom_id": unit["custom_id"],
            "invoice_id": unit["invoice_id"],
            "supplementary_data": {"related_ids": {"order_id": made["id"]}},
        }
        self.authorizations[authorization["id"]] = authorization
        return authorization

    def _capture(self, made: Resource, amount: Resource, invoice: str, kind: str) -> Resource:
        if any(each["invoice_id"] == invoice for each in self.captures.values()):
            raise Refused(422, "DUPLICATE_INVOICE_ID")
        currency = amount["currency_code"]
        fee = 0 if currency in WHOLE else _minor(amount) * 3 // 100
        capture = {
            "id": _id(),
            "kind": kind,
            "status": self.funding,
            "amount": amount,
            "custom_id": made["purchase_units"][0]["custom_id"],
            "invoice_id": invoice,
            "final_capture": True,
            "supplementary_data": {"related_ids": {"order_id": made["id"]}},
            "seller_receivable_breakdown": {
                "gross_amount": amount,
                "paypal_fee": {"currency_code": currency, "value": _text(fee, currency)},
            },
        }
        self.captures[capture["id"]] = capture
        if self.funding == "COMPLETED":
            self._book(kind, invoice, capture)
            self._tell("PAYMENT.CAPTURE.COMPLETED", "capture", _public(capture))
        return capture

    def _item(self, batch: Resource, status: str) -> None:
        """A payout's item takes a new status; money has moved as soon as it has left."""
        (item,) = batch["items"]
        has_left = item.get("transaction_status") in ("SUCCESS", "UNCLAIMED")
        item["transaction_status"] = status
        amount = item["payout_item"]["amount"]
        item["payout_item_fee"] = {"currency": amount["currency"], "value": _text(0, amount["currency"])}
        if status in ("FAILED", "BLOCKED"):
            item["errors"] = {"name": "RECEIVER_UNREGISTERED"}
        batch["batch_header"]["batch_status"] = "PROCESSING" if status == "PENDING" else "SUCCESS"
        if status in ("SUCCESS", "UNCLAIMED") and not has_left:
            moved = {"id": batch["batch_header"]["payout_batch_id"]}
            moved["amount"] = {"currency_code": amount["currency"], "value": amount["value"]}
            self._book("payout", item["payout_item"]["sender_item_id"], moved)
        ending = {"SUCCESS": "SUCCEEDED", "PENDING": "HELD"}.get(status, status)
        self._tell(f"PAYMENT.PAYOUTS-ITEM.{ending}", "payouts_item", item)

    def _book(self, kind: str, key: str, moved: Resource, parent: str = "") -> None:
        amount = moved["amount"]
        self.move(
            kind,
            key=key,
            reference=moved["id"],
            amount_minor=_minor(amount),
            currency=amount["currency_code"],
            parent=parent,
        )

    def _row(self, moved: Any) -> Resource:
        codes = {"charge": "T0006", "capture": "T0006", "refund": "T1107", "payout": "T0001"}
        sign = -1 if moved.kind in ("refund", "payout") else 1
        capture = self.captures.get(moved.reference, {})
        told = {
            "transaction_id": moved.reference,
            "transaction_event_code": codes[moved.kind],
            "transaction_amount": {
                "currency_code": moved.currency,
                "value": _text(sign * moved.amount_minor, moved.currency),
            },
            "transaction_status": "S",
            "invoice_id": moved.key,
            "custom_field": capture.get("custom_id", moved.key),
        }
        return {"transaction_info": told}

    def _shown(self, made: Resource) -> Resource:
        mine = {
            "captures": [_public(each) for each in self.captures.values() if _from(each, made)],
            "authorizations": [each for each in self.authorizations.values() if _from(each, made)],
        }
        taken = {each["id"] for each in mine["captures"]}
        mine["refunds"] = [each for each in self.refunds.values() if each["capture"] in taken]
        payments = {name: things for name, things in mine.items() if things}
        unit = made["purchase_units"][0]
        links = [
            {"rel": "self", "href": f"{self.url}/v2/checkout/orders/{made['id']}"},
            {"rel": "payer-action", "href": f"https://www.sandbox.paypal.com/checkoutnow?token={made['id']}"},
        ]
        return {
            **made,
            "purchase_units": [{**unit, **({"payments": payments} if payments else {})}],
            "links": links,
        }

    def _tell(self, event_type: str, resource_type: str, resource: Resource) -> None:
        event_id = f"WH-{_id()}-{_id()}"
        event = {
            "id": event_id,
            "event_version": "1.0",
            "create_time": self.stamp(),
            "resource_type": resource_type,
            "event_type": event_type,
            "resource": resource,
        }
        self.emit(event_id, event)


def _public(capture: Resource) -> Resource:
    return {name: value for name, value in capture.items() if name != "kind"}


def _from(thing: Resource, made: Resource) -> bool:
    return bool(thing["supplementary_data"]["related_ids"]["order_id"] == made["id"])


def _minor(amount: Resource) -> int:
    """An amount in minor units of ISO 4217, refused as PayPal refuses it."""
    currency, value = amount["currency_code"], Decimal(amount["value"])
    if value.as_tuple().exponent != (0 if currency in WHOLE else -2) or value <= 0:
        raise Refused(422, "DECIMAL_PRECISION")
    return Money.from_major(value, currency).minor


def _text(minor: int, currency: str) -> str:
    return f"{Money(minor, currency).major():.{0 if currency in WHOLE else 2}f}"


if __name__ == "__main__":
    serve(PayPalFake)
