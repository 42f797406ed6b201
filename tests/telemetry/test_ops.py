"""The rules and the picture for those who watch: they ask for nothing that is not told."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.test import Client

OPS = Path(__file__).resolve().parent.parent.parent / "ops"

NAME = re.compile(r"karibu_\w+")
SELECTED = re.compile(r"(karibu_\w+)\{([^}]*)\}")
ONLY_BY_LABEL = {"histogram": ("_bucket", "_sum", "_count"), "counter": ("",), "gauge": ("",)}


def rules() -> list[dict[str, Any]]:
    return [
        rule
        for group in yaml.safe_load((OPS / "prometheus/alerts.yaml").read_text())["groups"]
        for rule in group["rules"]
    ]


def asked() -> dict[str, list[str]]:
    """Whoever asks → its expressions."""
    board = json.loads((OPS / "grafana/karibu.json").read_text())
    found = {rule["alert"]: [rule["expr"]] for rule in rules()}
    for panel in board["panels"]:
        if panel["type"] != "row":
            found[f"panel {panel['title']}"] = [target["expr"] for target in panel["targets"]]
    return found


@pytest.fixture
def told(db: None) -> set[str]:
    """The names of the series that /metrics tells, those without any row of today among them."""
    text = Client().get("/metrics").content.decode()
    return {
        f"{name}{end}"
        for name, kind in re.findall(r"(?m)^# TYPE (\w+) (\w+)$", text)
        for end in ONLY_BY_LABEL[kind]
    }


def test_rules_and_panels_ask_for_what_is_told(told: set[str]) -> None:
    missing = {
        who: sorted({name for each in expressions for name in NAME.findall(each)} - told)
        for who, expressions in asked().items()
    }

    assert {who: names for who, names in missing.items() if names} == {}


def test_everything_that_is_told_is_on_the_board(told: set[str]) -> None:
    shown = {
        name
        for who, each in asked().items()
        if who.startswith("panel")
        for text in each
        for name in NAME.findall(text)
    }
    families = {re.sub(r"_(bucket|sum|count)$", "", name) for name in shown}

    assert {name for name in told if re.sub(r"_(bucket|sum|count)$", "", name) not in families} == {
        "karibu_deliveries_oldest_seconds",
        "karibu_webhook_attempt_seconds_bucket",
        "karibu_webhook_attempt_seconds_count",
        "karibu_webhook_attempt_seconds_sum",
        "karibu_webhook_deliveries_late_seconds",
        "karibu_backup_kept_back_bytes",
    }


def test_every_rule_says_what_is_wrong_how_bad_it_is_and_what_to_do() -> None:
    for rule in rules():
        assert rule["labels"]["severity"] in ("page", "ticket"), rule["alert"]
        assert len(rule["annotations"]["summary"]) > 20, rule["alert"]
        assert len(rule["annotations"]["runbook"]) > 40, rule["alert"]
    names = [rule["alert"] for rule in rules()]
    assert len(set(names)) == len(names)


def test_rules_select_labels_that_are_told() -> None:
    known = {
        "karibu_http_requests_total": {"door", "status"},
        "karibu_http_request_seconds_bucket": {"door"},
        "karibu_http_statements_total": {"door"},
        "karibu_jobs": {"state"},
        "karibu_provider_calls_total": {"provider", "outcome"},
        "karibu_feeds_unwell": {"status"},
        "karibu_backup_age_seconds": {"kind"},
    }
    selected = [
        (name, label)
        for expressions in asked().values()
        for text in expressions
        for name, inner in SELECTED.findall(text)
        for label in re.findall(r"(\w+)=", inner)
    ]

    assert {(name, label) for name, label in selected if label not in known.get(name, ())} == set()
