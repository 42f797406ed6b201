"""A pretend Stripe: intents, refunds, transfers, connected accounts, disputes, balance, signed webhooks.

It refuses what Stripe refuses, keeps its units and its codes, and forgets nothing under a key. ``python -m
tests.fakes.stripe --port 4242 --webhooks URL`` runs it by itself.
"""

from __future__ import annotations

import re

from tests.fakes.base import Call, Refused, Reply, act, on
from tests.fakes.process import serve
from tests.fakes.stripe_books import CONNECT_SECRET, KEY, SECRET, StripeBooks

__all__ = ["CONNECT_SECRET", "KEY", "SECRET", "StripeFake"]

WAITING = ("requires_payment_method", "requires_confirmation", "requires_action")


class StripeFake(StripeBooks):
    """Stripe on loopback: its addresses, and what guests, banks and Stripe's own staff do."""

    name = "stripe"

    # Payments.

    @on("POST", "/v1/payment_intents")
    def create_intent(self, call: Call) -> Reply:
        given = self._given(call)
        amount = self._positive(given)
        id_ = self._id("pi")
        intent = self._keep(
            id_,
            "payment_intent",
            amount=amount,
            amount_capturable=0,
            amount_received=0,
            currency=given["currency"],
            capture_method=given.get("capture_method", "automatic_async"),
            client_secret=f"{id_}_secret_{next(self._ids)}",
            status="requires_payment_method",
            metadata=given.get("metadata", {}),
            transfer_group=given.get("transfer_group"),
            latest_charge=None,
            cancellation_reason=None,
            last_payment_error=None,
        )
        self._event("payment_intent.created", intent)
        return self._say(intent, given)

    @on("GET", "/v1/payment_intents/search")
    def search_intents(self, call: Call) -> Reply:
        given = self._given(call)
        asked = re.fullmatch(r"metadata\['(\w+)'\]:'([^']*)'", given["query"])
        if asked is None:
            raise Refused(400, "parameter_invalid", param="query")
        name, value = asked.groups()
        found = [each for each in self._of("payment_intent") if each["metadata"].get(name) == value]
        return Reply(
            {
                "object": "search_result",
                "data": [self._expanded(each, given) for each in found],
                "has_more": False,
            }
        )

    @on("GET", "/v1/payment_intents/{id}")
    def get_intent(self, call: Call, id: str) -> Reply:
        return self._say(self._get(id, "payment_intent"), self._given(call))

    @on("GET", "/v1/payment_intents")
    def list_intents(self, call: Call) -> Reply:
        return self._list("payment_intent", call)

    @on("POST", "/v1/payment_intents/{id}/capture")
    def capture(self, call: Call, id: str) -> Reply:
        given, intent = self._given(call), self._get(id, "payment_intent")
        self._expire(intent)
        if intent["status"] != "requires_capture":
            raise Refused(400, "payment_intent_unexpected_state", payment_intent=intent)
        amount = int(given.get("amount_to_capture", intent["amount_capturable"]))
        if amount > intent["amount_capturable"]:
            raise Refused(400, "amount_too_large", param="amount_to_capture")
        intent["metadata"] |= given.get("metadata", {})
        self._take(intent, amount, "capture", self.key_of(call))
        return self._say(intent, given)

    @on("POST", "/v1/payment_intents/{id}/cancel")
    def cancel(self, call: Call, id: str) -> Reply:
        given, intent = self._given(call), self._get(id, "payment_intent")
        self._expire(intent)
        if intent["status"] not in (*WAITING, "requires_capture"):
            raise Refused(400, "payment_intent_unexpected_state", payment_intent=intent)
        self._cancel(intent, given.get("cancellation_reason"))
        return self._say(intent, given)

    @on("POST", "/v1/refunds")
    def create_refund(self, call: Call) -> Reply:
        given = self._given(call)
        intent = self._get(given["payment_intent"], "payment_intent")
        charge = self.objects.get(intent["latest_charge"] or "", {})
        if not charge.get("captured"):
            raise Refused(400, "charge_not_captured", param="payment_intent")
        if charge["disputed"]:
            raise Refused(400, "charge_disputed")
        left = charge["amount_captured"] - charge["amount_refunded"]
        amount = int(given.get("amount", left))
        if not left:
            raise Refused(400, "charge_already_refunded")
        if amount > left:
            raise Refused(400, "", param="amount", message="Refund amount is greater than unrefunded amount")
        refund = self._refund(charge, amount, given.get("metadata", {}), self.key_of(call))
        return self._say(refund, given)

    @on("GET", "/v1/refunds/{id}")
    def get_refund(self, call: Call, id: str) -> Reply:
        return self._say(self._get(id, "refund"), self._given(call))

    @on("GET", "/v1/refunds")
    def list_refunds(self, call: Call) -> Reply:
        return self._list("refund", call)

    @on("GET", "/v1/disputes/{id}")
    def get_dispute(self, call: Call, id: str) -> Reply:
        return self._say(self._get(id, "dispute"), self._given(call))

    @on("GET", "/v1/disputes")
    def list_disputes(self, call: Call) -> Reply:
        return self._list("dispute", call)

    @on("POST", "/v1/disputes/{id}")
    def answer_dispute(self, call: Call, id: str) -> Reply:
        given, found = self._given(call), self._get(id, "dispute")
        if found["status"] not in ("needs_response", "warning_needs_response"):
            raise Refused(400, "dispute_closed", message="This dispute is already closed")
        if found.get("submitted"):
            raise Refused(400, "evidence_submitted", message="Evidence was submitted already")
        found["evidence"] = {**found.get("evidence", {}), **given.get("evidence", {})}
        found["metadata"] = {**found.get("metadata", {}), **given.get("metadata", {})}
        if given.get("submit") in (True, "true"):
            found |= {"submitted": True, "status": "under_review"}
            self._event("charge.dispute.updated", found)
        return self._say(found, given)

    @on("POST", "/v1/disputes/{id}/close")
    def close_dispute(self, call: Call, id: str) -> Reply:
        found = self._get(id, "dispute")
        if found["status"] not in ("needs_response", "warning_needs_response"):
            raise Refused(400, "dispute_closed", message="This dispute is already closed")
        found["status"] = "lost"
        self._event("charge.dispute.closed", found)
        return self._say(found, self._given(call))

    # Hosts.

    @on("POST", "/v1/accounts")
    def create_account(self, call: Call) -> Reply:
        given = self._given(call)
        if given.get("country") in ("KE", "TZ"):
            raise Refused(400, "country_unsupported", param="country")
        account = self._keep(
            self._id("acct"),
            "account",
            email=given.get("email"),
            country=given.get("country", "DE"),
            default_currency="eur",
            capabilities={"transfers": "inactive"},
            details_submitted=False,
            payouts_enabled=False,
            charges_enabled=False,
            metadata=given.get("metadata", {}),
            external_accounts={"object": "list", "data": []},
            requirements={
                "currently_due": ["external_account", "individual.verification.document"],
                "past_due": [],
                "disabled_reason": "requirements.past_due",
            },
        )
        return self._say(account, given)

    @on("GET", "/v1/accounts/{id}")
    def get_account(self, call: Call, id: str) -> Reply:
        if self._get(id, "account").get("left"):
            raise Refused(403, "account_invalid")
        return self._say(self._get(id, "account"), self._given(call))

    @on("DELETE", "/v1/accounts/{id}")
    def delete_account(self, call: Call, id: str) -> Reply:
        account = self._get(id, "account")
        if account.get("left"):
            raise Refused(403, "account_invalid")
        if self.account_balance[id]:
            raise Refused(400, "account_has_balance")
        account["left"] = True
        account["email"] = None
        return Reply({"id": id, "object": "account", "deleted": True})

    @on("POST", "/v1/account_links")
    def create_link(self, call: Call) -> Reply:
        given = self._given(call)
        self._get(given["account"], "account")
        url = f"{self.url}/onboarding/{given['account']}?n={next(self._ids)}"
        return Reply({"object": "account_link", "url": url, "expires_at": self.now() + 300})

    @on("POST", "/v1/transfers")
    def create_transfer(self, call: Call) -> Reply:
        given = self._given(call)
        amount, currency = self._positive(given), given["currency"]
        account = self._get(given["destination"], "account")
        if account["capabilities"]["transfers"] != "active":
            raise Refused(400, "insufficient_capabilities_for_transfer")
        if self.balance[currency] < amount:
            raise Refused(400, "balance_insufficient")
        id_, payment = self._id("tr"), self._id("py")
        transfer = self._keep(
            id_,
            "transfer",
            amount=amount,
            amount_reversed=0,
            currency=currency,
            destination=account["id"],
            destination_payment=payment,
            metadata=given.get("metadata", {}),
            transfer_group=given.get("transfer_group"),
            reversed=False,
            reversals={"object": "list", "data": []},
        )
        self._keep(
            payment, "charge", amount=amount, currency=currency, source_transfer=id_, owner=account["id"]
        )
        transfer["balance_transaction"] = self._balance("transfer", id_, -amount, currency)
        self.account_balance[account["id"]] += amount
        self._money("transfer", self.key_of(call), id_, amount, currency)
        self._event("transfer.created", transfer)
        return self._say(transfer, given)

    @on("GET", "/v1/transfers/{id}")
    def get_transfer(self, call: Call, id: str) -> Reply:
        return self._say(self._get(id, "transfer"), self._given(call))

    @on("GET", "/v1/transfers")
    def list_transfers(self, call: Call) -> Reply:
        return self._list("transfer", call)

    @on("POST", "/v1/transfers/{id}/reversals")
    def create_reversal(self, call: Call, id: str) -> Reply:
        given, transfer = self._given(call), self._get(id, "transfer")
        amount = int(given.get("amount", transfer["amount"]))
        if amount > transfer["amount"] - transfer["amount_reversed"]:
            raise Refused(400, "", param="amount")
        if self.account_balance[transfer["destination"]] < amount:
            raise Refused(400, "balance_insufficient")
        return self._say(self._reverse(transfer, amount, given.get("metadata", {}), self.key_of(call)), given)

    @on("GET", "/v1/transfers/{id}/reversals")
    def list_reversals(self, call: Call, id: str) -> Reply:
        return Reply({**self._get(id, "transfer")["reversals"], "has_more": False, "url": call.path})

    @on("GET", "/v1/payouts/{id}")
    def get_payout(self, call: Call, id: str) -> Reply:
        payout = self._get(id, "payout")
        if payout["owner"] != call.headers.get("stripe-account"):
            raise Refused(404, "resource_missing", param="id")
        return self._say(payout, self._given(call))

    @on("GET", "/v1/balance_transactions")
    def list_balance(self, call: Call) -> Reply:
        return self._list("balance_transaction", call)

    # What others do.

    @act
    def confirm(self, intent: str, card: str = "ok") -> str:
        """The guest confirms with a card: ``ok``, ``declined``, ``sca`` (asked for a second factor), ``slow``."""
        with self.lock:
            found = self._get(intent, "payment_intent")
            if found["status"] not in WAITING:
                raise AssertionError(f"{intent} is {found['status']}")
            if card == "declined":
                found["status"] = "requires_payment_method"
                found["last_payment_error"] = {"code": "card_declined", "decline_code": "insufficient_funds"}
                self._event("payment_intent.payment_failed", found)
            elif card in ("sca", "slow"):
                found["status"] = "requires_action" if card == "sca" else "processing"
                self._event(f"payment_intent.{found['status']}", found)
            else:
                self._charge(found)
            return str(found["status"])

    @act
    def confirm_all(self) -> int:
        """Every guest who has an open intent confirms it."""
        with self.lock:
            waiting = [each["id"] for each in self._of("payment_intent") if each["status"] in WAITING]
            for intent in waiting:
                self.confirm(intent)
            return len(waiting)

    @act
    def arrive(self, intent: str) -> None:
        """A payment that was ``slow`` is through."""
        with self.lock:
            found = self._get(intent, "payment_intent")
            found["status"] = "requires_action"
            self._charge(found)

    @act
    def expire(self, intent: str) -> None:
        """As seven days later: what was set aside is let go."""
        with self.lock:
            self._cancel(self._get(intent, "payment_intent"), "automatic")

    @act
    def refund_fails(self, refund: str, reason: str = "expired_or_canceled_card") -> None:
        """The guest's bank sends a refund back."""
        with self.lock:
            found = self._get(refund, "refund")
            charge = self.objects[found["charge"]]
            charge["amount_refunded"] -= found["amount"]
            back = self._balance("refund_failure", refund, found["amount"], found["currency"])
            found |= {"status": "failed", "failure_reason": reason, "failure_balance_transaction": back}
            self._money("refund_failure", "", refund, found["amount"], found["currency"])
            self._event("refund.failed", found)

    @act
    def refund_by_hand(self, intent: str, amount: int) -> str:
        """Somebody refunds in Stripe's dashboard."""
        with self.lock:
            charge = self.objects[self._get(intent, "payment_intent")["latest_charge"]]
            return str(self._refund(charge, amount, {}, "")["id"])

    @act
    def dispute(self, intent: str, reason: str = "fraudulent", fee: int = 1500) -> str:
        """The guest's bank takes the payment back for now."""
        with self.lock:
            paid = self._get(intent, "payment_intent")
            charge = self.objects[paid["latest_charge"]]
            charge["disputed"] = True
            id_ = self._id("dp")
            taken = self._balance("adjustment", id_, -charge["amount"], charge["currency"], fee=fee)
            found = self._keep(
                id_,
                "dispute",
                amount=charge["amount"],
                currency=charge["currency"],
                charge=charge["id"],
                payment_intent=intent,
                reason=reason,
                status="needs_response",
                evidence_details={"due_by": self.now() + 7 * 24 * 3600},
                balance_transactions=[self.objects[taken]],
            )
            self._event("charge.dispute.created", found)
            self._event("charge.dispute.funds_withdrawn", found)
            return id_

    @act
    def dispute_moves(self, dispute: str, status: str) -> None:
        """``under_review``, ``won`` (the money and the fee come back) or ``lost``."""
        with self.lock:
            found = self._get(dispute, "dispute")
            found["status"] = status
            if status == "won":
                fee = found["balance_transactions"][0]["fee"]
                back = self._balance("adjustment", dispute, found["amount"], found["currency"], fee=-fee)
                found["balance_transactions"].append(self.objects[back])
                self.objects[found["charge"]]["disputed"] = False
                self._event("charge.dispute.funds_reinstated", found)
            self._event(
                "charge.dispute.closed" if status in ("won", "lost") else "charge.dispute.updated", found
            )

    @act
    def onboard(self, account: str, last4: str = "6789") -> None:
        """The host has given all papers."""
        with self.lock:
            found = self._get(account, "account")
            found |= {"details_submitted": True, "payouts_enabled": True}
            found["capabilities"]["transfers"] = "active"
            found["requirements"] = {"currently_due": [], "past_due": [], "disabled_reason": None}
            found["external_accounts"]["data"] = [{"id": "ba_1", "bank_name": "TEST BANK", "last4": last4}]
            self._event("account.updated", found, account=account)

    @act
    def restrict(
        self,
        account: str,
        due: str = "individual.verification.document",
        reason: str = "requirements.past_due",
    ) -> None:
        """Stripe wants another paper, or (``rejected.fraud``) nothing more to do with the host."""
        with self.lock:
            found = self._get(account, "account")
            found["payouts_enabled"] = False
            found["requirements"] = {"currently_due": [due], "past_due": [due], "disabled_reason": reason}
            self._event("account.updated", found, account=account)

    @act
    def disconnect(self, account: str) -> None:
        """The host takes our access away."""
        with self.lock:
            self._get(account, "account")["left"] = True
            self._event("account.application.deauthorized", {"id": "ca_1"}, account=account)

    @act
    def pay_bank(self, account: str, status: str = "paid") -> str:
        """What lies on a connected account goes to its bank, in one payout."""
        with self.lock:
            id_ = self._id("po")
            there = [
                each for each in self._of("charge") if each.get("owner") == account and not each.get("payout")
            ]
            amount = self.account_balance.pop(account, 0)
            payout = self._keep(
                id_, "payout", amount=amount, currency="eur", status=status, owner=account, automatic=True
            )
            for each in there:
                each["payout"] = id_
                entry = self._keep(
                    self._id("txn"), "balance_transaction", type="payment", amount=each["amount"]
                )
                entry |= {
                    "currency": each["currency"],
                    "fee": 0,
                    "source": each["id"],
                    "payout": id_,
                    "owner": account,
                }
            self._event(f"payout.{status}", payout, account=account)
            return id_

    @act
    def holds(self, currency: str) -> int:
        """What is on the platform's balance, in Stripe's units."""
        with self.lock:
            return self.balance[currency.lower()]

    @act
    def verdicts(self) -> dict[str, str]:
        """Dispute → how it stands."""
        with self.lock:
            return {each["id"]: each["status"] for each in self._of("dispute")}

    @act
    def fund(self, currency: str, amount: int) -> None:
        """Put money on the platform's balance, in Stripe's units."""
        with self.lock:
            self.balance[currency.lower()] += amount


if __name__ == "__main__":
    serve(StripeFake)
