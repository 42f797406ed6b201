"""Stripe: payment intents that the guest confirms, transfers to connected accounts, disputes.

The only module that imports ``stripe``. Cards are entered with Stripe's own elements: what reaches us is an intent's
``client_secret`` for the guest's client and, later, what became of it. Separate charges and transfers: the guest pays
the platform, hosts are paid by transfers of their own, which Stripe pays on to their banks.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any, Self

import httpx
import stripe
import structlog
from django.conf import settings
from django.utils.translation import gettext_lazy as _

from backend.core import tracing
from backend.core.db import outside_transaction
from backend.core.errors import Invalid
from backend.payments.providers import stripe_events, units
from backend.payments.providers import stripe_objects as objects
from backend.payments.providers.base import (
    ABANDONED,
    AccountState,
    AnswerRefused,
    AnswersDisputes,
    DisputeState,
    Event,
    Evidence,
    KeyReused,
    Movement,
    OpensAccounts,
    Order,
    ProviderUnavailable,
    Result,
)
from backend.payments.providers.stripe_objects import CAPTURE, OP
from backend.telemetry import watching

API_VERSION = "2026-10-28.endive"
"""The version that this adapter was written for; webhook endpoints should be made with the same."""

CONNECT_S, TOTAL_S = 3.0, 20.0

PAGE = 100

log = structlog.get_logger(__name__)


class Refused(Exception):
    """Stripe refused an order for good."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class ServerError(ProviderUnavailable):
    """Stripe broke down over an order, and keeps saying so under the same key."""


