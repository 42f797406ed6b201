"""Asking others for exchange rates: the European Central Bank, and a service for what the bank does not tell.

Where they are comes from the environment (``ECB_RATES_URL``, ``SECOND_RATES_URL`` with ``{key}`` in it, and
``SECOND_RATES_KEY``). Never inside a transaction.
"""

from __future__ import annotations

from urllib.parse import quote, urlsplit

from django.conf import settings

from backend.core import net, rate_files
from backend.core.rate_files import ECB, Said

PATIENCE_S = 20.0


def central_bank() -> list[Said]:
    """The rates that the central bank told last; none where it is not asked. Raises: FetchFailed, BadRates."""
    return _asked(settings.ECB_RATES_URL, source=ECB) if settings.ECB_RATES_URL else []


def second() -> list[Said]:
    """The rates of the second source, whatever the bank tells of them too. Raises: FetchFailed, BadRates."""
    if not settings.SECOND_RATES_URL:
        return []
    url = settings.SECOND_RATES_URL.replace("{key}", quote(settings.SECOND_RATES_KEY, safe=""))
    return _asked(url, source=(urlsplit(url).hostname or "")[:80])


def _asked(url: str, *, source: str) -> list[Said]:
    fetched = net.fetch(url, total_s=PATIENCE_S)
    return rate_files.read(fetched.body, source=source)
