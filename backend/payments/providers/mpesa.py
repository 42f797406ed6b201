"""M-Pesa through Safaricom's Daraja: a prompt on the guest's phone, payments to hosts' phones, refunds.

Daraja knows no keys of ours. So every request is written down before it is made (``mpesa_journal``), and:

- A prompt is never sent a second time for one order. Silence after it is *unknown*: the callback names the request, or
  the list of transactions knows our account reference. Only when the prompt must have ended (``PROMPT_LIFE``) and the
  list does not have it, the payment has failed and the guest may try anew.
- A payment to a phone carries our key as ``OriginatorConversationID``, which M-Pesa takes once only; it may be sent again.
- A refund of all that was paid is a reversal, which M-Pesa does once only; of a part it is a payment to the phone that
  paid, since M-Pesa reverses whole transactions.

Answers come later, to addresses of ours (``mpesa_callbacks``). A prompt that is said to be paid is believed when Daraja
says so to our own question. Whole Kenyan shillings only.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any, Self

import structlog
from django.conf import settings
from django.utils.translation import gettext_lazy as _

from backend.core import crypto
from backend.core.errors import Invalid
from backend.payments.models import MpesaRequest
from backend.payments.providers import mpesa_callbacks as callbacks
from backend.payments.providers import mpesa_journal as journal
from backend.payments.providers import mpesa_listing as listing
from backend.payments.providers import units
from backend.payments.providers.base import Event, Movement, Order, PaysOut, ProviderUnavailable, Result
from backend.payments.providers.mpesa_journal import State, Way
from backend.payments.providers.mpesa_line import Line, Said, stamped
from backend.payments.providers.wire import NotSent

PROMPT_LIFE = timedelta(minutes=5)
"""After so long nobody can answer a prompt any more; M-Pesa itself ends it after about a minute."""

UNSEEN_LIFE = timedelta(hours=24)
"""After so long a prompt that nobody ever heard of has failed, although the list of transactions cannot be read."""

STATUS_AFTER, STATUS_EVERY = timedelta(minutes=2), timedelta(minutes=5)
"""When M-Pesa is asked what became of a payment or a reversal that it does not tell about, and how often."""

_ENDED = {
    "1": "insufficient_funds",
    "17": "processing_error",
    "26": "processing_error",
    "1001": "subscriber_busy",
    "1025": "processing_error",
    "1031": "canceled",
    "1032": "canceled",
    "2001": "wrong_pin",
    "9999": "processing_error",
}
"""Ends of a prompt that are definite at once. Any other word than success is believed when the prompt is over."""

_TIMED_OUT = {"1037", "1019"}

_UNPAID = {
    "1": "payout_funds_missing",
    "2001": "not_set_up",
    "2040": "receiver_unknown",
    "SFC_IC0003": "receiver_unknown",
}
_DUPLICATE_RESULT = "15"
_FAILED_STATES = {"Failed", "Declined", "Cancelled", "Canceled", "Expired", "Reversed"}

_PHONE = re.compile(r"(?:\+?254|0)?([17]\d{8})")

log = structlog.get_logger(__name__)


class Mpesa(PaysOut):
    """The adapter of Daraja."""

    name = units.MPESA
    sets_aside = False
    needs_phone = True
    pays_to = "phone"
    lists = frozenset({"charge"})

    @classmethod
    def configured(cls) -> Self | None:
        keys = (settings.MPESA_CONSUMER_KEY, settings.MPESA_CONSUMER_SECRET)
        return cls() if all((*keys, settings.MPESA_SHORT_CODE, settings.MPESA_PASSKEY)) else None

    def pays(self, currency: str, country: str) -> bool:
        return bool(settings.MPESA_INITIATOR) and super().pays(currency, country)

    def accepted_options(self, options: Mapping[str, Any]) -> dict[str, Any]:
        unknown = sorted(set(options) - {"phone"})
        if unknown:
            raise Invalid.field(unknown[0], "unknown_option", _("This way to pay has no such option."))
        if not options.get("phone"):
            raise Invalid.field("phone", "required", _("Say which phone is to pay."))
        return {"phone": crypto.seal(_phone(str(options["phone"])))}

    def carry_out(self, order: Order) -> Result:
        try:
            units.to_provider(self.name, order.amount_minor, order.currency)
        except units.CannotMove:
            return Result("failed", error_code=units.CannotMove.code)
        with _understood():
            return super().carry_out(order)

    def authorize(self, order: Order) -> Result:
        return Result("failed", error_code="cannot_authorize")

    def capture(self, order: Order) -> Result:
        return Result("failed", error_code="cannot_authorize")

    def void(self, order: Order) -> Result:
        return Result("failed", error_code="cannot_authorize")

    def charge(self, order: Order) -> Result:
        request, is_mine = journal.enter(order, Way.PUSH, phone=crypto.unseal(str(order.options["phone"])))
        if not is_mine:
            return self._of_prompt(request, order)
        phone = request.phone
        body = {
            **stamped(order.at),
            "TransactionType": "CustomerPayBillOnline",
            "Amount": units.to_provider(self.name, order.amount_minor, order.currency),
            "PartyA": phone,
            "PartyB": settings.MPESA_SHORT_CODE,
            "PhoneNumber": phone,
            "CallBackURL": callbacks.address(order.key, callbacks.PUSH),
            "AccountReference": request.account_reference,
            "TransactionDesc": "Booking",
        }
        try:
            said = _make(request, "/mpesa/stkpush/v1/processrequest", body)
        except NotSent as error:
            # Surely no prompt was shown: the guest is still there and may try again, now rather than in an hour.
            log.warning("payments.mpesa_not_asked", op=order.key, error=str(error))
            return _refused(request, "processing_error")
        if said.how == "refused":
            return _refused(request, said.code)
        journal.note(request, state=State.TAKEN, reference=str(said.body["CheckoutRequestID"]))
        return _waiting(request)

    def payout(self, order: Order) -> Result:
        try:
            phone = _phone(order.destination)
        except Invalid:
            return Result("failed", error_code="receiver_unknown")
        return self._pay(order, phone, None)

    def refund(self, order: Order) -> Result:
        payment = journal.of_reference(order.parent_ref)
        if payment is None:
            return Result("failed", error_code="unknown_reference")
        known = MpesaRequest.objects.filter(key=order.key).first()
        if known is None and order.amount_minor > payment.amount_minor - journal.given_back(payment):
            return Result("failed", error_code="amount_too_large")
        is_whole = order.amount_minor == payment.amount_minor and bool(payment.receipt)
        if known.way == Way.REVERSAL if known else is_whole:
            return self._reverse_payment(order, payment)
        return self._pay(order, payment.phone, payment)

    def reverse(self, order: Order) -> Result:
        return Result("failed", error_code="cannot_be_reversed")

    def look_up(self, order: Order) -> Result | None:
        request = MpesaRequest.objects.filter(key=order.key).first()
        if request is None or request.state == State.UNSENT:
            return None
        with _understood():
            if request.way == Way.PUSH:
                return self._of_prompt(request, order)
            result = self._of_request(request, order)
        # Asked without an answer, however long ago: it is made again, since M-Pesa does it once only.
        return None if request.state == State.ASKED and result.status == "pending" else result

    def verify_webhook(self, body: bytes, headers: Mapping[str, str], now: datetime) -> Event:
        return callbacks.verified(body, headers, now)

    def list_recent(self, since: datetime) -> Iterable[Movement]:
        """What guests paid, from Daraja's list of transactions, which goes back 48 hours. The rest it does not list."""
        with _understood():
            rows = list(listing.payments(since, since + timedelta(hours=48)))
        keys = dict(
            MpesaRequest.objects.filter(
                account_reference__in=[row["billreference"] for row in rows]
            ).values_list("account_reference", "key")
        )
        for row in rows:
            yield Movement(
                key=keys.get(row["billreference"], row["transactionId"]),
                kind="charge",
                reference=row["transactionId"],
                amount_minor=units.from_text(self.name, row["amount"], "KES"),
                currency="KES",
                status="succeeded",
            )

    def _of_prompt(self, request: MpesaRequest, order: Order) -> Result:
        """What became of a prompt. Asks Daraja, unless that is settled."""
        told = [
            callbacks.read(event.type, event.payload) for event in journal.told(request.key, callbacks.PUSH)
        ]
        # A payment that comes after we took it for failed is asked about all the same: somebody must see it.
        is_late = request.state == State.REFUSED and any(each.is_success for each in told)
        if request.state in (State.DONE, State.REFUSED) and not is_late:
            return _settled(request)
        if told and not request.reference:
            # The answer to our request was lost, but its callback names it.
            journal.note(request, reference=told[0].reference)
        receipt = next((each.receipt for each in told if each.is_success), "")
        is_over = order.at >= request.asked_at + PROMPT_LIFE
        if request.reference:
            body = {**stamped(order.at), "CheckoutRequestID": request.reference}
            with Line() as line:
                said = line.ask("/mpesa/stkpushquery/v1/query", body)
            code = str(said.body.get("ResultCode", "")) if said.how == "taken" else ""
            if code == "0":
                return _done(request, receipt or _receipt(request))
            if code in _ENDED:
                return _refused(request, _ENDED[code])
            if code and is_over:
                return _refused(request, "no_answer" if code in _TIMED_OUT else f"mpesa_{code}")
            if said.how == "processing" or code:
                return _waiting(request)
        return self._unseen(request, order) if is_over else _waiting(request)

    @staticmethod
    def _unseen(request: MpesaRequest, order: Order) -> Result:
        """A prompt that is over and that Daraja does not tell about: the list of transactions decides."""
        try:
            receipt = listing.receipt_of(request)
        except ProviderUnavailable:
            if order.at < request.asked_at + UNSEEN_LIFE:
                raise
            receipt = ""
        return _done(request, receipt) if receipt else _refused(request, "never_arrived")

    def _pay(self, order: Order, phone: str, payment: MpesaRequest | None) -> Result:
        """Pay to a phone: a host, or a guest who gets back a part."""
        if not settings.MPESA_INITIATOR:
            return Result("failed", error_code="not_set_up")
        request, is_mine = journal.enter(order, Way.B2C, phone=phone, parent=payment)
        if not is_mine:
            found = self._of_request(request, order)
            # Never heard of: asked again under the same id, M-Pesa takes it once.
            if request.state != State.ASKED or found.status != "pending":
                return found
        body = {
            **_initiated("InitiatorName", "BusinessPayment", request),
            "OriginatorConversationID": order.key,
            "Amount": units.to_provider(self.name, order.amount_minor, order.currency),
            "PartyA": settings.MPESA_PAYOUT_SHORT_CODE,
            "PartyB": request.phone,
            "Occassion": request.account_reference,
        }
        said = _make(request, "/mpesa/b2c/v3/paymentrequest", body)
        if said.how == "refused":
            return _refused(request, said.code)
        reference = str(said.body.get("ConversationID") or request.reference)
        journal.note(request, state=State.TAKEN, reference=reference)
        return Result("pending", reference)

    def _reverse_payment(self, order: Order, payment: MpesaRequest) -> Result:
        if not settings.MPESA_INITIATOR:
            return Result("failed", error_code="not_set_up")
        request, is_mine = journal.enter(order, Way.REVERSAL, parent=payment)
        if not is_mine:
            found = self._of_request(request, order)
            if found.status != "pending" or not journal.claim(
                request, order.at, State.ASKED, after=STATUS_AFTER
            ):
                return found
        body = {
            **_initiated("Initiator", "TransactionReversal", request),
            "TransactionID": payment.receipt,
            "Amount": units.to_provider(self.name, order.amount_minor, order.currency),
            "ReceiverParty": settings.MPESA_SHORT_CODE,
            "RecieverIdentifierType": "11",
            "Occasion": request.account_reference,
        }
        said = _make(request, "/mpesa/reversal/v1/request", body)
        if said.how == "refused":
            return _refused(request, said.code)
        journal.note(
            request,
            state=State.TAKEN,
            reference=str(said.body["ConversationID"]),
            originator=str(said.body.get("OriginatorConversationID", "")),
        )
        return Result("pending", request.reference)

    def _of_request(self, request: MpesaRequest, order: Order) -> Result:
        """What became of a payment to a phone or a reversal: by its callbacks, else by asking for its state."""
        if request.state in (State.DONE, State.REFUSED):
            return _settled(request)
        for event in journal.told(request.key, callbacks.RESULT):
            told = callbacks.read(event.type, event.payload)
            if told.is_success or (request.way == Way.REVERSAL and "already" in told.text.lower()):
                return _done(request, told.receipt)
            if told.code != _DUPLICATE_RESULT:
                return _refused(request, _UNPAID.get(told.code, f"mpesa_{told.code}"))
        for event in reversed(journal.told(request.key, callbacks.STATUS)):
            told = callbacks.read(event.type, event.payload)
            state = str(told.values.get("TransactionStatus", ""))
            if told.is_success and state == "Completed":
                return _done(request, told.receipt)
            if not told.is_success or state not in _FAILED_STATES:
                continue
            if request.way != Way.REVERSAL:
                return _refused(request, f"mpesa_{state.lower()}")
            # A state gives no reason, and "reversed already", by an asking whose answer was lost, is one. Asked once more
            # M-Pesa says which; it reverses a payment only once.
            journal.claim_back(request, order.at - STATUS_AFTER)
            break
        is_silent = request.state == State.TAKEN and order.at >= request.asked_at + STATUS_AFTER
        if order.is_open and is_silent and journal.may_query(request, order.at, every=STATUS_EVERY):
            _ask_state(request)
        return Result("pending", request.reference)