class Stripe(OpensAccounts, AnswersDisputes):
    """The adapter of Stripe. Amounts go out and come in through ``units``."""

    name = units.STRIPE

    gives_up = True

    lists = frozenset({"authorize", "charge", "capture", "refund", "payout", "reverse"})

    @classmethod
    def configured(cls) -> Self | None:
        return cls() if settings.STRIPE_SECRET_KEY else None

    def pays(self, currency: str, country: str) -> bool:
        where = settings.STRIPE_PAYOUT_COUNTRIES or objects.SERVED
        return self.takes(currency) and (not country or country in where)

    @property
    def _api(self) -> Any:
        return _client(settings.STRIPE_SECRET_KEY, settings.STRIPE_API_BASE).v1

    def accepted_options(self, options: Mapping[str, Any]) -> dict[str, Any]:
        if options:
            raise Invalid.field(
                next(iter(options)), "unknown_option", _("This way to pay has no such option.")
            )
        return {}

    def authorize(self, order: Order) -> Result:
        return self._intent(order, "manual")

    def charge(self, order: Order) -> Result:
        # Not "automatic_async": then the fee would be unknown when the intent has succeeded.
        return self._intent(order, "automatic")

    def capture(self, order: Order) -> Result:
        def ask(amount: int) -> Result | None:
            given = {"amount_to_capture": amount, "metadata": {CAPTURE: order.key}, **_WITH_CHARGE}
            intent = _told(self._api.payment_intents.capture, order.parent_ref, given, _under(order.key))
            return objects.capture_result(intent, order.key)

        return self._do(order, ask)

    def void(self, order: Order) -> Result:
        def ask(_amount: int) -> Result | None:
            cancel = self._api.payment_intents.cancel
            return objects.void_result(_told(cancel, order.parent_ref, {}, _under(order.key)))

        return self._do(order, ask)

    def refund(self, order: Order) -> Result:
        def ask(amount: int) -> Result:
            given = {"payment_intent": order.parent_ref, "amount": amount, **_marked(order), **_WITH_BALANCE}
            return objects.refund_result(_told(self._api.refunds.create, given, _under(order.key)))

        return self._do(order, ask)

    def payout(self, order: Order) -> Result:
        def ask(amount: int) -> Result:
            given = {
                "amount": amount,
                "currency": order.currency.lower(),
                "destination": order.destination,
                **_marked(order),
                **_group(order),
            }
            return objects.transfer_result(_told(self._api.transfers.create, given, _under(order.key)))

        return self._do(order, ask)

    def reverse(self, order: Order) -> Result:
        def ask(amount: int) -> Result:
            create = self._api.transfers.reversals.create
            given = {"amount": amount, **_marked(order)}
            return objects.reversal_result(_told(create, order.parent_ref, given, _under(order.key)))

        return self._do(order, ask)

    def look_up(self, order: Order) -> Result | None:
        try:
            return self._find(order)
        except Refused as refused:
            if refused.code == objects.UNKNOWN:
                return None
            raise ProviderUnavailable(f"Stripe does not tell of {order.key}: {refused.code}") from refused
        except (KeyError, TypeError) as error:
            raise ProviderUnavailable("Stripe's answer says something else than was asked") from error

    def give_up(self, order: Order) -> Result:
        """Cancel an intent that the guest has not confirmed. Where money moved meanwhile, that is the answer.

        Under no key of ours: a refusal would be given again for a day, while the intent goes on.
        """
        intents = self._api.payment_intents
        try:
            intent = _told(intents.cancel, order.reference, {"cancellation_reason": ABANDONED})
        except Refused:
            # It was taken, or is being taken, at this very moment.
            intent = _answered(intents.retrieve, order.reference, _WITH_CHARGE)
        return objects.intent_result(intent, order.kind)

    def verify_webhook(self, body: bytes, headers: Mapping[str, str], now: datetime) -> Event:
        return stripe_events.verified(body, headers, settings.STRIPE_WEBHOOK_SECRETS, now)

    def list_recent(self, since: datetime) -> Iterable[Movement]:
        """Every intent made since then, and every movement of our balance since then, whenever its intent was made.

        What bears no key of ours was moved in Stripe's dashboard, or by somebody else who has our keys.
        """
        created = {"gte": int(since.timestamp())}
        seen: set[str] = set()
        for intent in self._all("payment_intents", {"created": created, "expand": ["data.latest_charge"]}):
            seen.add(intent["id"])
            yield from objects.intent_movements(intent)
        for entry in self._all("balance_transactions", {"created": created, "expand": ["data.source"]}):
            source = entry.get("source")
            if not isinstance(source, Mapping):
                continue
            reference = source.get("payment_intent") if source["object"] == "charge" else source["id"]
            if not reference or reference in seen:
                continue
            seen.add(reference)
            if source["object"] == "charge":
                given = {"expand": ["latest_charge"]}
                yield from objects.intent_movements(
                    _answered(self._api.payment_intents.retrieve, reference, given)
                )
            else:
                yield from objects.balance_movements(source)

    def delivered(self, reference: str, account: str) -> list[str]:
        """The transfers in a payout to the bank of ``account``: its payments name the transfers that they came from."""
        at = {"stripe_account": account}
        payout = _answered(self._api.payouts.retrieve, reference, {}, at)
        if payout["status"] != "paid":
            return []
        entries = self._all("balance_transactions", {"payout": reference, "expand": ["data.source"]}, at)
        sources = [entry["source"] for entry in entries if isinstance(entry.get("source"), Mapping)]
        transfers = [source["source_transfer"] for source in sources if source.get("source_transfer")]
        keys = [objects.key_of(_answered(self._api.transfers.retrieve, each)) for each in transfers]
        return [key for key in keys if key]

    def dispute(self, reference: str) -> DisputeState:
        return objects.dispute_state(_answered(self._api.disputes.retrieve, reference))

    def disputes_since(self, since: datetime) -> list[str]:
        return [each["id"] for each in self._all("disputes", {"created": {"gte": int(since.timestamp())}})]

    def give_evidence(self, reference: str, evidence: Evidence, *, key: str) -> None:
        given = {"evidence": objects.evidence(evidence), "submit": True, "metadata": {OP: key}}
        self._answer(self._api.disputes.update, reference, given, key)

    def accept_dispute(self, reference: str, *, key: str) -> None:
        self._answer(self._api.disputes.close, reference, {}, key)

    def _answer(self, call: Callable[..., Any], reference: str, given: dict[str, Any], key: str) -> None:
        try:
            _told(call, reference, given, _under(key))
        except Refused as refused:
            raise AnswerRefused(refused.code) from refused

    def open_account(self, *, key: str, email: str, country: str, currency: str) -> AccountState:
        """An Express account: Stripe asks the host for papers and bank; fees and losses are the platform's."""
        given: dict[str, Any] = {
            "controller": {
                "fees": {"payer": "application"},
                "losses": {"payments": "application"},
                "stripe_dashboard": {"type": "express"},
                "requirement_collection": "stripe",
            },
            "capabilities": {"transfers": {"requested": True}},
            "metadata": {"karibu_account": key},
        }
        # Without a country it is the platform's own; the host may not have said one.
        given |= {name: value for name, value in (("email", email), ("country", country)) if value}
        try:
            account = _told(self._api.accounts.create, given, _under(key))
        except Refused as refused:
            raise Invalid.field(
                "country", "account_refused", _("No account can be opened with these details.")
            ) from refused
        return objects.account_state(account)

    def onboarding_link(self, reference: str, *, return_url: str, refresh_url: str) -> str:
        given = {
            "account": reference,
            "type": "account_onboarding",
            "return_url": return_url,
            "refresh_url": refresh_url,
        }
        return str(_answered(self._api.account_links.create, given)["url"])

    def account(self, reference: str) -> AccountState:
        try:
            return objects.account_state(_told(self._api.accounts.retrieve, reference))
        except Refused as refused:
            if refused.code in (objects.UNKNOWN, "account_invalid"):
                # The host has taken our access away, or Stripe has closed it.
                return AccountState(reference=reference, status="disabled")
            raise ProviderUnavailable(f"Stripe does not tell of {reference}: {refused.code}") from refused

    def close_account(self, reference: str) -> bool:
        try:
            _told(self._api.accounts.delete, reference)
        except Refused as refused:
            return refused.code in (objects.UNKNOWN, "account_invalid")
        return True

    def _intent(self, order: Order, capture_method: str) -> Result:
        def ask(amount: int) -> Result:
            given = {
                "amount": amount,
                "currency": order.currency.lower(),
                "capture_method": capture_method,
                "automatic_payment_methods": {"enabled": True},
                **_marked(order),
                **_group(order),
            }
            intent = _told(self._api.payment_intents.create, given, _under(order.key))
            return objects.intent_result(intent, order.kind)

        return self._do(order, ask)

    def _do(self, order: Order, ask: Callable[[int], Result | None]) -> Result:
        """Ask, and say definitely what a refusal means."""
        try:
            result = ask(units.to_provider(self.name, order.amount_minor, order.currency))
        except units.CannotMove:
            return Result("failed", error_code=units.CannotMove.code)
        except KeyReused:
            # Our own parameters changed since it was asked: it may well have been carried out as it was asked then.
            result = self.look_up(order)
            if result is None:
                raise
        except ServerError as error:
            # Stripe gives the same 500 for the same key, although it may have carried the order out.
            result = self.look_up(order)
            if result is None:
                raise error
        except (KeyError, TypeError) as error:
            raise ProviderUnavailable("Stripe's answer says something else than was asked") from error
        except Refused as refused:
            result = self._refused(order, refused)
        if result is None:
            raise ProviderUnavailable(f"Stripe has not moved {order.key}")
        return result

    def _refused(self, order: Order, refused: Refused) -> Result | None:
        """An intent that is in another state than was expected says itself what became of it."""
        if refused.code in _OTHER_STATE and order.kind in ("capture", "void"):
            intent = _answered(self._api.payment_intents.retrieve, order.parent_ref, _WITH_CHARGE)
            if order.kind == "capture":
                return objects.capture_result(intent, order.key)
            return objects.void_result(intent)
        return Result("failed", error_code=refused.code)

    def _find(self, order: Order) -> Result | None:
        """The order as Stripe has it: by its reference, else by our key among those of its parent."""
        if order.kind in ("authorize", "charge"):
            intent = self._root(order)
            return None if intent is None else objects.intent_result(intent, order.kind)
        if order.kind in ("capture", "void"):
            intent = _told(self._api.payment_intents.retrieve, order.parent_ref, _WITH_CHARGE)
            return (
                objects.void_result(intent)
                if order.kind == "void"
                else objects.capture_result(intent, order.key)
            )
        if order.kind == "refund":
            found = self._by_key(order, "refunds", {"payment_intent": order.parent_ref}, _WITH_BALANCE)
            return None if found is None else objects.refund_result(found)
        if order.kind == "payout":
            found = self._by_key(order, "transfers", {"destination": order.destination, **_group(order)})
            return None if found is None else objects.transfer_result(found)
        reversals = _told(_whole(self._api.transfers.reversals.list), order.parent_ref, {"limit": PAGE})
        found = next((each for each in reversals if objects.key_of(each) == order.key), None)
        return None if found is None else objects.reversal_result(found)

    def _root(self, order: Order) -> Any:
        """The intent of a ``charge`` or ``authorize``, or None. Stripe's search may be a minute behind."""
        intents = self._api.payment_intents
        if order.reference:
            return _told(intents.retrieve, order.reference, _WITH_CHARGE)
        query = f"metadata['{OP}']:'{order.key}'"
        found = _told(_whole(intents.search), {"query": query})
        return _told(intents.retrieve, found[0]["id"], _WITH_CHARGE) if found else None

    def _by_key(self, order: Order, what: str, among: dict[str, str], more: Any = None) -> Any:
        if order.reference:
            return _told(getattr(self._api, what).retrieve, order.reference, more or {})
        return next((each for each in self._all(what, among) if objects.key_of(each) == order.key), None)

    def _all(self, what: str, given: dict[str, Any], options: dict[str, str] | None = None) -> list[Any]:
        listed = getattr(self._api, what).list
        return list(_answered(_whole(listed), {"limit": PAGE, **given}, options or {}))


