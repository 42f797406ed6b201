"""Email addresses of accounts: their form, and asking whoever reads them."""

from __future__ import annotations

import unicodedata

from allauth.account.models import EmailAddress
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.utils.translation import gettext_lazy as _
from procrastinate.contrib.django import app

from backend.accounts.models import User
from backend.core import crypto
from backend.core.errors import Invalid
from backend.notifications import suppressions
from backend.notifications.kinds import EMAIL

MAX_EMAIL = 254
VERIFY_JOB, MOVED_JOB = "identity.write_verification", "identity.write_moved"


def clean_email(email: str) -> str:
    """An email address as it is kept: compatibility forms resolved, lower case.

    Raises: Invalid on ``email`` with ``invalid_email``.
    """
    cleaned = unicodedata.normalize("NFKC", email).strip().lower()
    try:
        validate_email(cleaned)
    except ValidationError:
        cleaned = ""
    if not cleaned or len(cleaned) > MAX_EMAIL:
        raise Invalid.field("email", "invalid_email", _("This is not an email address."))
    return cleaned


def ask_for_proof(user: User) -> None:
    """Make the user's address the account's only one, unverified, and have a key mailed to it after the commit."""
    EmailAddress.objects.filter(user=user).delete()
    write_later(EmailAddress.objects.create(user=user, email=user.email, primary=True, verified=False))


def write_later(address: EmailAddress) -> None:
    """Have the key for an address mailed once the transaction around commits."""
    app.configure_task(VERIFY_JOB, queue="mail").defer(address_id=address.pk)


def moved(user: User, former: str) -> None:
    """Ask the new address of an account for proof, and tell the former one that it was changed, after the commit."""
    ask_for_proof(user)
    suppressions.release(user=user, channel=EMAIL)
    app.configure_task(MOVED_JOB, queue="mail").defer(user_id=user.pk, former=crypto.seal(former))