def _make(request: MpesaRequest, path: str, body: Mapping[str, Any]) -> Said:
    """Make a request that is ours to make. Raises: NotSent (then it may be made again), ProviderUnavailable."""
    try:
        with Line() as line:
            said = line.ask(path, body)
    except NotSent:
        if not request.reference:
            journal.note(request, state=State.UNSENT)
        raise
    if said.how == "processing":
        raise ProviderUnavailable("Daraja is still at an earlier request")
    return said


def _initiated(name: str, command: str, request: MpesaRequest) -> dict[str, str]:
    return {
        name: settings.MPESA_INITIATOR,
        "SecurityCredential": settings.MPESA_SECURITY_CREDENTIAL,
        "CommandID": command,
        "Remarks": request.account_reference,
        "ResultURL": callbacks.address(request.key, callbacks.RESULT),
        "QueueTimeOutURL": callbacks.address(request.key, callbacks.TIMEOUT),
    }


def _ask_state(request: MpesaRequest) -> None:
    body = {
        **_initiated("Initiator", "TransactionStatusQuery", request),
        "OriginalConversationID": request.originator,
        "PartyA": settings.MPESA_PAYOUT_SHORT_CODE,
        "IdentifierType": "4",
        "Occasion": request.account_reference,
        "ResultURL": callbacks.address(request.key, callbacks.STATUS),
    }
    with Line() as line:
        said = line.ask("/mpesa/transactionstatus/v1/query", body)
    if said.how == "refused":
        log.warning("payments.mpesa_state_refused", op=request.key, code=said.code)


