"""The units in which each provider counts money, which are not always those of ISO 4217.

Our amounts are minor units of ISO 4217. A provider counts in units of its own (``decimals`` of the currency), and may
move only whole ``step``s of ours: Stripe wants 5 Ugandan shillings as 500 and never 501, the Malagasy ariary without
its decimals, the Kuwaiti dinar with a zero at the end; PayPal knows no part of a forint; M-Pesa moves whole shillings.
An amount that a provider cannot move is refused here and never rounded: rounding belongs to whoever decided about the
amount. Pure.

Sources: docs.stripe.com/currencies (zero-decimal, three-decimal and special cases), PayPal's currency codes,
Safaricom's Daraja.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from django.utils.translation import gettext_lazy as _

from backend.core.errors import Invalid
from backend.core.money import Money, MoneyError, exponent

STRIPE, PAYPAL, MPESA = "stripe", "paypal", "mpesa"

_STRIPE_DECIMALS = {"MGA": 0, "ISK": 2, "UGX": 2}
"""Where Stripe's unit is not the one of ISO 4217."""

_STRIPE_STEPS = {"MGA": 100, **dict.fromkeys(("BHD", "JOD", "KWD", "OMR", "TND"), 10)}
"""Of our minor units, where Stripe does not take each of them."""

_STRIPE_PAYOUT_STEPS = {"HUF": 100, "TWD": 100}
"""Beside those: what may be charged to the cent and leaves for a bank in whole units only."""

_PAYPAL_WHOLE = frozenset({"HUF", "JPY", "TWD"})


def _codes(listed: str) -> frozenset[str]:
    return frozenset(listed.split())


_STRIPE_TAKES = _codes(
    "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BWP BYN BZD CAD CDF CHF CLP "
    "CNY COP CRC CVE CZK DJF DKK DOP DZD EGP ETB EUR FJD FKP GBP GEL GIP GMD GNF GTQ GYD HKD HNL HTG HUF IDR ILS INR "
    "ISK JMD JOD JPY KES KGS KHR KMF KRW KWD KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MUR MVR MWK MXN "
    "MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SEK SGD SHP SLE "
    "SOS SRD STD SZL THB TJS TND TOP TRY TTD TWD TZS UAH UGX USD UYU UZS VND VUV WST XAF XCD XOF XPF YER ZAR ZMW"
)
_PAYPAL_TAKES = _codes(
    "AUD BRL CAD CHF CNY CZK DKK EUR GBP HKD HUF ILS JPY MXN MYR NOK NZD PHP PLN SEK SGD THB TWD USD"
)
_TAKES = {STRIPE: _STRIPE_TAKES, PAYPAL: _PAYPAL_TAKES, MPESA: frozenset({"KES"})}


class CannotMove(Invalid):
    """The provider does not know the currency, or cannot move this very amount of it."""

    code = "amount_not_possible"
    title = _("This amount cannot be paid in this way.")


@dataclass(frozen=True, slots=True)
class Unit:
    """How a provider counts a currency: decimals of its unit, and the smallest amount, in our minor units, that it moves."""

    decimals: int
    step: int


def takes(provider: str, currency: str) -> bool:
    """Whether ``provider`` moves ``currency`` at all. One that has no table here (the sandbox) takes everything."""
    return provider not in _TAKES or currency in _TAKES[provider]


def unit(provider: str, currency: str, *, payout: bool = False) -> Unit:
    """How ``provider`` counts ``currency``; a ``payout`` to a bank may have a coarser step. Raises: CannotMove."""
    decimals = exponent(currency)
    if not takes(provider, currency):
        raise _refusal()
    if provider == STRIPE:
        step = _STRIPE_STEPS.get(currency, 1)
        if payout:
            step = max(step, _STRIPE_PAYOUT_STEPS.get(currency, 1))
        return Unit(_STRIPE_DECIMALS.get(currency, decimals), step)
    if provider == MPESA or (provider == PAYPAL and currency in _PAYPAL_WHOLE):
        return Unit(0, 10**decimals)
    return Unit(decimals, 1)


def step(provider: str, currency: str) -> int:
    """The smallest amount, in our minor units, whose multiples ``provider`` can move. Raises: CannotMove."""
    return unit(provider, currency).step


def common_step(currency: str, *, payout: bool = False) -> int:
    """The smallest amount, in our minor units, whose multiples every provider that takes ``currency`` can move."""
    takers = [provider for provider in _TAKES if takes(provider, currency)]
    return max((unit(provider, currency, payout=payout).step for provider in takers), default=1)


def carried() -> dict[str, int]:
    """The currencies in which not everything can be paid out, each with the step below which it is carried over."""
    steps = {code: common_step(code, payout=True) for codes in _TAKES.values() for code in codes}
    return {code: step for code, step in sorted(steps.items()) if step > 1}


def to_provider(provider: str, minor: int, currency: str, *, payout: bool = False) -> int:
    """``minor`` of ours in units of ``provider``. Raises: CannotMove rather than round."""
    known = unit(provider, currency, payout=payout)
    if minor % known.step:
        raise _refusal()
    # A step is at least one of the provider's units, so that nothing is lost here.
    return int(Decimal(minor).scaleb(known.decimals - exponent(currency)))


def from_provider(provider: str, amount: int, currency: str) -> int:
    """``amount`` in units of ``provider`` in our minor units. Raises: CannotMove for a part of one of them."""
    minor = Decimal(amount).scaleb(exponent(currency) - unit(provider, currency).decimals)
    if minor != minor.to_integral_value():
        raise _refusal()
    return int(minor)


def to_text(provider: str, minor: int, currency: str) -> str:
    """``minor`` of ours in major units with as many decimals as ``provider`` writes (``75.50``). Raises: CannotMove."""
    decimals = unit(provider, currency).decimals
    return f"{Decimal(to_provider(provider, minor, currency)).scaleb(-decimals):.{decimals}f}"


def from_text(provider: str, amount: str | int | Decimal, currency: str) -> int:
    """An amount in major units as ``provider`` wrote it (``75.50``, ``1.0``) in our minor units.

    JSON numbers must have been read as ``Decimal``, never as floats. Raises: CannotMove for what is no amount, or finer
    than the currency.
    """
    unit(provider, currency)
    try:
        return Money.from_major(Decimal(amount), currency).minor
    except (MoneyError, InvalidOperation, ValueError):
        raise _refusal() from None


def _refusal() -> Invalid:
    return CannotMove.field("provider", CannotMove.code, CannotMove.title)
