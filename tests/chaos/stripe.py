"""The same journey through Stripe: a pretend one in a process of its own, on a bad line, with webhooks that get lost."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from backend.listings.models import Listing
from backend.payments.models import MoneyOp, PayoutAccount
from tests.chaos.people import PATIENCE_S, Person, Plan
from tests.chaos.run import listings_in_euro
from tests.chaos.truth import Moved
from tests.fakes import process
from tests.fakes.base import Plan as Webhooks
from tests.fakes.process import Remote
from tests.fakes.stripe_books import CONNECT_SECRET, KEY, SECRET

FAULTS = {
    **{"timeout_after": 0.08, "timeout_before": 0.05, "reset_after": 0.06, "reset_before": 0.05},
    **{"error_after": 0.05, "error_before": 0.04, "error_kept": 0.02, "throttled": 0.03, "garbage": 0.02},
}
"""Two calls in five go wrong, half of these after they were carried out."""

TIMEOUT_S = 0.4

WEBHOOKS = Webhooks(dropped=0.3, doubled=0.2, forged=0.05, late_s=1.0)

FUNDS = 10**9
"""What was on the platform's balance before, in cents."""

OURS = {"transfer": "payout", "reversal": "reverse"}
"""The fake's words for what we call otherwise."""


@dataclass(frozen=True, slots=True)
class Bank:
    """Stripe as it is seen from outside, and the settings that lead there."""

    remote: Remote

    @property
    def environment(self) -> dict[str, str]:
        return {
            "STRIPE_API_BASE": self.remote.url,
            "STRIPE_SECRET_KEY": KEY,
            "STRIPE_WEBHOOK_SECRET": f"{SECRET},{CONNECT_SECRET}",
        }

    @property
    def settings(self) -> dict[str, Any]:
        """The same for the process that watches."""
        return {
            "STRIPE_API_BASE": self.remote.url,
            "STRIPE_SECRET_KEY": KEY,
            "STRIPE_WEBHOOK_SECRETS": (SECRET, CONNECT_SECRET),
        }

    def journal(self) -> list[Moved]:
        """The money that it has really moved."""
        return [
            (each.key, OURS.get(each.kind, each.kind), each.amount_minor, each.currency)
            for each in self.remote.movements()
            if each.kind != "refund_failure"
        ]

    def holds(self) -> dict[tuple[str, str], int]:
        """What it has of ours, by provider and currency."""
        return {("stripe", "EUR"): self.remote.act("holds", "EUR") - FUNDS}

    def verdicts(self) -> dict[tuple[str, str], str]:
        """How the disputes stand, by provider and reference."""
        return {("stripe", name): status for name, status in self.remote.act("verdicts").items()}

    def decide(self) -> None:
        """The banks decide all disputes: every second one for us."""
        for number, (name, status) in enumerate(sorted(self.remote.act("verdicts").items())):
            if status not in ("won", "lost"):
                self.remote.act("dispute_moves", name, ("won", "lost")[number % 2])

    def send_back(self) -> int:
        """Every fifth refund that is with a guest comes back; how many."""
        done = MoneyOp.objects.filter(provider="stripe", kind="refund", state="succeeded")
        returned = list(done.order_by("created_at").values_list("provider_ref", flat=True))[::5]
        for reference in returned:
            self.remote.act("refund_fails", reference)
        return len(returned)

    def listings(self, count: int) -> list[Listing]:
        return listings_in_euro(count)

    def go_mad(self, url: str, seed: int) -> None:
        """From now on calls and webhooks (to the server at ``url``) go wrong."""
        self.remote.faults(random=FAULTS, seed=seed, on="/v1/", patience_s=TIMEOUT_S)
        self.remote.webhooks(f"{url}/api/webhooks/stripe/", WEBHOOKS)

    def calm(self) -> None:
        """Every call is answered from now on; the webhooks that were lost stay so."""
        self.remote.faults(clear=True)

    def welcome(self, host: Person) -> None:
        """Open an account and give all papers, where Stripe has answered."""
        answer = host.ask("POST", "/api/payout-accounts/", {"provider": "stripe", "currency": "EUR"})
        assert answer.status_code == 201, answer.text
        self.let_everybody_in()

    def let_everybody_in(self) -> None:
        """All papers of all accounts that are known by now are in; that they are may have to be asked."""
        waiting = PayoutAccount.objects.filter(provider="stripe", status="pending").exclude(provider_ref="")
        for account in waiting.values_list("provider_ref", flat=True):
            self.remote.act("onboard", account)

    def pay(self, guest: Person, plan: Plan) -> None:
        """Get an intent and confirm it with a card: at once, after one that is declined, or never.

        Whoever gets none for half a minute goes home without having paid.
        """
        intent = self._intent(guest, plan)
        if intent is None or plan.outcome == "timeout":
            plan.log.append("goes home")
            return
        cards = {"decline": ["declined", "ok"], "pending": ["slow"]}.get(plan.outcome, ["ok"])
        for card in cards:
            try:
                plan.log.append(f"{card}: {self.remote.act('confirm', intent, card)}")
            except httpx.HTTPError:
                # What was given up meanwhile cannot be confirmed any more.
                plan.log.append(f"{card}: too late")
        if cards == ["slow"]:
            self.remote.act("arrive", intent)
        if plan.dispute and not plan.asks_first and plan.log[-1].endswith(("succeeded", "processing")):
            self.remote.act("dispute", intent)
            plan.log.append("disputed")

    def _intent(self, guest: Person, plan: Plan) -> str | None:
        deadline = time.monotonic() + PATIENCE_S / 3
        while time.monotonic() < deadline:
            answer = guest.ask("POST", f"/api/bookings/{plan.booking_id}/pay/", {"provider": "stripe"})
            plan.log.append(f"pay {answer.status_code} {answer.json().get('code', '')}")
            if answer.status_code in (200, 202) and answer.json()["client_secret"]:
                return str(answer.json()["client_secret"].split("_secret_")[0])
            if answer.status_code not in (202, 409):
                return None
            time.sleep(0.3)
        return None


@contextmanager
def bank() -> Iterator[Bank]:
    """A pretend Stripe with money on its side; it outlives everybody."""
    with process.started("tests.fakes.stripe") as remote:
        remote.act("fund", "eur", FUNDS)
        yield Bank(remote)
