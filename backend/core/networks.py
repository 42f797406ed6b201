"""Networks of addresses as columns: PostgreSQL's ``cidr``, in Python what ``ipaddress`` makes of it."""

from __future__ import annotations

from ipaddress import IPv6Network, ip_network
from typing import Any

from django.core.exceptions import ValidationError
from django.db import models
from django.utils.translation import gettext_lazy as _

from backend.core.addresses import Network

MAPPED_BITS = 96
"""How many bits of an IPv6 address stand before an IPv4 address that is written as one (``::ffff:a.b.c.d``)."""


def network(text: str) -> Network:
    """The network that ``text`` names: an address, or one with its prefix, whose further bits do not count.

    IPv4 written as IPv6 is given as IPv4, as the addresses of requests are. Raises: ValueError.
    """
    parsed = ip_network(text.strip(), strict=False)
    if isinstance(parsed, IPv6Network) and parsed.prefixlen >= MAPPED_BITS:
        mapped = parsed.network_address.ipv4_mapped
        if mapped is not None:
            return ip_network((mapped, parsed.prefixlen - MAPPED_BITS))
    return parsed


class NetworkField(models.Field):
    """A network; the database refuses what is none."""

    description = "Network"

    def db_type(self, connection: Any) -> str:
        return "cidr"

    def from_db_value(self, value: str | None, expression: Any, connection: Any) -> Network | None:
        return None if value is None else ip_network(value)

    def to_python(self, value: Any) -> Network | None:
        if value is None or not isinstance(value, str):
            return value
        try:
            return network(value)
        except ValueError:
            raise ValidationError(_("This is no network.")) from None

    def get_prep_value(self, value: Any) -> str | None:
        return None if value is None else str(value)
