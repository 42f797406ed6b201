"""Fetching foreign URLs: what is bounded, and where no URL leads."""

from __future__ import annotations

import gzip
import os
import socket
import ssl
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from django.db import transaction

from backend.core import net
from backend.core.db import ProviderCallInTransaction
from backend.core.net import FetchFailed
from tests.far_end import far_end

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def loopback(settings):
    settings.ALLOW_LOOPBACK_FETCH = True


@pytest.fixture
def end(loopback):
    with far_end() as server:
        yield server


def refusal(url: str, **options: object) -> str:
    with pytest.raises(FetchFailed) as caught:
        net.fetch(url, **options)
    return caught.value.code


def test_fetch_gives_body_and_validators_and_asks_conditionally(end):
    end.serve("hello", ETag='"one"', Last_Modified="Mon, 01 Mar 2027 09:00:00 GMT")

    first = net.fetch(end.url)
    end.status, end.body = 304, b""
    second = net.fetch(end.url, etag=first.etag, last_modified=first.last_modified)

    assert (first.status, first.body, first.etag) == (200, b"hello", '"one"')
    assert (second.is_unchanged, second.body) == (True, b"")
    assert end.requests[1]["if-none-match"] == '"one"'
    assert end.requests[1]["if-modified-since"] == "Mon, 01 Mar 2027 09:00:00 GMT"
    assert end.requests[0]["host"] == f"127.0.0.1:{end.port}"


def test_fetch_finds_the_address_that_answers(end):
    end.serve("hello")

    assert net.fetch(f"http://localhost:{end.port}/").body == b"hello"
    assert end.requests[0]["host"] == f"localhost:{end.port}"


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("https://127.0.0.1/", "address_refused"),
        ("https://localhost/", "address_refused"),
        ("https://10.1.2.3/", "address_refused"),
        ("https://192.168.0.1/", "address_refused"),
        ("https://169.254.169.254/latest/meta-data/", "address_refused"),
        ("https://100.64.0.1/", "address_refused"),
        ("https://0.0.0.0/", "address_refused"),
        ("https://224.0.0.1/", "address_refused"),
        ("https://[::1]/", "address_refused"),
        ("https://[::ffff:127.0.0.1]/", "address_refused"),
        ("https://[64:ff9b::7f00:1]/", "address_refused"),
        ("https://[2002:7f00:1::]/", "address_refused"),
        ("https://[fd00::1]/", "address_refused"),
        ("https://2130706433/", "address_refused"),
        ("http://1.1.1.1/", "not_https"),
        ("ftp://1.1.1.1/", "bad_url"),
        ("file:///etc/passwd", "bad_url"),
        ("https://user:pass@1.1.1.1/", "bad_url"),
        ("https://1.1.1.1:99999/", "bad_url"),
        ("https://[::1/", "bad_url"),
        ("https:///nowhere", "bad_url"),
        ("https://1.1.1.1/a b", "bad_url"),
        ("https://1.1.1.1/\r\nX-Injected: 1", "bad_url"),
        ("https://1.1.1.1/" + "a" * 2000, "bad_url"),
    ],
)
def test_fetch_refuses_what_leads_elsewhere(url, code):
    assert refusal(url) == code


def test_fetch_allows_plain_http_to_loopback_only(loopback):
    assert refusal("http://1.1.1.1/") == "not_https"
    assert refusal("https://10.1.2.3/") == "address_refused"


def test_is_public_tells_addresses_apart():
    assert [net.is_public(ip_address(each)) for each in ("1.1.1.1", "2606:4700:4700::1111")] == [True, True]
    assert [net.is_public(ip_address(each)) for each in ("127.0.0.1", "::ffff:10.0.0.1", "::")] == [False] * 3


def test_normal_turns_webcal_into_https_and_drops_the_fragment():
    assert net.normal("webcal://calendar.example/x.ics?s=1#top") == "https://calendar.example/x.ics?s=1"


def test_fetch_follows_no_redirect(end):
    end.serve("", Location="https://1.1.1.1/")
    end.status = 302

    assert refusal(end.url) == "redirect"


def test_fetch_names_the_status_of_a_failure(end):
    end.fail(503)

    assert refusal(end.url) == "http_503"


def test_fetch_stops_a_stream_without_end_at_its_size(end):
    def pour(request):
        request.send_response(200)
        request.send_header("Connection", "close")
        request.end_headers()
        for _ in range(800):
            request.wfile.write(b"x" * 65536)

    end.answer = pour
    before = time.monotonic()

    assert refusal(end.url) == "too_large"
    assert time.monotonic() - before < 2


