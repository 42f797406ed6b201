"""What a listing is recognized by is taken while its host goes on working on it."""

from __future__ import annotations

import threading
import time

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection, connections, transaction

from backend.listings import photos
from backend.listings.models import Photo
from backend.moderation import prints
from backend.moderation.models import ListingPrint, PhotoPrint
from tests.factories import NOW, make_listing
from tests.listings.pictures import drawn, encoded

pytestmark = pytest.mark.usefixtures("db")


def _somebody_waits() -> bool:
    """Whether a session of this database waits for another one's row."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_clear_snapshot()")
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        return bool(cursor.fetchone()[0])


def test_a_photo_that_is_taken_down_meanwhile_gets_no_print_and_breaks_nothing() -> None:
    listing = make_listing()
    gone, stays = (
        photos.add(actor=listing.host, listing=listing, file=_picture(width), now=NOW) for width in (64, 80)
    )
    raised: list[Exception] = []

    def take() -> None:
        try:
            prints.take(listing, NOW)
        except Exception as error:  # whatever it is, nothing may be
            raised.append(error)
        finally:
            connections.close_all()

    taking = threading.Thread(target=take, daemon=True)
    with transaction.atomic():
        Photo.objects.filter(pk=gone.pk).delete()
        taking.start()
        while not _somebody_waits():
            assert taking.is_alive()
            time.sleep(0.01)
    taking.join(60)

    assert not taking.is_alive()
    assert raised == []
    assert list(PhotoPrint.objects.values_list("photo_id", flat=True)) == [stays.pk]
    assert ListingPrint.objects.get().listing_id == listing.pk


def _picture(width: int) -> SimpleUploadedFile:
    return SimpleUploadedFile("a.jpg", encoded(drawn((width, 48))))
