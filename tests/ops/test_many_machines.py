"""The form for many machines: what its files name exists, and nothing that runs there is left without bounds."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from backend.settings import Environment
from tests.conftest import ROOT

NAMES = {name.upper() for name in Environment.__dataclass_fields__}
OURS = ("migrate", "web", "sockets", "worker")


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
    return document


def _template() -> str:
    return (ROOT / "ops/nginx/karibu.conf.template").read_text()


def test_every_name_in_compose_is_one_that_the_settings_read(compose: dict[str, Any]) -> None:
    for name in OURS:
        assert set(compose["services"][name]["environment"]) <= NAMES
        assert compose["services"][name]["env_file"] == [{"path": ".env", "required": False}]


def test_the_example_names_every_setting_once() -> None:
    text = (ROOT / "ops/environment.example").read_text()
    named = re.findall(r"(?m)^#?([A-Z][A-Z0-9_]*)=", text)

    assert sorted(named) == sorted(NAMES)


def test_the_environment_of_compose_is_one_that_production_starts_with(compose: dict[str, Any]) -> None:
    given = {
        name: re.sub(r"\$\{SITE:-(\w+)\}", r"\1", value).replace("${SECRET_KEY:?set it in .env}", "k" * 60)
        for name, value in compose["services"]["web"]["environment"].items()
    }

    env = Environment.read(given)

    assert (env.environment, env.database_pooled, env.public_url) == ("production", "1", "https://localhost")
    assert "pgbouncer:6432" in env.database_url
    assert "@postgres:5432" in env.database_direct_url
    assert env.trusted_proxies == (compose["services"]["proxy"]["networks"]["inside"]["ipv4_address"],)


def test_nginx_is_told_all_that_its_template_asks_and_nothing_else(compose: dict[str, Any]) -> None:
    asked = set(re.findall(r"\$\{([A-Z_]+)\}", _template()))

    assert set(compose["services"]["proxy"]["environment"]) == asked


def test_the_proxy_keeps_what_the_application_relies_on() -> None:
    text = _template()

    # Dropping headers with underscores is nginx' default; here a client could pass for another address.
    assert "underscores_in_headers" not in text
    # Slow senders wait in the proxy, and what may have been done is not sent again.
    assert "proxy_request_buffering" not in text
    assert "non_idempotent" not in text
    assert "proxy_set_header X-Forwarded-For $remote_addr;" in text
    assert "location = /metrics { return 404; }" in text


def test_idle_connections_end_before_a_process_that_was_told_to_does() -> None:
    from backend.web import DRAIN_S, GRACE_S

    (kept,) = re.findall(r"keepalive 64;\s+#[^\n]*\n\s+keepalive_timeout (\d+)s;", _template())
    compose = yaml.safe_load((ROOT / "compose.yaml").read_text())

    assert float(kept) < DRAIN_S
    assert float(compose["services"]["web"]["stop_grace_period"].removesuffix("s")) > DRAIN_S + GRACE_S


def test_every_part_starts_again_knows_how_it_is_and_has_a_bound(compose: dict[str, Any]) -> None:
    once = {"migrate", "certificate"}
    lasting = {name: part for name, part in compose["services"].items() if name not in once}

    assert {name for name, part in lasting.items() if part["restart"] != "unless-stopped"} == set()
    unbounded = {
        name for name, part in lasting.items() if "memory" not in part["deploy"]["resources"]["limits"]
    }
    assert unbounded == set()
    assert {name for name, part in lasting.items() if "healthcheck" not in part} == {"web", "sockets", "mail"}
    for name in OURS:
        part = compose["services"][name]
        assert (part["read_only"], part["cap_drop"]) == (True, ["ALL"])


def test_the_image_runs_as_nobody_in_particular_and_says_how_it_is() -> None:
    lines = (ROOT / "Dockerfile").read_text()

    assert "\nUSER 10001\n" in lines
    assert "\nHEALTHCHECK " in lines
    assert lines.rstrip().endswith(
        'CMD ["python", "-m", "backend.web", "--host", "0.0.0.0", "--port", "8000"]'
    )
    assert "--require-hashes" in lines
    ignored = set((ROOT / ".dockerignore").read_text().split())
    assert {".git", ".env", ".venv", "var"} <= ignored
