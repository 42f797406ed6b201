"""An import of a file that still names somebody who was erased."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.utils import timezone

from backend.accounts.models import User
from backend.listings.models import Listing
from backend.privacy import cleaning, erasure
from backend.privacy.models import Erasure
from tests.factories import make_user
from tests.jobs.test_import_inside_airbnb import run, small_file

pytestmark = pytest.mark.usefixtures("db")


def test_a_repeated_import_brings_nobody_back(tmp_path: Path) -> None:
    file = small_file(tmp_path, count=3)
    run(file, currency="USD", city="Albany")
    listing = Listing.objects.order_by("pk").first()
    assert listing is not None
    erasure.erase(actor=make_user("admin"), user=listing.host, reason="Letter", now=timezone.now())
    cleaning.clean(Erasure.objects.get().pk, now=timezone.now())
    people = set(User.objects.values_list("username", flat=True))
    emptied = Listing.objects.values().get(pk=listing.pk)

    summary, _said = run(file, currency="USD", city="Albany")

    theirs = Listing.objects.filter(host=listing.host_id).count()
    assert (summary["refused"], summary["reasons"]) == (theirs, {"host_erased": theirs})
    assert Listing.objects.values().get(pk=listing.pk) == emptied
    assert (emptied["description"], emptied["status"]) == ("", "archived")
    assert set(User.objects.values_list("username", flat=True)) == people
