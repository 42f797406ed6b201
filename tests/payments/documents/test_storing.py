"""The bytes of a document: made once, kept private, given out for ever."""

from __future__ import annotations

import hashlib
import stat
from pathlib import Path
from typing import Any

import pytest
from django.core.files.storage import default_storage
from django.db import transaction
from django.test import Client
from django.utils import translation

from backend.core.db import ProviderCallInTransaction
from backend.core.errors import Unavailable
from backend.payments.documents import rendering, storing
from backend.payments.models import Document
from backend.payments.tasks import render_documents
from tests.payments.desk import make_folio, pay
from tests.payments.documents.making import invoiced, say
from tests.racing import race

pytestmark = pytest.mark.usefixtures("db")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, settings: Any) -> Path:
    """Where private files are kept during the test."""
    private = {**settings.STORAGES["private"]["OPTIONS"], "location": tmp_path / "private"}
    settings.STORAGES = {
        **settings.STORAGES,
        "private": {**settings.STORAGES["private"], "OPTIONS": private},
    }
    return tmp_path / "private"


def issued() -> Document:
    return invoiced(pay(make_folio()))


def files(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.rglob("*")) if path.is_file()]


def test_the_job_makes_and_keeps_a_document_once(folder: Path) -> None:
    document = issued()

    render_documents([document.pk])
    render_documents([document.pk])

    document.refresh_from_db()
    (file,) = files(folder)
    assert file == folder / document.file
    assert document.file.startswith("documents/2027/KRB-INV-2027-000001-")
    assert hashlib.sha256(file.read_bytes()).hexdigest() == document.sha256
    assert file.read_bytes() == rendering.pdf(document)


def test_files_are_for_our_own_eyes(folder: Path) -> None:
    document = issued()
    storing.content(document)

    (file,) = files(folder)

    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert not default_storage.exists(document.file)
    assert Client().get(f"/media/{document.file}").status_code == 404


def test_whoever_comes_before_the_job_has_the_same_bytes(folder: Path) -> None:
    document = issued()

    early = storing.content(document)
    render_documents([document.pk])

    assert storing.content(Document.objects.get(pk=document.pk)) == early
    assert len(files(folder)) == 1


def test_what_was_made_is_given_out_whatever_changes_later() -> None:
    document = issued()
    before = storing.content(document)

    say(issuer_name="Somebody else")
    with translation.override("fr"):
        after = storing.content(Document.objects.get(pk=document.pk))

    assert after == before


def test_rivals_keep_one_file_and_give_out_the_same(folder: Path) -> None:
    document = issued()

    made = race(*[lambda: storing.content(Document.objects.get(pk=document.pk))] * 6)

    assert [type(each) for each in made] == [bytes] * 6
    assert len(set(made)) == 1
    assert [path.relative_to(folder).as_posix() for path in files(folder)] == [
        Document.objects.get(pk=document.pk).file
    ]


def test_a_lost_file_is_made_again(folder: Path) -> None:
    document = issued()
    before = storing.content(document)
    (file,) = files(folder)
    file.unlink()

    assert storing.content(document) == before
    assert file.read_bytes() == before


def test_a_file_that_was_changed_is_not_given_out(folder: Path) -> None:
    document = issued()
    storing.content(document)
    (file,) = files(folder)
    file.write_bytes(b"%PDF-1.7 something else")

    with pytest.raises(Unavailable):
        storing.content(document)

    assert file.read_bytes() == b"%PDF-1.7 something else"


def test_storage_is_not_asked_inside_of_a_transaction(folder: Path) -> None:
    document = issued()

    with transaction.atomic(), pytest.raises(ProviderCallInTransaction):
        storing.content(document)

    assert not files(folder)


@pytest.mark.parametrize("code", ["A/B", "../x", "Ürün", "a b"])
def test_no_name_of_an_issuer_leads_out_of_the_folder(code: str, folder: Path) -> None:
    say(issuer_code=code)
    document = issued()

    storing.content(document)

    (file,) = files(folder)
    assert file.parent == folder / "documents" / "2027"
    assert set(storing.filename(document)) <= set(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_."
    )