_WITH_CHARGE = {"expand": ["latest_charge.balance_transaction"]}
_WITH_BALANCE = {"expand": ["balance_transaction"]}

_OTHER_STATE = ("payment_intent_unexpected_state", "already_captured", objects.EXPIRED)


def _under(key: str) -> dict[str, str]:
    return {"idempotency_key": key}


def _marked(order: Order) -> dict[str, Any]:
    return {"metadata": {OP: order.key}}


def _group(order: Order) -> dict[str, str]:
    return {"transfer_group": order.group} if order.group else {}


def _whole(listed: Callable[..., Any]) -> Callable[..., list[Any]]:
    """A call that lists, with all its pages."""
    return lambda *given: [each.to_dict() for each in listed(*given).auto_paging_iter()]


def _told(call: Callable[..., Any], *given: Any) -> Any:
    """What Stripe answered, as plain values. Raises: Refused, KeyReused, ProviderUnavailable."""
    outside_transaction("Stripe")
    try:
        answer = call(*given)
    except stripe.CardError as error:
        raise Refused(objects.refusal(error.code, _of(error, "decline_code"))) from error
    except stripe.IdempotencyError as error:
        raise KeyReused("Stripe knows the key of another order") from error
    except (stripe.InvalidRequestError, stripe.PermissionError) as error:
        code = objects.refusal(_of(error, "code") or _of(error, "param"))
        if code != objects.UNKNOWN:
            log.error("payments.refused_by_stripe", error_code=code, status=error.http_status)
        raise Refused(code) from error
    except stripe.StripeError as error:
        said = f"Stripe: {type(error).__name__} {error.http_status or ''}"
        raise (ServerError if error.http_status == 500 else ProviderUnavailable)(said) from error
    if isinstance(answer, stripe.StripeObject):
        return answer.to_dict()
    if isinstance(answer, list):
        return answer
    raise ProviderUnavailable("Stripe's answer is no object")


