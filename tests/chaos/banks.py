"""Stripe, PayPal and M-Pesa at once: each place is paid by one of them, and its host is paid by the same."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from backend.listings.models import Listing
from backend.payments.models import MoneyOp, Payment
from tests.chaos.people import PATIENCE_S, Person, Plan
from tests.chaos.run import listing_of
from tests.chaos.stripe import FAULTS, TIMEOUT_S, WEBHOOKS, Bank, bank
from tests.chaos.truth import Holdings, Moved
from tests.factories import make_user
from tests.fakes import daraja, paypal, process
from tests.fakes.process import Remote

WAYS = ("stripe", "paypal", "mpesa")

OF_MPESA = ("b2c", "reversal")
"""M-Pesa's words for what may be a payout or a refund: which, our operation says."""


@dataclass(frozen=True, slots=True)
class Banks:
    """The three as they are seen from outside, and the settings that lead there."""

    stripe: Bank
    paypal: Remote
    daraja: Remote

    @property
    def settings(self) -> dict[str, Any]:
        return {**self.stripe.settings, **self._wallets, "ALLOW_LOOPBACK_FETCH": True}

    @property
    def environment(self) -> dict[str, str]:
        return {**self.stripe.environment, **self._wallets, "ALLOW_LOOPBACK_FETCH": "1"}

    @property
    def _wallets(self) -> dict[str, str]:
        return {
            "PAYPAL_API_BASE": self.paypal.url,
            "PAYPAL_CLIENT_ID": paypal.CLIENT,
            "PAYPAL_SECRET": paypal.SECRET,
            "PAYPAL_WEBHOOK_ID": paypal.WEBHOOK_ID,
            "MPESA_API_BASE": self.daraja.url,
            "MPESA_CONSUMER_KEY": daraja.KEY,
            "MPESA_CONSUMER_SECRET": daraja.SECRET,
            "MPESA_SHORT_CODE": daraja.SHORT_CODE,
            "MPESA_PAYOUT_SHORT_CODE": daraja.SHORT_CODE,
            "MPESA_PASSKEY": daraja.PASSKEY,
            "MPESA_INITIATOR": daraja.INITIATOR,
            "MPESA_SECURITY_CREDENTIAL": daraja.CREDENTIAL,
        }

    def go_mad(self, url: str, seed: int) -> None:
        self.stripe.go_mad(url, seed)
        for remote, on in ((self.paypal, "/v"), (self.daraja, "/mpesa/")):
            remote.faults(random=FAULTS, seed=seed, on=on, patience_s=TIMEOUT_S)
        self.paypal.webhooks(f"{url}/api/webhooks/paypal/", WEBHOOKS)
        self.daraja.webhooks("", WEBHOOKS, detour=url)

    def calm(self) -> None:
        for remote in (self.stripe.remote, self.paypal, self.daraja):
            remote.faults(clear=True)
        # Whoever has not looked at their phone until now does not any more.
        self.daraja.act("answer_all", 1037)

    def listings(self, count: int) -> list[Listing]:
        """A third of the places for each way to pay, of hosts of their own; M-Pesa sets nothing aside for requests."""
        hosts = [make_user() for _ in range(3 * max(1, count // 6))]
        return [
            listing_of(hosts[number % len(hosts)], number, **_terms(number % 3, number))
            for number in range(count)
        ]

    def welcome(self, host: Person) -> None:
        way = way_of(Listing.objects.filter(host=host.user).first())
        if way == "stripe":
            self.stripe.welcome(host)
            return
        given = {"provider": "paypal", "currency": "EUR", "destination": host.user.email}
        if way == "mpesa":
            given = {"provider": "mpesa", "currency": "KES", "country": "KE"}
            given["destination"] = f"+254{_phone(host)[1:]}"
        answer = host.ask("POST", "/api/payout-accounts/", given)
        assert answer.status_code == 201, answer.text

    def let_everybody_in(self) -> None:
        self.stripe.let_everybody_in()

    def pay(self, guest: Person, plan: Plan) -> None:
        way = way_of(plan.listing)
        if way == "stripe":
            self.stripe.pay(guest, plan)
            return
        if way == "paypal":
            self._approve(guest, plan)
        else:
            self._answer(guest, plan)

    def decide(self) -> None:
        self.stripe.decide()
        words = ("RESOLVED_SELLER_FAVOUR", "RESOLVED_BUYER_FAVOUR")
        for number, (name, verdict) in enumerate(sorted(self.paypal.act("verdicts").items())):
            if not verdict:
                self.paypal.act("decide_dispute", name, words[number % 2])

    def send_back(self) -> int:
        return self.stripe.send_back()

    def journal(self) -> list[Moved]:
        """The money that all of them have really moved."""
        moved = self.stripe.journal()
        moved += [(each.key, each.kind, each.amount_minor, each.currency) for each in self.paypal.movements()]
        kinds = {str(pk): kind for pk, kind in MoneyOp.objects.values_list("pk", "kind")}
        for each in self.daraja.movements():
            kind = kinds.get(each.key, each.kind) if each.kind in OF_MPESA else each.kind
            moved.append((each.key, kind, each.amount_minor, each.currency))
        return moved

    def holds(self) -> Holdings:
        signs = {"charge": 1, "b2c": -1, "reversal": -1}
        shillings = sum(signs[each.kind] * each.amount_minor for each in self.daraja.movements())
        euros = self.paypal.act("holds", "EUR")
        return {**self.stripe.holds(), ("paypal", "EUR"): euros, ("mpesa", "KES"): shillings}

    def verdicts(self) -> dict[tuple[str, str], str]:
        theirs = {("paypal", name): verdict for name, verdict in self.paypal.act("verdicts").items()}
        return {**self.stripe.verdicts(), **theirs}

    def _approve(self, guest: Person, plan: Plan) -> None:
        """Approve the order at PayPal, once there is a page to do it on; perhaps dispute what was paid."""
        deadline = time.monotonic() + PATIENCE_S / 3
        while not self._ask(guest, plan, {"provider": "paypal"}).get("approval_url"):
            if time.monotonic() > deadline:
                plan.log.append("goes home")
                return
            time.sleep(0.3)
        key = "" if plan.outcome == "timeout" else self._do(plan, self.paypal, "approve")
        while key and plan.dispute and not plan.asks_first and time.monotonic() < deadline:
            # The order's money is taken by us, once we have heard of it.
            capture = self.paypal.act("captured", key)
            if capture:
                self.paypal.act("open_dispute", capture)
                plan.log.append("disputed")
                return
            time.sleep(0.3)

    def _answer(self, guest: Person, plan: Plan) -> None:
        """Answer the prompt: with the PIN, after it was canceled and asked for once more, or never."""
        given = {"provider": "mpesa", "phone": _phone(guest)}
        self._ask(guest, plan, given)
        if plan.outcome == "timeout":
            plan.log.append("does not look")
            return
        canceled = ""
        if plan.outcome == "decline":
            canceled = self._do(plan, self.daraja, "answer", 1032)
            self._ask(guest, plan, given)
        self._do(plan, self.daraja, "answer", besides=canceled)

    @staticmethod
    def _ask(guest: Person, plan: Plan, given: dict[str, str]) -> dict[str, Any]:
        answer = guest.ask("POST", f"/api/bookings/{plan.booking_id}/pay/", given)
        plan.log.append(f"pay {answer.status_code}")
        said: dict[str, Any] = answer.json()
        return said

    @staticmethod
    def _do(plan: Plan, remote: Remote, verb: str, *more: Any, besides: str = "") -> str:
        """Do something with the newest payment as soon as the provider has heard of it; its key, or empty."""
        for _try in range(20):
            newest = (
                Payment.objects.filter(folio__booking=plan.booking_id, kind="payment").order_by("id").last()
            )
            op = MoneyOp.objects.filter(payment=newest).order_by("created_at").first()
            try:
                if op is not None and str(op.pk) != besides:
                    remote.act(verb, str(op.pk), *more)
                    plan.log.append(verb)
                    return str(op.pk)
            except httpx.HTTPError:
                # It has not: the request was lost, or is still to come.
                plan.log.append(f"{verb}: not yet")
            time.sleep(0.2)
        return ""


def way_of(listing: Listing | None) -> str:
    """How a place is paid for."""
    assert listing is not None
    return listing.title


def _terms(way: int, number: int) -> dict[str, Any]:
    terms: dict[str, Any] = {"title": WAYS[way]}
    if WAYS[way] == "mpesa":
        shillings = {"price_minor": 400_000 + 10_000 * number, "cleaning_fee_minor": 250_000}
        terms |= {"currency": "KES", "country": "KE", "instant_book": True, **shillings}
    return terms


def _phone(person: Person) -> str:
    return f"07{person.user.pk:08d}"


@contextmanager
def banks() -> Iterator[Banks]:
    """The three with money on their side; they outlive everybody."""
    with (
        bank() as stripe,
        process.started("tests.fakes.paypal") as wallet,
        process.started("tests.fakes.daraja") as phones,
    ):
        yield Banks(stripe, wallet, phones)
