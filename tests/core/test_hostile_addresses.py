"""Hosts that lead back inside, each written in some way that a careless filter lets through. None is ever asked."""

from __future__ import annotations

import socket
from socket import AF_INET, AF_INET6, SOCK_STREAM
from typing import Any

import pytest

from backend.core import net
from backend.core.net import FetchFailed
from tests.far_end import far_end

HOSTS = {
    "loopback, in all its spellings": (
        "127.0.0.1 127.0.0.0 127.1 127.0.1 127.255.255.254 2130706433 0x7f000001 0x7f.0.0.1 0x7f.1 "
        "017700000001 0177.0.0.1 0177.0.0.01 127.0.0.1. 00000177.0.0.1 ①②⑦.⓪.⓪.① １２７.０.０.１ 127。0。0。1 "
        "localhost LOCALHOST localhost. ⓛocalhost"
    ),
    "nobody's, everybody's, documentation, benchmarks": (
        "0 0.0.0.0 0x0 00 0.1.2.3 192.0.0.1 192.0.2.1 192.88.99.1 198.18.0.1 198.19.255.255 198.51.100.7 "
        "203.0.113.9 224.0.0.1 239.255.255.250 240.0.0.1 255.255.255.255 4294967295"
    ),
    "private networks and carriers' own": (
        "10.0.0.1 10.255.255.255 167772161 0xa000001 012.1.2.3 10.1 172.16.0.1 172.31.255.255 2886729729 "
        "192.168.0.1 192.168.257 3232235521 0xc0a80001 0300.0250.0.1 100.64.0.1 100.127.255.255"
    ),
    "metadata of clouds": (
        "169.254.169.254 2852039166 0xa9fea9fe 0251.0376.0251.0376 169.254.43518 169.254.170.2 "
        "100.100.100.200 192.0.0.192"
    ),
    "IPv6: loopback, link-local, unique local, documentation, multicast": (
        "[::] [::1] [0:0:0:0:0:0:0:1] [0000:0000:0000:0000:0000:0000:0000:0001] [2001:db8::1] [2001:10::1] "
        "[2001:2::1] [100::1] [5f00::1] [3fff::1] [fc00::1] [fd00::1] [fd00:ec2::254] [fe80::1] "
        "[fe80::1%25lo] [fe80::1%lo] [fec0::1] [ff01::1] [ff02::1] [ff05::1:3] [::1%25lo] [fe80::a9fe:a9fe]"
    ),
    "IPv4 inside of IPv6: mapped, compatible, NAT64, 6to4, Teredo": (
        "[::127.0.0.1] [::7f00:1] [::ffff:127.0.0.1] [::ffff:7f00:1] [::ffff:10.0.0.1] "
        "[::ffff:169.254.169.254] [::ffff:a9fe:a9fe] [::ffff:0:127.0.0.1] [64:ff9b::127.0.0.1] "
        "[64:ff9b::7f00:1] [64:ff9b::a9fe:a9fe] [64:ff9b::1.1.1.1] [64:ff9b:1::7f00:1] "
        "[64:ff9b:1::10.0.0.1] [2002:7f00:1::] [2002:a9fe:a9fe::1] [2002:c0a8:1::] [2001:0:7f00:1::] "
        "[2001:0000:4136:e378:8000:63bf:3fff:fdd2] [::ffff:0.0.0.0] [::ffff:224.0.0.1]"
    ),
}
WRITTEN = [host for hosts in HOSTS.values() for host in hosts.split()]


def refusal(url: str) -> str:
    with pytest.raises(FetchFailed) as caught:
        net.fetch(url)
    return caught.value.code


def test_the_list_is_as_long_as_it_says():
    assert len(set(WRITTEN)) >= 100


@pytest.mark.parametrize("host", WRITTEN)
def test_no_way_of_writing_an_inner_address_leads_there(host):
    assert [refusal(f"https://{host}{rest}") for rest in ("/", ":8443/feed.ics", "?a=1")] == [
        "address_refused"
    ] * 3


class NameServer:
    """Stands in for the machine's resolver: gives each question the next of its answers, and counts."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.asked = 0

    def __call__(self, name: str, port: int, **_: Any) -> list[Any]:
        answer = self.answers[min(self.asked, len(self.answers) - 1)]
        self.asked += 1
        return [
            (
                AF_INET6 if ":" in each else AF_INET,
                SOCK_STREAM,
                6,
                "",
                (each, port) + ((0, 0) if ":" in each else ()),
            )
            for each in answer
        ]


@pytest.mark.parametrize(
    "answer",
    [
        ["1.1.1.1", "127.0.0.1"],
        ["127.0.0.1", "1.1.1.1"],
        ["2606:4700:4700::1111", "::1"],
        ["1.1.1.1", "fe80::1%lo"],
        ["1.1.1.1", "169.254.169.254"],
        ["::ffff:10.0.0.1"],
    ],
)
def test_a_name_with_one_inner_address_is_refused_whole(monkeypatch, answer):
    names = NameServer(answer)
    monkeypatch.setattr(net, "getaddrinfo", names)

    assert refusal("https://calendar.example/") == "address_refused"
    assert names.asked == 1


def test_a_name_that_changes_its_answer_is_asked_once_and_believed_once(monkeypatch, settings):
    settings.ALLOW_LOOPBACK_FETCH = True
    with far_end() as first, socket.create_server(("127.0.0.2", first.port)) as second:
        first.serve("first")
        names = NameServer(["127.0.0.1"], ["127.0.0.2"])
        monkeypatch.setattr(net, "getaddrinfo", names)

        fetched = net.fetch(f"http://calendar.example:{first.port}/")

        second.settimeout(0.1)
        with pytest.raises(TimeoutError):
            second.accept()
    assert (fetched.body, names.asked, len(first.requests)) == (b"first", 1, 1)


@pytest.mark.parametrize("status", [300, 301, 302, 303, 305, 307, 308])
def test_no_redirect_leads_anywhere(settings, status):
    settings.ALLOW_LOOPBACK_FETCH = True
    with far_end() as inner, far_end() as outer:
        outer.serve("", Location=inner.url, Refresh=f"0; url={inner.url}")
        outer.status = status

        assert refusal(outer.url) == "redirect"
        assert (len(outer.requests), inner.requests) == (1, [])