def _answered(call: Callable[..., Any], *given: Any) -> Any:
    """As ``_told``, where a refusal is our own fault and leaves things open."""
    try:
        return _told(call, *given)
    except Refused as refused:
        raise ProviderUnavailable(f"Stripe refuses to tell: {refused.code}") from refused


def _of(error: stripe.StripeError, name: str) -> Any:
    told = error.json_body.get("error") if isinstance(error.json_body, Mapping) else None
    return told.get(name) if isinstance(told, Mapping) else None


class _Wire(stripe.HTTPClient):
    """Bounded in time as a whole; a connection for each call, no proxies, no redirects."""

    name = "httpx"

    def request(
        self, method: str, url: str, headers: Mapping[str, str] | None, post_data: Any = None, **_: Any
    ) -> tuple[str, int, Mapping[str, str]]:
        deadline = time.monotonic() + TOTAL_S
        timeout = httpx.Timeout(TOTAL_S, connect=CONNECT_S)
        content = bytearray()
        try:
            sent = {**tracing.headers(), **(headers or {})}
            with (
                watching.calling("stripe") as call,
                httpx.Client(verify=_tls(), trust_env=False, follow_redirects=False, timeout=timeout) as http,
                http.stream(method, url, headers=sent, content=post_data) as answer,
            ):
                for chunk in answer.iter_bytes():
                    content += chunk
                    if time.monotonic() > deadline:
                        raise httpx.ReadTimeout("the answer took too long")
                call.tell(answer.status_code)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise stripe.APIConnectionError(type(error).__name__) from error
        return content.decode(errors="replace"), answer.status_code, answer.headers

    def close(self) -> None:
        """Nothing stays open between calls."""


@lru_cache(maxsize=1)
def _tls() -> ssl.SSLContext:
    return ssl.create_default_context(cafile=stripe.ca_bundle_path)


@lru_cache(maxsize=4)
def _client(key: str, base: str) -> stripe.StripeClient:
    stripe.enable_telemetry = False
    return stripe.StripeClient(
        key,
        stripe_version=API_VERSION,
        base_addresses={"api": base, "connect": base, "files": base, "meter_events": base},
        max_network_retries=0,
        http_client=_Wire(),
    )
