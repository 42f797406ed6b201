"""One conversation with PayPal: its token, its errors, its amounts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Self

from django.conf import settings

from backend.payments.providers import units
from backend.payments.providers.base import Order, ProviderUnavailable, Result
from backend.payments.providers.wire import Answer, NotSent, Tokens, Wire

_OPEN = {408, 409, 425, 429}
"""Statuses below 500 that leave the outcome open: another request with this key is still at work, or too many are."""

_tokens = Tokens()


class Line:
    """Calls to PayPal with our token. Used with ``with``, for one order."""

    def __init__(self) -> None:
        self._wire = Wire("paypal", settings.PAYPAL_API_BASE)
        self._owner = (settings.PAYPAL_API_BASE, settings.PAYPAL_CLIENT_ID, settings.PAYPAL_SECRET)

    def __enter__(self) -> Self:
        self._wire.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._wire.__exit__(*error)

    def get(self, path: str, params: Mapping[str, str] | None = None) -> Answer:
        """Read something; a refusal is an answer. Raises: ProviderUnavailable."""
        return self._call("GET", path, params=params)

    def found(self, path: str, params: Mapping[str, str] | None = None) -> Answer:
        """Read what must be there. Raises: ProviderUnavailable."""
        return self.must(self.get(path, params))

    def post(self, path: str, key: str, body: Any) -> Answer:
        """Ask for something under ``key`` (empty: the body says what is the same); a refusal is an answer. Raises: ProviderUnavailable."""
        return self._call("POST", path, body=body, key=key)

    @staticmethod
    def must(answer: Answer) -> Answer:
        """``answer``, if it is no refusal. Raises: ProviderUnavailable."""
        if not answer.is_ok:
            raise ProviderUnavailable(f"PayPal answered {answer.status} {issue_of(answer)}")
        return answer

    def _call(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        key: str = "",
        params: Mapping[str, str] | None = None,
    ) -> Answer:
        for _attempt in range(2):
            token = _tokens.get(self._owner, self._token)
            headers = {"Authorization": f"Bearer {token}", "Prefer": "return=representation"}
            if key:
                headers["PayPal-Request-Id"] = key
            answer = self._wire.ask(method, path, headers=headers, body=body, params=params)
            if answer.status != 401:
                break
            _tokens.forget(self._owner)
        else:
            raise NotSent("PayPal does not take our credentials")
        if answer.status >= 500 or answer.status in _OPEN:
            raise ProviderUnavailable(f"PayPal answered {answer.status} {issue_of(answer)}")
        if not isinstance(answer.body, dict):
            raise ProviderUnavailable("PayPal's answer is no object")
        return answer

    def _token(self) -> tuple[str, float]:
        answer = self._wire.ask(
            "POST",
            "/v1/oauth2/token",
            form={"grant_type": "client_credentials"},
            auth=(settings.PAYPAL_CLIENT_ID, settings.PAYPAL_SECRET),
        )
        if not answer.is_ok:
            raise NotSent(f"PayPal gave no token: {answer.status}")
        try:
            return str(answer.body["access_token"]), float(answer.body["expires_in"])
        except (KeyError, TypeError, ValueError) as error:
            raise NotSent("PayPal's token cannot be read") from error


@contextmanager
def understood() -> Iterator[None]:
    """An answer of another shape than PayPal's leaves the outcome open."""
    try:
        yield
    except (KeyError, TypeError, IndexError, AttributeError, ValueError, units.CannotMove) as error:
        raise ProviderUnavailable(f"PayPal's answer cannot be understood: {error!r}") from error


def issue_of(answer: Answer) -> str:
    """PayPal's word for a refusal: the issue where it names one, else the error's name; empty for a success."""
    if answer.is_ok or not isinstance(answer.body, dict):
        return ""
    details = answer.body.get("details")
    issue = details[0].get("issue") if isinstance(details, list) and details else ""
    name = str(answer.body.get("name") or "")
    # The issues of payouts are sentences.
    return str(issue) if issue and " " not in str(issue) else name


def refused(answer: Answer, codes: Mapping[str, str]) -> Result:
    """A definite refusal: one that gives a reason. Raises: ProviderUnavailable."""
    issue = issue_of(answer)
    if not issue:
        raise ProviderUnavailable(f"PayPal answered {answer.status} and says nothing")
    return Result("failed", error_code=codes.get(issue, issue.lower()))


def value(order: Order) -> dict[str, str]:
    """An order's amount as PayPal writes it. Raises: CannotMove."""
    text = units.to_text(units.PAYPAL, order.amount_minor, order.currency)
    return {"currency_code": order.currency, "value": text}


def seller_fee(breakdown: Any, currency: str) -> int:
    """PayPal's fee in a breakdown, in minor units; 0 where there is none, or in another currency."""
    fee = (breakdown or {}).get("paypal_fee")
    if not fee or fee["currency_code"] != currency:
        return 0
    return units.from_text(units.PAYPAL, fee["value"], currency)
