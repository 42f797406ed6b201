"""What a pretend Stripe keeps and how: its objects, its balance, its manner of answering, refusing and signing."""

from __future__ import annotations

import hashlib
import hmac
import itertools
import re
from collections import defaultdict
from typing import Any

from tests.fakes.base import Call, Fake, Refused, Reply, Webhook

KEY = "sk_test_fake"
SECRET, CONNECT_SECRET = "whsec_account", "whsec_connect"
API_VERSION = "2026-10-28.endive"

Object = dict[str, Any]

AUTHORIZED_FOR_S = 7 * 24 * 3600


class StripeBooks(Fake):
    """Everything but Stripe's addresses. Amounts are in Stripe's units, in the journal too."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.objects: dict[str, Object] = {}
        self.balance: dict[str, int] = defaultdict(int)
        """What the platform has with Stripe, in Stripe's units by currency."""
        self.account_balance: dict[str, int] = defaultdict(int)
        """What a connected account has, of one currency."""
        self.settles_in = ""
        """The platform's own currency with Stripe; empty: each currency settles in itself."""
        self.rate = 1.0
        self._ids = itertools.count(1)

    # The manner of Stripe.

    def error(self, refused: Refused) -> Reply:
        kinds = {402: "card_error", 429: "rate_limit_error", 500: "api_error"}
        body = {
            "type": refused.more.get("type", kinds.get(refused.status, "invalid_request_error")),
            "code": refused.code,
            "message": refused.message or refused.code,
        }
        body |= {name: value for name, value in refused.more.items() if name != "type"}
        return Reply({"error": body}, refused.status, {"Request-Id": f"req_{next(self._ids)}"})

    def reused(self, call: Call) -> Refused:
        return Refused(400, "idempotency_key_in_use", type="idempotency_error")

    def replayed_headers(self) -> dict[str, str]:
        return {"Idempotent-Replayed": "true"}

    def remembers(self, reply: Reply) -> bool:
        """What was refused before anything began is not kept."""
        return reply.status not in (400, 401, 403, 404)

    def sign(self, webhook: Webhook, *, forged: bool = False) -> dict[str, str]:
        secret = "whsec_wrong" if forged else CONNECT_SECRET if webhook.channel == "connect" else SECRET
        stamp = str(self.now())
        mac = hmac.new(secret.encode(), stamp.encode() + b"." + webhook.body, hashlib.sha256)
        return {"Stripe-Signature": f"t={stamp},v1={mac.hexdigest()}"}

    def _handle(self, call: Call) -> Reply:
        try:
            self._admit(call)
        except Refused as refused:
            return self.error(refused)
        return super()._handle(call)

    def _admit(self, call: Call) -> None:
        if call.headers.get("authorization") != f"Bearer {KEY}":
            raise Refused(401, "api_key_invalid")
        if call.headers.get("stripe-version") != API_VERSION:
            raise Refused(400, "api_version_unknown")

    def _given(self, call: Call) -> Object:
        return _nested({**call.query, **call.form()} if call.method == "POST" else call.query)

    def _positive(self, given: Object) -> int:
        amount = int(given["amount"])
        if amount < 1:
            raise Refused(400, "parameter_invalid_integer", param="amount")
        if given["currency"] in ("isk", "ugx") and amount % 100:
            raise Refused(400, "invalid_amount", param="amount")
        if given["currency"] in ("kwd", "bhd", "jod", "omr", "tnd") and amount % 10:
            raise Refused(400, "invalid_amount", param="amount")
        return amount

    def _id(self, kind: str) -> str:
        return f"{kind}_fake{next(self._ids):08d}"

    def _keep(self, id_: str, kind: str, **values: Any) -> Object:
        found = {"id": id_, "object": kind, "created": self.now(), "livemode": False, **values}
        self.objects[id_] = found
        return found

    def _of(self, kind: str) -> list[Object]:
        return [each for each in self.objects.values() if each["object"] == kind]

    def _get(self, id_: str, kind: str) -> Object:
        found = self.objects.get(id_)
        if found is None or found["object"] != kind:
            raise Refused(404, "resource_missing", param="id", message=f"No such {kind}: {id_}")
        return found

    def _say(self, found: Object, given: Object) -> Reply:
        return Reply(self._expanded(found, given))

    def _list(self, kind: str, call: Call) -> Reply:
        given = self._given(call)
        since = int(given.get("created", {}).get("gte", 0))
        owner = call.headers.get("stripe-account")
        found = [
            each
            for each in reversed(self._of(kind))
            if each["created"] >= since and each.get("owner") == owner
        ]
        for name in ("payment_intent", "destination", "transfer_group", "payout"):
            if name in given:
                found = [each for each in found if each.get(name) == given[name]]
        if "starting_after" in given:
            ids = [each["id"] for each in found]
            found = found[ids.index(given["starting_after"]) + 1 :]
        page = found[: int(given.get("limit", 10))]
        data = [self._expanded(each, given, "data.") for each in page]
        return Reply({"object": "list", "url": call.path, "data": data, "has_more": len(found) > len(page)})

    def _expanded(self, found: Object, given: Object, prefix: str = "") -> Object:
        paths = given.get("expand", {})
        asked = [
            str(path).removeprefix(prefix) for path in (paths.values() if isinstance(paths, dict) else paths)
        ]
        return self._expand(found, asked)

    def _expand(self, found: Object, paths: list[str]) -> Object:
        out = dict(found)
        for path in paths:
            name, _dot, rest = path.partition(".")
            value = out.get(name)
            if isinstance(value, str) and value in self.objects:
                value = dict(self.objects[value])
            if isinstance(value, dict):
                out[name] = self._expand(value, [rest] if rest else [])
        return out

    def _charge(self, intent: Object) -> None:
        """The card is good: the amount is taken, or set aside."""
        is_manual = intent["capture_method"] == "manual"
        charge = self._keep(
            self._id("ch"),
            "charge",
            amount=intent["amount"],
            amount_captured=0,
            amount_refunded=0,
            currency=intent["currency"],
            captured=False,
            disputed=False,
            status="succeeded",
            payment_intent=intent["id"],
            metadata=dict(intent["metadata"]),
            payment_method_details={"type": "card", "card": {"brand": "visa", "last4": "4242"}},
            balance_transaction=None,
        )
        intent["latest_charge"] = charge["id"]
        if not is_manual:
            self._take(intent, intent["amount"], "charge", intent["metadata"].get("karibu_op", ""))
            return
        intent |= {"status": "requires_capture", "amount_capturable": intent["amount"]}
        self._event("payment_intent.amount_capturable_updated", intent)

    def _take(self, intent: Object, amount: int, kind: str, key: str) -> None:
        charge = self.objects[intent["latest_charge"]]
        charge |= {"captured": True, "amount_captured": amount}
        fee = amount * 29 // 1000 + 30
        charge["balance_transaction"] = self._balance(
            "charge", charge["id"], amount, intent["currency"], fee=fee
        )
        intent |= {"status": "succeeded", "amount_received": amount, "amount_capturable": 0}
        self._money(kind, key, intent["id"], amount, intent["currency"])
        self._event("payment_intent.succeeded", intent)
        self._event("charge.succeeded", charge)

    def _expire(self, intent: Object) -> None:
        if intent["status"] == "requires_capture":
            charge = self.objects[intent["latest_charge"]]
            if self.now() - charge["created"] > AUTHORIZED_FOR_S:
                self._cancel(intent, "automatic")

    def _cancel(self, intent: Object, reason: str | None) -> None:
        intent |= {"status": "canceled", "cancellation_reason": reason, "amount_capturable": 0}
        self._event("payment_intent.canceled", intent)

    def _refund(self, charge: Object, amount: int, metadata: Object, key: str) -> Object:
        id_ = self._id("re")
        charge["amount_refunded"] += amount
        refund = self._keep(
            id_,
            "refund",
            amount=amount,
            currency=charge["currency"],
            charge=charge["id"],
            payment_intent=charge["payment_intent"],
            metadata=metadata,
            status="succeeded",
            failure_reason=None,
            balance_transaction=self._balance("refund", id_, -amount, charge["currency"]),
        )
        self._money("refund", key, id_, amount, charge["currency"])
        self._event("refund.created", refund)
        self._event("charge.refunded", charge)
        return refund

    def _reverse(self, transfer: Object, amount: int, metadata: Object, key: str) -> Object:
        id_ = self._id("trr")
        reversal = self._keep(
            id_,
            "transfer_reversal",
            amount=amount,
            currency=transfer["currency"],
            transfer=transfer["id"],
            metadata=metadata,
            balance_transaction=self._balance("transfer_refund", id_, amount, transfer["currency"]),
        )
        self.account_balance[transfer["destination"]] -= amount
        transfer["amount_reversed"] += amount
        transfer["reversed"] = transfer["amount_reversed"] == transfer["amount"]
        transfer["reversals"]["data"].append(reversal)
        self._money("reversal", key, id_, amount, transfer["currency"])
        self._event("transfer.reversed", transfer)
        return reversal

    def _balance(self, kind: str, source: str, amount: int, currency: str, fee: int = 0) -> str:
        """A movement of the platform's balance, in the currency that it settles in."""
        settled = self.settles_in or currency
        if settled != currency:
            amount, fee = round(amount * self.rate), round(fee * self.rate)
        self.balance[settled] += amount - fee
        entry = self._keep(self._id("txn"), "balance_transaction", type=kind, amount=amount, fee=fee)
        entry |= {"net": amount - fee, "currency": settled, "source": source}
        return str(entry["id"])

    def _money(self, kind: str, key: str, reference: str, amount: int, currency: str) -> None:
        self.move(kind, key=key, reference=reference, amount_minor=amount, currency=currency)

    def _event(self, type_: str, about: Object, account: str = "") -> None:
        id_ = self._id("evt")
        event = {
            "id": id_,
            "object": "event",
            "api_version": API_VERSION,
            "created": self.now(),
            "type": type_,
            "livemode": False,
            "data": {"object": about},
            **({"account": account} if account else {}),
        }
        self.emit(id_, event, channel="connect" if account else "")


def _nested(flat: dict[str, str]) -> Object:
    """``a[b][c]=1`` as a tree; ``expand[0]`` too is kept by its number."""
    tree: Object = {}
    for name, value in flat.items():
        parts = [part for part in re.split(r"[\[\]]+", name) if part]
        at = tree
        for part in parts[:-1]:
            at = at.setdefault(part, {})
        at[parts[-1]] = value
    return tree
