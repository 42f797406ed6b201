"""Fields that are plain in Python and sealed in the table, and the migrations that make them so."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.apps import apps
from django.core.exceptions import FieldError
from django.db import IntegrityError, connection, models
from django.test import override_settings

from backend.accounts.models import Profile
from backend.core import crypto, sealed, sealing
from tests.factories import make_user

pytestmark = pytest.mark.usefixtures("db")

PHONE, OTHER = "+254712345678", "+351912345678"


def stored(profile: Profile) -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT phone FROM profiles WHERE user_id = %s", [profile.pk])
        return str(cursor.fetchone()[0])


def write_by_save(profile: Profile) -> None:
    profile.phone = PHONE
    profile.save()


def write_by_named_save(profile: Profile) -> None:
    profile.phone = PHONE
    profile.save(update_fields=["phone"])


def write_by_update(profile: Profile) -> None:
    Profile.objects.filter(pk=profile.pk).update(phone=PHONE)


def write_by_bulk_update(profile: Profile) -> None:
    profile.phone = PHONE
    Profile.objects.bulk_update([profile], ["phone"])


def write_by_bulk_create(profile: Profile) -> None:
    Profile.objects.filter(pk=profile.pk).delete()
    Profile.objects.bulk_create([Profile(user_id=profile.user_id, phone=PHONE)])


@pytest.mark.parametrize(
    "write",
    [write_by_save, write_by_named_save, write_by_update, write_by_bulk_update, write_by_bulk_create],
)
def test_every_way_of_writing_seals_and_can_be_found(write: Callable[[Profile], None]) -> None:
    profile, other = make_user().profile, make_user().profile

    write(profile)

    assert stored(profile).startswith(f"sealed:v2:{crypto.present().name}:")
    assert PHONE not in stored(profile)
    assert Profile.objects.get(pk=profile.user_id).phone == PHONE
    assert list(Profile.objects.filter(phone=PHONE).values_list("pk", "phone")) == [(profile.user_id, PHONE)]
    assert list(Profile.objects.filter(phone="+254 (712) 345-678").values_list("pk", flat=True)) == [
        profile.user_id
    ]
    assert list(Profile.objects.filter(phone="").values_list("pk", flat=True)) == [other.pk]
    assert list(Profile.objects.exclude(phone=PHONE).values_list("pk", flat=True)) == [other.pk]
    both = Profile.objects.filter(phone__in=[PHONE, "", OTHER]).order_by("pk")
    assert list(both.values_list("pk", flat=True)) == [profile.user_id, other.pk]
    assert not Profile.objects.filter(phone__in=[]).exists()
    assert not Profile.objects.filter(phone=OTHER).exists()
    assert not Profile.objects.filter(phone__isnull=True).exists()


@pytest.mark.parametrize("lookup", ["contains", "icontains", "startswith", "iexact", "gt", "regex", "lower"])
def test_other_look_ups_are_refused(lookup: str) -> None:
    with pytest.raises(FieldError, match="phone is sealed"):
        Profile.objects.filter(**{f"phone__{lookup}": "+2547"}).exists()
    with pytest.raises(FieldError, match="phone is sealed"):
        Profile.objects.filter(phone=models.F("bio")).exists()


def test_field_without_index_is_looked_up_by_nothing_but_empty() -> None:
    from backend.accounts.models import PhoneCode

    assert not PhoneCode.objects.filter(phone="").exists()
    with pytest.raises(FieldError, match="no blind index"):
        PhoneCode.objects.filter(phone=PHONE).exists()


def test_look_up_finds_what_lies_under_an_older_key_and_uses_the_index() -> None:
    profile = make_user().profile
    write_by_save(profile)

    with override_settings(ENCRYPTION_KEYS=["an encryption key of this year"]):
        assert Profile.objects.get(phone=PHONE) == profile
        Profile.objects.filter(phone=PHONE).update(phone=OTHER)
        assert Profile.objects.get(phone=OTHER) == profile
        assert crypto.name_of(stored(profile)) == crypto.present().name
        with connection.cursor() as cursor:
            cursor.execute("SET enable_seqscan = off")
            plan = Profile.objects.filter(phone=OTHER).explain()
            cursor.execute("RESET enable_seqscan")
        assert "profiles_phone" in plan


@pytest.mark.parametrize("text", [PHONE, "sealed", "sealed:"])
def test_database_refuses_what_is_not_sealed(text: str) -> None:
    profile = make_user().profile
    with pytest.raises(IntegrityError, match="profiles_phone_sealed"), connection.cursor() as cursor:
        cursor.execute("UPDATE profiles SET phone = %s", [text])

    assert stored(profile) == ""


def test_text_under_a_lost_key_is_said_aloud() -> None:
    profile = make_user().profile
    with override_settings(ENCRYPTION_KEYS=["a key that will be lost"]):
        write_by_save(profile)

    with pytest.raises(crypto.NotSealed):
        Profile.objects.get(pk=profile.pk)


def test_sealed_json_keeps_its_value_and_nothing_of_an_empty_one() -> None:
    field = sealed.SealedJSONField(default=list)
    guests = [{"name": "Zoë Ångström", "age": 4}]

    stored_as = field.get_db_prep_save(guests, connection)

    assert stored_as.startswith("sealed:v2:")
    assert field.from_db_value(stored_as, None, connection) == guests
    assert field.get_db_prep_save([], connection) == ""
    assert field.from_db_value("", None, connection) == []


def test_every_sealed_column_of_the_database_refuses_plain_texts() -> None:
    fields = {(field.model._meta.db_table, field.column) for field in sealed.fields()}
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT conrelid::regclass::text, attname FROM pg_constraint"
            " JOIN pg_attribute ON attrelid = conrelid AND attnum = ANY(conkey)"
            " WHERE contype = 'c' AND pg_get_constraintdef(pg_constraint.oid) LIKE '%starts_with(%sealed:v%'"
        )
        found = set(cursor.fetchall())

    assert found == fields
    assert ("profiles", "phone") in fields


@pytest.mark.parametrize(("empty", "kept"), [("", "one"), ("[]", '["one"]')])
def test_migration_seals_in_batches_can_be_taken_again_and_back(
    empty: str, kept: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sealing, "BATCH", 3)
    texts = [kept, empty, "sealed:v2:looks like one", kept, kept, kept, kept]
    guard = sealing.only_sealed("scratch", "secret")
    operation = sealing.seal("scratch", "secret", index="phone", empty=empty)

    def content() -> list[str]:
        with connection.cursor() as cursor:
            cursor.execute("SELECT secret FROM scratch ORDER BY id")
            return [text for (text,) in cursor.fetchall()]

    def run(step: Any, *, back: bool = False) -> None:
        with connection.schema_editor(atomic=False) as editor:
            (step.database_backwards if back else step.database_forwards)("core", editor, State(), State())

    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE scratch (id bigserial PRIMARY KEY, secret text NOT NULL)")
        cursor.executemany("INSERT INTO scratch (secret) VALUES (%s)", [[text] for text in texts])
    try:
        run(operation)
        once = content()
        run(operation)
        run(guard)
        run(guard)

        assert content() == once
        assert [crypto.unseal(text) if text else empty for text in once] == texts
        assert once[1] == ""

        run(guard, back=True)
        run(operation, back=True)
        assert content() == texts
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP TABLE scratch")


class State:
    """What operations ask of a state of migrations, when they look at no model."""

    apps = apps
    clear_delayed_apps_cache = staticmethod(lambda: None)
