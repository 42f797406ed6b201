"""Where hosts are paid: name an account, go through the provider's papers, choose among several, give one up.

What a provider says of an account is learned from it, by webhook or by asking; nothing here believes the host's browser.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import structlog
from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import transaction
from django.utils.translation import gettext_lazy as _
from procrastinate.contrib.django import app

from backend.accounts.models import HOST
from backend.audit import services as audit
from backend.core import access, fx, idempotency, platform
from backend.core.db import lock, outside_transaction, retrying
from backend.core.errors import Conflict, Invalid, NotFound, Unavailable
from backend.identity import sessions
from backend.listings.models import Listing
from backend.payments import payout_holds, payout_notices
from backend.payments.models import MoneyOp, Payout, PayoutAccount
from backend.payments.payout_receivers import hold_receiver
from backend.payments.providers import registry
from backend.payments.providers.base import (
    AccountState,
    OpensAccounts,
    PaysOut,
    ProviderUnavailable,
)
from backend.payments.states import OPEN_OPS, PayoutStatus

Status = PayoutAccount.Status

MOST = 10
"""How many accounts a person may have that are not disabled."""

ASK_AGAIN = timedelta(minutes=10)
"""How often the provider is asked about an account that waits for it."""

LOOKED_AT = timedelta(minutes=1)
"""How often it is asked while the host looks at the account."""

REFRESH_JOB = "payments.refresh_payout_account"
"""The job that asks; it stands in ``payments.tasks``."""

ASK_FOR = timedelta(days=60)
"""For how long it is asked; after that only its webhooks count."""

log = structlog.get_logger(__name__)


class PayoutsUnderWay(Conflict):
    """Payouts are on their way to this account, or wait and would have nowhere to go."""

    code = "payouts_under_way"
    title = _("Payouts are under way. Add another account first.")


class NoOnboarding(Conflict):
    """The provider asks for nothing more, or never does."""

    code = "no_onboarding"
    title = _("There is nothing to fill in for this account.")


class AccountUnusable(Conflict):
    """A disabled account cannot be chosen."""

    code = "account_disabled"
    title = _("This account is disabled.")


class ProviderSilent(Unavailable):
    """The provider does not answer."""

    title = _("The provider does not answer at the moment. Try again later.")


@access.rule("payout_account.add")
def may_add(actor: Any, subject: None) -> bool:
    """Hosts."""
    return bool(actor.has_role(HOST))


@access.rule("payout_account.change")
def may_change(actor: Any, account: PayoutAccount) -> bool:
    """Whose it is."""
    return bool(account.user_id == actor.pk)


def add(
    *,
    actor: Any,
    provider: str,
    now: datetime,
    currency: str = "",
    country: str = "",
    destination: str = "",
) -> PayoutAccount:
    """Name an account at ``provider``; the first one is where payouts go.

    ``currency`` is what it is paid in (empty: each payout in its listing's), ``destination`` the email address or
    phone number that the provider pays to, where it needs one. A provider that keeps accounts itself is asked to open
    one; it stays ``pending`` until the provider says otherwise (``onboarding_link``), and is asked again later when it
    does not answer now. Never inside a transaction.
    Raises: NotAllowed, StepUpRequired, ProviderUnknown, UnknownCurrency, Invalid (destination, country, too many).
    """
    outside_transaction("a payment provider")
    access.require(actor, "payout_account.add")
    sessions.require_recent(actor, now=now)
    if currency and currency not in fx.offered():
        raise fx.UnknownCurrency.field("currency", fx.UnknownCurrency.code, fx.UnknownCurrency.title)
    adapter = registry.choose_payout(provider, currency or usual_currency(actor), country.upper())
    address, shown = _destination(adapter, destination)
    made = idempotency.made_before()
    account = (
        PayoutAccount.objects.get(pk=made, user=actor)
        if made is not None
        else _write(actor, adapter, currency, country.upper(), address, shown, now)
    )
    return _open(account, adapter, now) if isinstance(adapter, OpensAccounts) else account


@retrying
def _write(
    actor: Any, adapter: PaysOut, currency: str, country: str, address: str, shown: str, now: datetime
) -> PayoutAccount:
    with transaction.atomic(durable=True):
        hold_receiver(actor.pk)
        used = PayoutAccount.objects.filter(user=actor).exclude(status=Status.DISABLED)
        if used.count() >= MOST:
            raise Invalid.field("provider", "too_many", _("You have too many accounts; remove one first."))
        account = PayoutAccount.objects.create(
            user=actor,
            provider=adapter.name,
            currency=currency,
            country=country,
            destination=address,
            shown=shown,
            status=Status.PENDING if isinstance(adapter, OpensAccounts) else Status.ACTIVE,
            created_at=now,
            updated_at=now,
        )
        idempotency.note(account.pk)
        audit.record(
            actor=actor,
            action="payout_account.add",
            subject=account,
            now=now,
            after={"provider": account.provider, "currency": currency},
        )
        if not used.filter(is_default=True).exists():
            _name(account, now)
    return account


def onboarding_link(*, actor: Any, account_id: int, now: datetime) -> str:
    """Where the host goes on with the provider: a link that works once and soon. Never inside a transaction.

    Raises: NotFound, StepUpRequired, NoOnboarding, AccountUnusable, ProviderSilent.
    """
    outside_transaction("a payment provider")
    account = own(actor, account_id)
    sessions.require_recent(actor, now=now)
    adapter = registry.get(account.provider)
    if not isinstance(adapter, OpensAccounts):
        raise NoOnboarding
    if account.status == Status.DISABLED:
        raise AccountUnusable
    if not account.provider_ref:
        account = _open(account, adapter, now)
    here = f"{settings.PUBLIC_URL}/payout-accounts/{account.pk}"
    try:
        if not account.provider_ref:
            raise ProviderSilent
        return adapter.onboarding_link(
            account.provider_ref, return_url=f"{here}?onboarding=done", refresh_url=f"{here}?onboarding=again"
        )
    except ProviderUnavailable as error:
        raise ProviderSilent from error


@retrying
def set_default(*, actor: Any, account_id: int, now: datetime) -> PayoutAccount:
    """Let payouts go to this account from now on. Those that are due wait for a while, and the host is mailed.

    Raises: NotFound, NotAllowed, StepUpRequired, AccountUnusable.
    """
    with transaction.atomic(durable=True):
        account = _held(actor, account_id)
        sessions.require_recent(actor, now=now)
        if account.status == Status.DISABLED:
            raise AccountUnusable
        if not account.is_default:
            before = PayoutAccount.objects.filter(user_id=account.user_id, is_default=True).first()
            _name(account, now)
            audit.record(
                actor=actor,
                action="payout_account.choose",
                subject=account,
                now=now,
                before={"default": before.pk if before else None},
                after={"default": account.pk},
            )
    return account


@retrying
def disable(*, actor: Any, account_id: int, now: datetime) -> None:
    """Give an account up; another one of the host's takes its place. Its row stays for what was paid to it.

    Raises: NotFound, NotAllowed, StepUpRequired, PayoutsUnderWay (on their way to it, or it is the last one and payouts
    wait).
    """
    with transaction.atomic(durable=True):
        account = _held(actor, account_id)
        sessions.require_recent(actor, now=now)
        if account.status == Status.DISABLED:
            return
        others = PayoutAccount.objects.filter(user_id=account.user_id).exclude(pk=account.pk)
        heir = others.exclude(status=Status.DISABLED).order_by("id").first()
        owed = Payout.objects.filter(receiver_id=account.user_id, status__in=payout_holds.WAITING)
        sent = MoneyOp.objects.filter(payout__account=account, state__in=OPEN_OPS)
        travelling = Payout.objects.filter(account=account, status=PayoutStatus.SENT)
        if sent.exists() or travelling.exists() or (heir is None and owed.exists()):
            raise PayoutsUnderWay
        was_default = account.is_default
        account.status, account.is_default, account.updated_at = Status.DISABLED, False, now
        account.save(update_fields=["status", "is_default", "updated_at"])
        audit.record(actor=actor, action="payout_account.remove", subject=account, now=now)
        if was_default and heir is not None:
            _name(heir, now)
        elif was_default:
            payout_holds.reassess(account.user_id, now)


def learn(*, provider: str, state: AccountState, now: datetime) -> PayoutAccount | None:
    """Take over what a provider says of an account; None when it is none of ours.

    One that is restricted holds its host's payouts and says so to them; once it works again they go on.
    """
    account = PayoutAccount.objects.filter(provider=provider, provider_ref=state.reference).first()
    return None if account is None else _take_over(account.pk, state, now)


def refresh_pending(*, now: datetime) -> dict[str, int]:
    """Ask the providers about accounts that wait for them, each after a while. Never inside a transaction."""
    outside_transaction("a payment provider")
    counts = {"asked": 0, "silent": 0}
    waiting = PayoutAccount.objects.filter(
        status=Status.PENDING, updated_at__lte=now - ASK_AGAIN, created_at__gt=now - ASK_FOR
    )
    for account in waiting.order_by("updated_at")[:100]:
        adapter = registry.configured().get(account.provider)
        if isinstance(adapter, OpensAccounts):
            counts["asked" if _ask(account, adapter, now) else "silent"] += 1
    return counts


def refresh_later(account: PayoutAccount, *, now: datetime) -> None:
    """Have the provider asked soon about an account that waits for it and that somebody looks at."""
    if account.status != Status.PENDING:
        return
    with transaction.atomic():
        stale = PayoutAccount.objects.filter(pk=account.pk, updated_at__lte=now - LOOKED_AT)
        if stale.update(updated_at=now):
            app.configure_task(REFRESH_JOB, queue="payments").defer(account_id=account.pk)


def refresh(account_id: int, *, now: datetime) -> None:
    """Ask the provider about one account that waits for it. Never inside a transaction."""
    outside_transaction("a payment provider")
    account = PayoutAccount.objects.filter(pk=account_id, status=Status.PENDING).first()
    adapter = registry.configured().get(account.provider) if account else None
    if account is not None and isinstance(adapter, OpensAccounts):
        _ask(account, adapter, now)


def _ask(account: PayoutAccount, adapter: OpensAccounts, now: datetime) -> bool:
    """Take over what the provider says of an account, or open it there at last; whether it answered."""
    PayoutAccount.objects.filter(pk=account.pk).update(updated_at=now)
    try:
        if account.provider_ref:
            _take_over(account.pk, adapter.account(account.provider_ref), now)
        else:
            account = _open(account, adapter, now)
    except ProviderUnavailable:
        return False
    return bool(account.provider_ref)


def usual_currency(user: Any) -> str:
    """The currency that a host's payouts are in when their account does not say: of their first listing, else their own."""
    of_listing = Listing.objects.filter(host_id=user.pk).order_by("id").values_list("currency", flat=True)
    return of_listing.first() or user.profile.currency or str(platform.get("currency"))


def own(actor: Any, account_id: int) -> PayoutAccount:
    """One's own account. Raises: NotFound."""
    account = PayoutAccount.objects.filter(user_id=actor.pk, pk=account_id).first()
    if account is None:
        raise NotFound
    return account


def _held(actor: Any, account_id: int) -> PayoutAccount:
    account = own(actor, account_id)
    access.require(actor, "payout_account.change", account)
    hold_receiver(account.user_id)
    return lock(PayoutAccount.objects.select_related("user"), pk=account_id)


def _name(account: PayoutAccount, now: datetime) -> None:
    """Let payouts go to ``account``. The receiver is held. In another's place they wait for a while."""
    others = PayoutAccount.objects.filter(user_id=account.user_id).exclude(pk=account.pk)
    takes_place = others.exists()
    others.filter(is_default=True).update(is_default=False, updated_at=now)
    account.is_default, account.updated_at = True, now
    account.replaced_at = now if takes_place else None
    account.save(update_fields=["is_default", "replaced_at", "updated_at"])
    if takes_place:
        payout_notices.account_changed(account, now)
    payout_holds.reassess(account.user_id, now)


def _open(account: PayoutAccount, adapter: OpensAccounts, now: datetime) -> PayoutAccount:
    """Have the provider open an account; asked twice it gives the same one. One that does not answer is asked later."""
    try:
        state = adapter.open_account(
            key=f"payout-account:{account.pk}:{int(account.created_at.timestamp())}",
            email=account.user.email,
            country=account.country,
            currency=account.currency,
        )
    except ProviderUnavailable as error:
        log.warning("payout_accounts.provider_silent", account=account.pk, error=str(error))
        return account
    except Invalid:
        _withdraw(account, now)
        raise
    return _take_over(account.pk, state, now)


@retrying
def _withdraw(account: PayoutAccount, now: datetime) -> None:
    """The provider has refused to open it: it never was."""
    with transaction.atomic(durable=True):
        hold_receiver(account.user_id)
        PayoutAccount.objects.filter(pk=account.pk, provider_ref="").update(
            status=Status.DISABLED, is_default=False, updated_at=now
        )
        payout_holds.reassess(account.user_id, now)


@retrying
def _take_over(account_id: int, state: AccountState, now: datetime) -> PayoutAccount:
    user_id = PayoutAccount.objects.values_list("user_id", flat=True).get(pk=account_id)
    with transaction.atomic():
        hold_receiver(user_id)
        account = lock(PayoutAccount.objects.select_related("user"), pk=account_id)
        before = account.status
        account.provider_ref = account.provider_ref or state.reference
        account.requirements = list(state.requirements)
        account.shown = state.shown or account.shown
        account.country = state.country or account.country
        if before != Status.DISABLED:
            account.status = state.status
            account.is_default = account.is_default and state.status != Status.DISABLED
        account.updated_at = now
        account.save()
        if account.status != before:
            if account.status == Status.RESTRICTED:
                payout_notices.account_restricted(account, now)
            payout_holds.reassess(user_id, now)
    return account


def _destination(adapter: PaysOut, given: str) -> tuple[str, str]:
    """What a host named to be paid to, as it is kept, and as it may be shown. Raises: Invalid."""
    text = given.strip()
    if adapter.pays_to == "email":
        try:
            validate_email(text)
        except ValidationError:
            raise Invalid.field("destination", "invalid_email", _("This is no email address.")) from None
        name, _at, domain = text.rpartition("@")
        return text, f"{name[:1]}•••@{domain}"
    if adapter.pays_to == "phone":
        digits = "".join(char for char in text if char not in " -()")
        number = digits.removeprefix("+")
        # No country's code begins with 0: such a number was written as it is dialed at home.
        if not (number.isascii() and number.isdigit() and 9 <= len(number) <= 15 and number[0] != "0"):
            raise Invalid.field(
                "destination", "invalid_phone", _("This is no phone number with its country code.")
            )
        return f"+{number}", f"•••• {number[-2:]}"
    if text and adapter.name != "sandbox":
        raise Invalid.field("destination", "not_needed", _("The provider asks for this itself."))
    return text[:80], text[:80]
