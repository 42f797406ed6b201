"""Jobs of this package, a line each."""

from __future__ import annotations

from django.utils import timezone
from procrastinate import RetryStrategy
from procrastinate.contrib.django import app

from backend.core import crypto
from backend.identity import checks, emails, letters, phones, proofs

AGAIN = RetryStrategy(max_attempts=6, exponential_wait=4)
"""After 4 s, 16 s, … seventeen minutes; then the user has asked again."""


@app.task(name=emails.VERIFY_JOB, queue="mail", retry=AGAIN)
def write_verification(address_id: int) -> None:
    """Mail the key that proves an address."""
    letters.write_verification(address_id, now=timezone.now())


@app.task(name=proofs.RESET_JOB, queue="mail", retry=AGAIN)
def write_reset(email: str) -> None:
    """Mail the token that sets a new password; the address is sealed."""
    letters.write_reset(crypto.unseal(email), now=timezone.now())


@app.task(name=emails.MOVED_JOB, queue="mail", retry=AGAIN)
def write_moved(user_id: int, former: str) -> None:
    """Tell the former address (sealed) of an account."""
    letters.write_changed_address(user_id, crypto.unseal(former), now=timezone.now())


@app.task(name=phones.TEXT_JOB, queue="mail", retry=AGAIN)
def text_code(user_id: int) -> None:
    """Send a code to a phone."""
    letters.text_code(user_id, now=timezone.now())


@app.task(name=checks.REMOVE_JOB, queue="files", retry=RetryStrategy(max_attempts=20, exponential_wait=3))
def remove_pictures(names: list[str]) -> None:
    """Delete pictures of identity documents that were decided on."""
    checks.remove_pictures(names)
