"""An erasure whose worker is killed in the middle of a step."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from django.utils import timezone

from backend.listings.models import Photo
from backend.privacy import cleaning, erasure
from backend.privacy.models import Erasure
from tests.conftest import ROOT, _environment
from tests.factories import NOW, PASSWORD, make_listing, make_user

pytestmark = pytest.mark.usefixtures("db")

MANY = 1500
WORKER = """
import django
django.setup()
from django.utils import timezone
from backend.privacy import cleaning
cleaning.resume(now=timezone.now())
"""


def test_what_was_done_before_the_kill_stays_and_the_rest_follows(tmp_path: Path) -> None:
    host = make_user(password=PASSWORD)
    listing = make_listing(host)
    Photo.objects.bulk_create(
        Photo(
            listing=listing,
            file=f"listings/{listing.pk}/{n}.webp",
            position=n % 1000,
            created_at=NOW,
            width=1,
            height=1,
        )
        for n in range(MANY)
    )
    erasure.erase(actor=host, user=host, now=timezone.now(), password=PASSWORD)
    environment = _environment(0, tmp_path) | {"DJANGO_SETTINGS_MODULE": "backend.settings"}
    worker = subprocess.Popen([sys.executable, "-c", WORKER], cwd=ROOT, env=environment)
    deadline = time.monotonic() + 60
    while Photo.objects.count() == MANY and time.monotonic() < deadline:
        time.sleep(0.01)

    worker.send_signal(signal.SIGKILL)
    worker.wait()

    left = Photo.objects.count()
    assert 0 < left < MANY
    assert (Erasure.objects.get().steps, Erasure.objects.get().finished_at) == ([], None)
    assert cleaning.resume(now=timezone.now()) == {"finished": 1, "left": 0}
    assert Photo.objects.count() == 0
    assert Erasure.objects.get().steps == [name for name, _step in cleaning.STEPS]
