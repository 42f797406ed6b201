"""Only trusted proxies may say whose request they carry."""

from __future__ import annotations

import pytest

from backend.core.addresses import UNKNOWN, client_address, is_trusted, subject

PROXIES = ("10.0.0.0/8", "fd00::/8", "192.0.2.1")


@pytest.mark.parametrize(
    ("remote", "forwarded", "trusted", "address"),
    [
        ("203.0.113.9", "", (), "203.0.113.9"),
        ("203.0.113.9", "1.2.3.4", (), "203.0.113.9"),
        ("203.0.113.9", "1.2.3.4", PROXIES, "203.0.113.9"),
        ("10.0.0.1", "1.2.3.4", PROXIES, "1.2.3.4"),
        ("10.0.0.1", "6.6.6.6, 1.2.3.4", PROXIES, "1.2.3.4"),
        ("10.0.0.1", "6.6.6.6, 1.2.3.4, 10.0.0.2, 192.0.2.1", PROXIES, "1.2.3.4"),
        ("10.0.0.1", "10.0.0.7", PROXIES, "10.0.0.7"),
        ("10.0.0.1", "", PROXIES, "10.0.0.1"),
        ("10.0.0.1", "nonsense", PROXIES, "10.0.0.1"),
        ("10.0.0.1", "1.2.3.4, nonsense", PROXIES, "10.0.0.1"),
        ("fd00::1", "2001:db8::5", PROXIES, "2001:db8::5"),
        ("::ffff:10.0.0.1", "::ffff:1.2.3.4", PROXIES, "1.2.3.4"),
        ("", "1.2.3.4", PROXIES, UNKNOWN),
        ("testclient", "1.2.3.4", PROXIES, UNKNOWN),
    ],
)
def test_client_address_believes_trusted_hops_only(
    remote: str, forwarded: str, trusted: tuple[str, ...], address: str
) -> None:
    assert client_address(remote, forwarded, trusted) == address


def test_subject_takes_ipv6_by_its_network() -> None:
    assert subject("2001:db8:1:2:3:4:5:6") == subject("2001:db8:1:2::9") == "2001:db8:1:2::/64"
    assert subject("203.0.113.9") == "203.0.113.9"


def test_is_trusted_knows_networks() -> None:
    assert is_trusted("10.1.2.3", PROXIES)
    assert not is_trusted("11.1.2.3", PROXIES)
    assert not is_trusted("", PROXIES)
