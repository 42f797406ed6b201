"""What a device is called: the browser and the system that a user agent names, in words that people know.

Only names, no versions: a browser that was updated over night is the same device. Nothing is decided by it but whether
somebody is told of a sign-in, and what the list of devices reads like.
"""

from __future__ import annotations

import ipaddress
import re

from django.utils.translation import gettext as _

_BROWSERS = (
    ("Edg", "Edge"),
    ("OPR", "Opera"),
    ("SamsungBrowser", "Samsung Internet"),
    ("YaBrowser", "Yandex"),
    ("Vivaldi", "Vivaldi"),
    ("DuckDuckGo", "DuckDuckGo"),
    ("FxiOS", "Firefox"),
    ("Firefox", "Firefox"),
    ("CriOS", "Chrome"),
    ("Chrome", "Chrome"),
    ("Chromium", "Chrome"),
)
"""Word in a user agent → browser. Each claims to be those below it, so the first one counts."""

_SYSTEMS = (
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("CrOS", "ChromeOS"),
    ("Windows", "Windows"),
    ("Macintosh", "macOS"),
    ("Mac OS X", "macOS"),
    ("Darwin", "macOS"),
    ("Linux", "Linux"),
)
_PRODUCT = re.compile(r"[^\s/();,]{1,40}")

NEAR_V4, NEAR_V6 = 24, 48
"""Addresses of one network, by the length of its prefix, count as one place."""

Place = tuple[str, str]


def parts(user_agent: str) -> tuple[str, str]:
    """Browser (or the app's own name) and system that ``user_agent`` names; "" for what it does not say."""
    system = next((name for word, name in _SYSTEMS if word in user_agent), "")
    browser = next((name for word, name in _BROWSERS if re.search(rf"\b{word}[A-Za-z]*/", user_agent)), "")
    if not browser and "Safari/" in user_agent and "Version/" in user_agent:
        browser = "Safari"
    if not browser:
        product = _PRODUCT.match(user_agent)
        browser = product[0] if product and product[0] != "Mozilla" else ""
    return browser, system


def readable(user_agent: str) -> str:
    """``Firefox on Linux``, in the active language; "" when the user agent says nothing."""
    browser, system = parts(user_agent)
    if browser and system:
        return _("%(browser)s on %(system)s") % {"browser": browser, "system": system}
    return browser or system


def network(address: str) -> Place:
    """The first and the last address of the network that ``address`` counts to."""
    parsed = ipaddress.ip_address(address)
    length = NEAR_V4 if parsed.version == 4 else NEAR_V6
    around = ipaddress.ip_network((parsed, length), strict=False)
    return str(around[0]), str(around[-1])
