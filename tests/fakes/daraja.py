"""Safaricom's Daraja as tests meet it: prompts that a guest answers, payments to phones, reversals, callbacks.

It knows no idempotency keys: a prompt that is asked for twice is shown twice (unless the first one still waits on that
phone). Only a payment to a phone is refused when its ``OriginatorConversationID`` came before. What it tells comes later,
to the address that the request named; our key is the last part of that address.
"""

from __future__ import annotations

import base64
import secrets
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from tests.fakes.base import Call, Fake, Moved, Refused, Reply, act, on
from tests.fakes.process import serve

KEY, SECRET = "consumer-key", "consumer-secret"
SHORT_CODE, PASSKEY = "174379", "passkey-of-tests"
INITIATOR, CREDENTIAL = "testapi", "sealed-password"
NAIROBI = ZoneInfo("Africa/Nairobi")

Resource = dict[str, Any]


def _receipt() -> str:
    return "S" + "".join(secrets.choice("ABCDEFGHJKLMNPQRSTUVWXYZ0123456789") for _ in range(9))


class DarajaFake(Fake):
    """A pretend Daraja."""

    name = "daraja"

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.prompts: dict[str, Resource] = {}
        self.sent_out: dict[str, Resource] = {}
        """Payments to phones and reversals by their conversation."""
        self.tokens: set[str] = set()
        self.paying = "0"
        """How the next payments and reversals end; empty: not before ``finish``."""
        self.lists = True
        """Whether the list of transactions may be read."""

    # How Daraja is asked.

    def key_of(self, call: Call) -> str:
        return ""

    def error(self, refused: Refused) -> Reply:
        codes = {"server_error": "500.003.1001", "rate_limit": "500.003.02", "not_found": "404.002.01"}
        body = {
            "requestId": secrets.token_hex(8),
            "errorCode": codes.get(refused.code, refused.code),
            "errorMessage": refused.message or "Internal Server Error",
        }
        return Reply(body, refused.status)

    # What a test does in the place of the guest, or of M-Pesa.

    @act
    def answer(self, key: str, code: int = 0) -> str:
        """The guest answers the newest prompt for ``key``: 0 pays. Gives the receipt."""
        with self.lock:
            prompt = [each for each in self.prompts.values() if each["key"] == key][-1]
            prompt["code"] = code
            told: Resource = {
                "MerchantRequestID": prompt["merchant"],
                "CheckoutRequestID": prompt["id"],
                "ResultCode": code,
                "ResultDesc": "The service request is processed successfully." if code == 0 else "No.",
            }
            if code == 0:
                prompt["receipt"] = _receipt()
                told["CallbackMetadata"] = {
                    "Item": [
                        {"Name": "Amount", "Value": float(prompt["amount"])},
                        {"Name": "MpesaReceiptNumber", "Value": prompt["receipt"]},
                        {"Name": "Balance"},
                        {"Name": "TransactionDate", "Value": int(self._time("%Y%m%d%H%M%S"))},
                        {"Name": "PhoneNumber", "Value": int(prompt["phone"])},
                    ]
                }
                self._money("charge", prompt["key"], prompt["receipt"], prompt["amount"])
            self.emit(prompt["id"], {"Body": {"stkCallback": told}}, url=prompt["url"])
            return str(prompt.get("receipt", ""))

    @act
    def answer_all(self, code: int = 0) -> list[str]:
        """The guests answer all prompts that wait; gives our keys."""
        with self.lock:
            keys = [str(each["key"]) for each in self.prompts.values() if each["code"] is None]
            for key in keys:
                self.answer(key, code)
            return keys

    @act
    def finish(self, key: str, code: str = "0") -> None:
        """A payment or reversal that was held back ends."""
        with self.lock:
            self._end(next(each for each in self.sent_out.values() if each["key"] == key), code)

    # What Daraja answers.

    @on("GET", "/oauth/v1/generate")
    def token(self, call: Call) -> Reply:
        basic = base64.b64encode(f"{KEY}:{SECRET}".encode()).decode()
        if call.headers.get("authorization") != f"Basic {basic}":
            raise Refused(400, "400.008.01", "Invalid Authentication passed")
        token = secrets.token_urlsafe(16)
        self.tokens.add(token)
        return Reply({"access_token": token, "expires_in": "3599"})

    @on("POST", "/mpesa/stkpush/v1/processrequest")
    def push(self, call: Call) -> Reply:
        given = self._stamped(call)
        amount, phone = given["Amount"], str(given["PhoneNumber"])
        if type(amount) is not int or amount < 1:
            raise Refused(400, "400.002.02", "Bad Request - Invalid Amount")
        if not (phone.startswith("254") and len(phone) == 12):
            raise Refused(400, "400.002.02", "Bad Request - Invalid PhoneNumber")
        if len(given["AccountReference"]) > 12 or len(given["TransactionDesc"]) > 13:
            raise Refused(400, "400.002.02", "Bad Request - Invalid AccountReference")
        if any(each["phone"] == phone and each["code"] is None for each in self.prompts.values()):
            raise Refused(
                500, "500.001.1001", "Unable to lock subscriber, a transaction is already in process"
            )
        prompt = {
            "id": f"ws_CO_{self._time('%d%m%Y%H%M%S')}{secrets.randbelow(10**9):09d}",
            "merchant": f"{secrets.randbelow(10**5)}-{secrets.randbelow(10**8)}-1",
            "key": _key(given["CallBackURL"]),
            "url": given["CallBackURL"],
            "amount": amount,
            "phone": phone,
            "account": given["AccountReference"],
            "code": None,
        }
        self.prompts[prompt["id"]] = prompt
        return Reply(
            {
                "MerchantRequestID": prompt["merchant"],
                "CheckoutRequestID": prompt["id"],
                "ResponseCode": "0",
                "ResponseDescription": "Success. Request accepted for processing",
                "CustomerMessage": "Success. Request accepted for processing",
            }
        )

    @on("POST", "/mpesa/stkpushquery/v1/query")
    def query(self, call: Call) -> Reply:
        prompt = self.prompts.get(self._stamped(call)["CheckoutRequestID"])
        if prompt is None:
            raise Refused(400, "400.002.02", "Bad Request - Invalid CheckoutRequestID")
        if prompt["code"] is None:
            raise Refused(500, "500.001.1001", "The transaction is being processed")
        return Reply(
            {
                "ResponseCode": "0",
                "ResponseDescription": "The service request has been accepted successsfully",
                "MerchantRequestID": prompt["merchant"],
                "CheckoutRequestID": prompt["id"],
                "ResultCode": str(prompt["code"]),
                "ResultDesc": "Request cancelled by user" if prompt["code"] == 1032 else "",
            }
        )

    @on("POST", "/mpesa/b2c/v3/paymentrequest")
    def pay(self, call: Call) -> Reply:
        given = self._initiator(call, "InitiatorName")
        originator = given["OriginatorConversationID"]
        if any(each["originator"] == originator for each in self.sent_out.values()):
            raise Refused(500, "500.002.1001", "Duplicate OriginatorConversationID.")
        if type(given["Amount"]) is not int or given["Amount"] < 1:
            raise Refused(400, "400.002.02", "Bad Request - Invalid Amount")
        return self._take(given, "b2c", originator, given["Amount"], "")

    @on("POST", "/mpesa/reversal/v1/request")
    def reverse(self, call: Call) -> Reply:
        given = self._initiator(call, "Initiator")
        originator = f"{secrets.randbelow(10**5)}-{secrets.randbelow(10**8)}-1"
        return self._take(given, "reversal", originator, given["Amount"], given["TransactionID"])

    @on("POST", "/mpesa/transactionstatus/v1/query")
    def state(self, call: Call) -> Reply:
        given = self._initiator(call, "Initiator")
        found = [
            each for each in self.sent_out.values() if each["originator"] == given["OriginalConversationID"]
        ]
        values: Resource = {}
        if found:
            states = {"": "Pending", "0": "Completed"}
            values = {
                "TransactionStatus": states.get(found[0]["code"], "Failed"),
                "ReceiptNo": found[0]["receipt"],
                "Amount": found[0]["amount"],
                "DebitPartyName": "600610 - Karibu",
            }
        conversation = self._conversation()
        self._call_back(given["ResultURL"], conversation, "0" if found else "2033", "", values)
        return self._accepted(conversation, "")

    @on("POST", "/pulltransactions/v1/query")
    def pull(self, call: Call) -> Reply:
        given = self._allowed(call)
        if not self.lists:
            raise Refused(403, "403.001.01", "Shortcode not registered")
        first, last = (
            datetime.strptime(given[name], "%Y-%m-%d %H:%M:%S").replace(tzinfo=NAIROBI).timestamp()
            for name in ("StartDate", "EndDate")
        )
        rows = [
            self._row(each)
            for each in self.movements
            if each.kind == "charge" and first <= each.at + 1 <= last + 1
        ]
        page = rows[int(given["OffSetValue"]) :][:100]
        code = "1000" if page else "1001"
        return Reply({"ResponseRefID": "1", "ResponseCode": code, "ResponseMessage": "", "Response": [page]})

    # How it works.

    def _allowed(self, call: Call) -> Any:
        if call.headers.get("authorization", "").removeprefix("Bearer ") not in self.tokens:
            raise Refused(404, "404.001.03", "Invalid Access Token")
        return call.json()

    def _stamped(self, call: Call) -> Any:
        given = self._allowed(call)
        plain = f"{SHORT_CODE}{PASSKEY}{given['Timestamp']}"
        if base64.b64decode(given["Password"]).decode() != plain:
            raise Refused(500, "500.001.1001", "[MerchantValidate] - Wrong credentials")
        return given

    def _initiator(self, call: Call, name: str) -> Any:
        given = self._allowed(call)
        if (given[name], given["SecurityCredential"]) != (INITIATOR, CREDENTIAL):
            raise Refused(400, "400.002.02", "Bad Request - Invalid Initiator")
        return given

    def _take(self, given: Resource, kind: str, originator: str, amount: int, parent: str) -> Reply:
        conversation = self._conversation()
        request = {
            "id": conversation,
            "kind": kind,
            "originator": originator,
            "amount": amount,
            "parent": parent,
            "phone": str(given.get("PartyB", "")),
            "key": _key(given["ResultURL"]),
            "url": given["ResultURL"],
            "receipt": _receipt(),
            "code": "",
        }
        self.sent_out[conversation] = request
        if self.paying:
            self._end(request, self.paying)
        return self._accepted(conversation, originator)

    def _end(self, request: Resource, code: str) -> None:
        text = "The service request is processed successfully." if code == "0" else "It failed."
        if code == "0" and request["kind"] == "reversal":
            reversed_before = [each for each in self.movements if each.parent == request["parent"]]
            paid = [each for each in self.movements if each.reference == request["parent"]]
            if reversed_before:
                code, text = "R000001", "The transaction has already been reversed."
            elif not paid or paid[0].amount_minor != request["amount"] * 100:
                code, text = "R000002", "The OriginalTransactionID is invalid."
        request["code"] = code
        values: Resource = {}
        if code == "0":
            self._money(
                request["kind"], request["key"], request["receipt"], request["amount"], request["parent"]
            )
            name = "TransactionAmount" if request["kind"] == "b2c" else "Amount"
            values = {
                name: request["amount"],
                "TransactionReceipt": request["receipt"],
                "ReceiverPartyPublicName": f"{request['phone']} - John Doe",
            }
        self._call_back(request["url"], request["id"], code, request["receipt"], values, text)

    def _call_back(
        self, url: str, conversation: str, code: str, receipt: str, values: Resource, text: str = ""
    ) -> None:
        result: Resource = {
            "ResultType": 0,
            "ResultCode": int(code) if code.isdigit() else code,
            "ResultDesc": text,
            "ConversationID": conversation,
            "TransactionID": receipt,
        }
        if values:
            parameters = [{"Key": name, "Value": value} for name, value in values.items()]
            result["ResultParameters"] = {"ResultParameter": parameters}
        self.emit(conversation, {"Result": result}, url=url)

    def _accepted(self, conversation: str, originator: str) -> Reply:
        return Reply(
            {
                "ConversationID": conversation,
                "OriginatorConversationID": originator,
                "ResponseCode": "0",
                "ResponseDescription": "Accept the service request successfully.",
            }
        )

    def _money(self, kind: str, key: str, receipt: str, amount: int, parent: str = "") -> None:
        self.move(kind, key=key, reference=receipt, amount_minor=amount * 100, currency="KES", parent=parent)

    def _row(self, moved: Moved) -> Resource:
        prompt = next(each for each in self.prompts.values() if each.get("receipt") == moved.reference)
        return {
            "transactionId": moved.reference,
            "trxDate": datetime.fromtimestamp(moved.at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "msisdn": int(prompt["phone"]),
            "sender": "MPESA",
            "transactiontype": "c2b-pay-bill-debit",
            "billreference": prompt["account"],
            "amount": f"{prompt['amount']}.00",
            "organizationname": "Karibu",
        }

    def _conversation(self) -> str:
        return f"AG_{self._time('%Y%m%d')}_{secrets.token_hex(10)}"

    def _time(self, pattern: str) -> str:
        return datetime.fromtimestamp(self.clock(), NAIROBI).strftime(pattern)


def _key(url: str) -> str:
    return url.rstrip("/").rsplit("/", 1)[-1]


if __name__ == "__main__":
    serve(DarajaFake)
