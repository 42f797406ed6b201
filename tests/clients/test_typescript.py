"""The TypeScript client: what is committed is what its sources give, and it works at a live server."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from django.core.management import call_command

from api.management.commands import export_asyncapi
from backend.bookings.models import Booking
from backend.messaging.models import Message
from tests.clients.conftest import CLIENT, Run
from tests.conftest import ROOT, Server

AGAIN = "run npm ci && npm run generate && npm run demo in clients/typescript"


def test_asyncapi_document_is_the_committed_one() -> None:
    committed = export_asyncapi.DOCUMENT.read_text(encoding="utf-8")

    assert committed == export_asyncapi.rendered(), "run manage.py export_asyncapi"
    call_command("export_asyncapi", "--check")


def test_generated_types_are_those_of_the_documents(run: Run, tmp_path: Path) -> None:
    documents = [ROOT / "api" / name for name in ("openapi.json", "asyncapi.json")]

    run("node", "scripts/generate.mjs", *documents, tmp_path)

    committed = {path.name: path.read_bytes() for path in (CLIENT / "src" / "schema").iterdir()}
    assert committed == {path.name: path.read_bytes() for path in tmp_path.iterdir()}, AGAIN


def test_page_is_what_its_source_gives(run: Run, tmp_path: Path) -> None:
    run("node", "scripts/demo.mjs", tmp_path / "app.js")

    assert (ROOT / "api" / "demo" / "app.js").read_bytes() == (tmp_path / "app.js").read_bytes(), AGAIN


@pytest.mark.usefixtures("db")
def test_guest_and_host_live_by_the_client(run: Run, server: Server) -> None:
    run("tsc", "--strict", "--noEmit", "false", "--outDir", "build")

    run("node", "--experimental-websocket", "build/test/journey.js", server.url)

    assert list(Booking.objects.values_list("status", flat=True)) == ["confirmed"]
    written = Message.objects.filter(kind="text").order_by("seq")
    assert list(written.values_list("body", flat=True)) == ["We come by train.", "At eight."]


def test_package_is_built_with_its_types(run: Run, workshop: Path) -> None:
    run("tsc", "-p", "tsconfig.build.json")

    entry = json.loads((workshop / "package.json").read_text())["exports"]["."]
    assert all((workshop / path).is_file() for path in entry.values())


def test_lock_file_names_no_address() -> None:
    lock = (CLIENT / "package-lock.json").read_text()

    assert re.findall(r'"resolved"|\.tgz"', lock) == []