def _receipt(request: MpesaRequest) -> str:
    """The receipt of a payment whose callback was lost. Without one the payment counts all the same."""
    try:
        return listing.receipt_of(request)
    except ProviderUnavailable as error:
        log.warning("payments.mpesa_receipt_unknown", op=request.key, error=str(error))
        return ""


def _settled(request: MpesaRequest) -> Result:
    reference = request.receipt or request.reference
    if request.state == State.REFUSED:
        return Result("failed", reference, request.error_code)
    return Result("succeeded", reference, stage="arrived" if request.kind == "payout" else "")


def _done(request: MpesaRequest, receipt: str) -> Result:
    journal.note(request, state=State.DONE, receipt=receipt[:40])
    return _settled(request)


def _refused(request: MpesaRequest, code: str) -> Result:
    journal.note(request, state=State.REFUSED, error_code=code[:60])
    return _settled(request)


def _waiting(request: MpesaRequest) -> Result:
    message = str(_("Enter your M-Pesa PIN on your phone."))
    return Result("pending", request.reference, client={"message": message})


def _phone(given: str) -> str:
    """A Kenyan mobile number as M-Pesa writes it (254712345678). Raises: Invalid."""
    found = _PHONE.fullmatch(re.sub(r"[\s().-]", "", given))
    if not found:
        raise Invalid.field(
            "phone", "invalid_phone", _("M-Pesa pays from Kenyan mobile numbers, like 0712 345678.")
        )
    return f"254{found[1]}"


@contextmanager
def _understood() -> Iterator[None]:
    """An answer of another shape than Daraja's leaves the outcome open."""
    try:
        yield
    except (KeyError, TypeError, IndexError, AttributeError, ValueError, units.CannotMove) as error:
        raise ProviderUnavailable(f"Daraja's answer cannot be understood: {error!r}") from error
