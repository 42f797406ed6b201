"""Every field of every table is either somebody's, or declared to be nobody's."""

from __future__ import annotations

import pytest
from django.apps import apps
from django.contrib.postgres.fields import ArrayField
from django.db import models

from backend.privacy import registry
from backend.privacy.impersonal import IMPERSONAL
from backend.privacy.registry import PERSONAL, UNOWNED, Fate

SPEAKING = (
    models.CharField,
    models.TextField,
    models.JSONField,
    models.FileField,
    models.GenericIPAddressField,
    models.BinaryField,
    ArrayField,
)


def _named(label: str) -> set[str]:
    named = {field for each in PERSONAL if each.model == label for field in each.fields}
    return named | set(UNOWNED.get(label, ())) | set(IMPERSONAL.get(label, "").split())


def test_every_field_that_may_speak_is_named() -> None:
    forgotten = {
        f"{model._meta.label}.{field.name}"
        for model in apps.get_models(include_auto_created=True)
        for field in model._meta.concrete_fields
        if isinstance(field, SPEAKING) and not field.choices and field.name not in _named(model._meta.label)
    }

    assert forgotten == set()


def test_what_is_named_exists() -> None:
    labels = {*(each.model for each in PERSONAL), *UNOWNED, *IMPERSONAL}
    missing = {
        f"{label}.{name}"
        for label in labels
        for name in _named(label)
        if name not in {field.name for field in apps.get_model(label)._meta.get_fields()}
    }

    assert missing == set()


def test_nothing_is_personal_and_impersonal_at_once() -> None:
    twice = {
        f"{each.model}.{field}"
        for each in PERSONAL
        for field in each.fields
        if field in IMPERSONAL.get(each.model, "").split()
    }

    assert twice == set()


def test_whatever_stays_or_is_not_exported_says_why() -> None:
    silent = {
        f"{each.model} {each.fields}"
        for each in PERSONAL
        if not each.why and (each.fate is Fate.KEPT or not each.section)
    }

    assert silent == set()


@pytest.mark.usefixtures("db")
def test_every_owner_leads_to_a_user_and_every_blank_is_taken_by_its_column() -> None:
    for each in PERSONAL:
        rows = each.rows(0)
        assert not rows.exists()
        if each.fate is Fate.BLANKED and each.model != "privacy.Erasure":
            assert rows.exclude(**each.blanks()).update(**each.blanks()) == 0


def test_blank_is_what_a_column_takes_for_nothing() -> None:
    blanks = {field.name: registry.blank(field) for field in apps.get_model("accounts.Profile")._meta.fields}

    assert (blanks["bio"], blanks["languages"], blanks["notification_preferences"]) == ("", [], {})
    assert blanks["response_rate"] is None
