"""Whose address a request has: only a trusted proxy may say that it speaks for another."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Network = IPv4Network | IPv6Network

UNKNOWN = "0.0.0.0"  # noqa: S104 - a value in logs and limits, nothing listens there
"""The address of who has none, as over a Unix socket."""


def client_address(remote: str, forwarded_for: str, trusted: Sequence[str]) -> str:
    """The address that sent the request: ``remote``, or the rightmost untrusted hop that trusted proxies report.

    ``trusted`` holds addresses and networks. From anybody else ``forwarded_for`` (the header X-Forwarded-For)
    is not believed. An IPv4 address mapped into IPv6 is given as IPv4; what is no address as ``UNKNOWN``.
    """
    address = _parse(remote)
    if address is None:
        return UNKNOWN
    networks = _networks(tuple(trusted))
    if _within(address, networks):
        for hop in reversed(forwarded_for.split(",")):
            told = _parse(hop.strip())
            if told is None:
                break
            address = told
            if not _within(told, networks):
                break
    return str(address)


def subject(address: str) -> str:
    """The address as the subject of a limit: IPv6 by its /64, which is what one customer gets."""
    parsed = _parse(address)
    if isinstance(parsed, IPv6Address):
        return str(ip_network((parsed, 64), strict=False))
    return address


def is_trusted(remote: str, trusted: Sequence[str]) -> bool:
    """Whether ``remote`` is one of the trusted proxies."""
    address = _parse(remote)
    return address is not None and _within(address, _networks(tuple(trusted)))


@lru_cache(maxsize=4096)
def _parse(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


@lru_cache(maxsize=8)
def _networks(trusted: tuple[str, ...]) -> tuple[Network, ...]:
    return tuple(ip_network(entry, strict=False) for entry in trusted)


def _within(address: IPv4Address | IPv6Address, networks: tuple[Network, ...]) -> bool:
    return any(address.version == network.version and address in network for network in networks)