def test_fetch_stops_a_bomb_before_it_unfolds(end):
    end.serve(gzip.compress(b"\0" * 50_000_000), Content_Encoding="gzip")

    assert len(end.body) < net.MAX_BYTES
    assert refusal(end.url) == "too_large"


def test_fetch_reads_gzip_and_refuses_what_it_cannot_read(end):
    end.serve(gzip.compress(b"hello"), Content_Encoding="gzip")
    assert net.fetch(end.url).body == b"hello"

    end.serve(gzip.compress(b"hello")[:-6], Content_Encoding="gzip")
    assert refusal(end.url) == "broken"
    end.serve(b"hello", Content_Encoding="br")
    assert refusal(end.url) == "bad_encoding"


def test_fetch_takes_no_half_answer_for_a_whole_one(end):
    def hang_up(request):
        request.send_response(200)
        request.send_header("Content-Length", "100")
        request.end_headers()
        request.wfile.write(b"only half")
        request.close_connection = True

    end.answer = hang_up

    assert refusal(end.url) == "broken"


@pytest.mark.parametrize("part", ["headers", "body"])
def test_fetch_ends_in_time_however_slowly_it_drips(end, part):
    def drip(request):
        opening = b"HTTP/1.1 200 OK\r\n" + (b"" if part == "headers" else b"Connection: close\r\n\r\n")
        request.wfile.write(opening)
        for _ in range(100):
            request.wfile.write(b"x")
            request.wfile.flush()
            time.sleep(0.05)

    end.answer = drip
    before = time.monotonic()

    assert refusal(end.url, total_s=0.5) == "timeout"
    assert 0.4 < time.monotonic() - before < 2


def test_fetch_ends_in_time_when_nobody_says_a_word(loopback):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        before = time.monotonic()

        assert refusal(f"http://127.0.0.1:{port}/", total_s=0.5) == "timeout"
        assert refusal(f"https://127.0.0.1:{port}/", total_s=0.5) == "timeout"
        assert time.monotonic() - before < 3


def test_fetch_names_what_is_no_http_and_who_is_not_there(loopback):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        def talk():
            for _ in range(2):
                talker, _address = server.accept()
                talker.recv(1024)
                talker.sendall(b"220 mail ready\r\n\r\n")
                talker.close()

        threading.Thread(target=talk, daemon=True).start()
        assert refusal(f"http://127.0.0.1:{port}/") == "broken"
        assert refusal(f"https://127.0.0.1:{port}/") == "tls"
    assert refusal(f"http://127.0.0.1:{port}/") == "unreachable"


def _certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """A certificate of ``name`` that signs itself, and its key, as PEM files."""
    key = ec.generate_private_key(ec.SECP256R1())
    whose = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    today = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(whose)
        .issuer_name(whose)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(today - timedelta(days=1))
        .not_valid_after(today + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate, secret = folder / "certificate.pem", folder / "key.pem"
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return certificate, secret


def test_fetch_checks_the_name_of_the_certificate_though_it_connects_to_an_address(
    loopback, tmp_path, monkeypatch
):
    certificate, key = _certificate(tmp_path, "localhost")
    served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    served.load_cert_chain(certificate, key)
    with far_end(served) as end:
        end.serve("hello")
        url = f"https://localhost:{end.port}/"
        assert refusal(url) == "tls"  # nobody vouches for it

        trusting = ssl.create_default_context(cafile=str(certificate))
        monkeypatch.setattr(net, "_tls", lambda: trusting)

        assert net.fetch(url).body == b"hello"
        assert end.requests[0]["host"] == f"localhost:{end.port}"
        assert refusal(f"https://127.0.0.1:{end.port}/") == "tls"  # another name


@pytest.mark.usefixtures("db")
def test_fetch_is_refused_inside_a_transaction(end):
    with transaction.atomic(), pytest.raises(ProviderCallInTransaction):
        net.fetch(end.url)
    assert end.requests == []


def test_fetch_from_oneself_is_refused_in_production():
    env = {
        **os.environ,
        "ENVIRONMENT": "production",
        "SECRET_KEY": "k" * 60,
        "ALLOWED_HOSTS": "karibu.example",
        "PUBLIC_URL": "https://karibu.example",
        "ALLOW_LOOPBACK_FETCH": "1",
    }

    started = subprocess.run(
        [sys.executable, "-c", "import backend.settings"], cwd=ROOT, env=env, capture_output=True, text=True
    )

    assert started.returncode != 0
    assert "ALLOW_LOOPBACK_FETCH" in started.stderr
