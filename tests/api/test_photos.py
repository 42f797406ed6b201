"""Pictures of listings over HTTP: from the upload to the file and away again."""

from __future__ import annotations

import io
import struct
import time
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import PIL.Image
import psycopg
import pytest
from django.conf import settings as django_settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import OperationalError, connection, connections

from backend.listings import photos
from backend.listings.models import Listing, Photo
from tests import later
from tests.api.client import ApiClient
from tests.factories import NOW, PASSWORD, make_listing, make_user
from tests.listings.pictures import GPS, drawn, encoded, with_gps

pytestmark = pytest.mark.usefixtures("db", "media")

JPEG = encoded(drawn())


@pytest.fixture
def media(tmp_path: Path, settings: Any) -> Path:
    settings.MEDIA_ROOT = tmp_path
    return tmp_path


def upload(
    client: ApiClient, listing: Listing, content: bytes = JPEG, name: str = "a.jpg", **form: Any
) -> Any:
    file = SimpleUploadedFile(name, content)
    return client.upload(f"/api/properties/{listing.pk}/photos/", {"file": file, **form})


def added(client: ApiClient, listing: Listing, **form: Any) -> dict[str, Any]:
    response = upload(client, listing, **form)
    assert response.status_code == 201, response.content
    answer: dict[str, Any] = response.json()
    return answer


def shown(listing: Listing) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = ApiClient().get(f"/api/properties/{listing.pk}/").json()["photos"]
    return found


def stored(media: Path) -> list[Path]:
    return sorted(path for path in media.rglob("*") if path.is_file())


def refused(response: Any, status: int, code: str, field: str | None = None) -> None:
    problem = response.json()
    assert response.status_code == status, problem
    if field is None:
        assert problem["code"] == code
    else:
        assert [(error["field"], error["code"]) for error in problem["errors"]] == [(field, code)]


def fetch(url: str) -> Any:
    """The file behind an address that the API gave out."""
    path = url.removeprefix("http://127.0.0.1:8000/media/")
    return PIL.Image.open(io.BytesIO((Path(django_settings.MEDIA_ROOT) / path).read_bytes()))


def test_add_photo_can_be_seen_at_once() -> None:
    listing = make_listing()

    answer = added(ApiClient(listing.host), listing, caption="The balcony")

    assert {name: answer[name] for name in ("caption", "order", "is_cover")} == {
        "caption": "The balcony",
        "order": 0,
        "is_cover": True,
    }
    assert answer["thumbnail_url"] == answer["url"]
    assert fetch(answer["url"]).size == (1600, 1000)
    assert shown(listing) == [answer]


def test_add_photo_makes_smaller_sizes_in_a_job() -> None:
    listing = make_listing()
    answer = added(ApiClient(listing.host), listing)
    with connection.cursor() as cursor:
        cursor.execute("SELECT args FROM procrastinate_jobs WHERE task_name = 'listings.make_photo_sizes'")
        assert cursor.fetchall() == [(f'{{"photo_id": {answer["id"]}}}',)]

    photos.make_sizes(answer["id"])
    photos.make_sizes(answer["id"])

    (after,) = shown(listing)
    assert after["url"] == answer["url"] != after["thumbnail_url"]
    assert fetch(after["thumbnail_url"]).size == (480, 300)
    assert sorted(Photo.objects.get().sizes) == ["1200", "480"]


def test_add_photo_strips_where_it_was_taken(media: Path) -> None:
    listing = make_listing()
    sent = with_gps()
    assert PIL.Image.open(io.BytesIO(sent)).getexif().get_ifd(GPS)

    answer = added(ApiClient(listing.host), listing, content=sent)
    photos.make_sizes(answer["id"])

    assert len(stored(media)) == 3
    for path in stored(media):
        assert b"SecretCameraMaker" not in path.read_bytes()
        assert b"Exif" not in path.read_bytes()
        assert dict(PIL.Image.open(io.BytesIO(path.read_bytes())).getexif()) == {}


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF", "HEIF"])
def test_add_photo_takes_each_format_whatever_its_name_says(kind: str) -> None:
    listing = make_listing()

    answer = added(ApiClient(listing.host), listing, content=encoded(drawn((300, 200)), kind), name="x.txt")

    assert fetch(answer["url"]).size == (300, 200)


def bomb() -> bytes:
    """A PNG of 13,000 × 13,000 pixels in a few kilobytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 13_000, 13_000, 1, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\x00" * 1000))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (bomb(), "image_too_large"),
        (b"", "unsupported_image"),
        (b"GIF89a" + b"\x00" * 50, "unsupported_image"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'><script/></svg>", "unsupported_image"),
        (JPEG[: len(JPEG) // 2], "broken_image"),
    ],
)
def test_add_photo_refuses_what_is_no_picture(content: bytes, code: str, media: Path) -> None:
    listing = make_listing()

    response = upload(ApiClient(listing.host), listing, content)

    refused(response, 422, code, "file")
    assert (Photo.objects.count(), stored(media)) == (0, [])


@pytest.mark.parametrize(
    ("form", "field", "code"),
    [
        ({"order": "-1"}, "order", "too_small"),
        ({"order": "x"}, "order", "invalid_integer"),
        ({"caption": "x" * 201}, "caption", "too_long"),
        ({"is_cover": "perhaps"}, "is_cover", "invalid_boolean"),
        ({"title": "x"}, "title", "unknown_field"),
    ],
)
def test_add_photo_refuses_bad_values(form: dict[str, str], field: str, code: str, media: Path) -> None:
    listing = make_listing()

    refused(upload(ApiClient(listing.host), listing, **form), 422, code, field)

    assert (Photo.objects.count(), stored(media)) == (0, [])


def test_add_photo_needs_a_file() -> None:
    listing = make_listing()

    response = ApiClient(listing.host).upload(f"/api/properties/{listing.pk}/photos/", {"caption": "none"})

    refused(response, 422, "required", "file")


def test_add_photo_over_the_most_is_refused(monkeypatch: pytest.MonkeyPatch, media: Path) -> None:
    listing = make_listing()
    monkeypatch.setattr(photos, "MOST", 1)
    added(ApiClient(listing.host), listing)

    refused(upload(ApiClient(listing.host), listing), 409, "too_many_photos")

    assert (Photo.objects.count(), len(stored(media))) == (1, 1)


@contextmanager
def lost_at_commit(*, is_committed: bool) -> Iterator[None]:
    """The connection breaks at the next COMMIT that this thread sends: after it was carried out, or before it came."""
    connection.ensure_connection()
    broken, commit = connection.connection, connection.connection.commit

    def cut() -> None:
        if is_committed:
            commit()
        broken.close()
        raise psycopg.OperationalError("server closed the connection unexpectedly")

    broken.commit = cut
    yield
    connection.close()


@pytest.mark.parametrize("is_committed", [True, False])
def test_file_of_a_lost_commit_goes_only_when_no_photo_has_it(is_committed: bool, media: Path) -> None:
    listing = make_listing()

    with lost_at_commit(is_committed=is_committed), pytest.raises(OperationalError):
        photos.add(actor=listing.host, listing=listing, file=io.BytesIO(JPEG), now=NOW)

    assert (Photo.objects.count(), len(stored(media))) == (int(is_committed), 1)
    assert later.run("listings.remove_unused_photo_file") == 1
    assert [media / str(photo.file) for photo in Photo.objects.all()] == stored(media)
    assert len(stored(media)) == int(is_committed)


def test_photos_of_others_are_out_of_reach(media: Path) -> None:
    listing, other = make_listing(), make_listing()
    hidden = make_listing(status="draft")
    photo = added(ApiClient(listing.host), listing)
    foreign = f"/api/properties/{other.pk}/photos/{photo['id']}/"
    path = f"/api/properties/{listing.pk}/photos/{photo['id']}/"

    refused(upload(ApiClient(other.host), listing), 403, "not_allowed")
    refused(upload(ApiClient(other.host), hidden), 404, "not_found")
    refused(upload(ApiClient(), listing), 401, "unauthenticated")
    refused(ApiClient(other.host).patch(path, {"caption": "mine"}), 403, "not_allowed")
    refused(ApiClient(other.host).delete(path), 403, "not_allowed")
    refused(ApiClient(other.host).patch(foreign, {"caption": "mine"}), 404, "not_found")
    refused(ApiClient(other.host).delete(foreign), 404, "not_found")

    assert shown(listing) == [photo]
    assert len(stored(media)) == 1


def test_patch_photo_puts_it_in_order() -> None:
    listing = make_listing()
    client = ApiClient(listing.host)
    first, second, third = (added(client, listing)["id"] for _ in range(3))

    moved = client.patch(f"/api/properties/{listing.pk}/photos/{third}/", {"order": 0}).json()
    fourth = added(client, listing, order=1)

    assert (moved["order"], fourth["order"]) == (0, 1)
    assert [(row["id"], row["order"]) for row in shown(listing)] == [
        (third, 0),
        (fourth["id"], 1),
        (first, 2),
        (second, 3),
    ]


def test_patch_photo_passes_the_cover_on() -> None:
    listing = make_listing()
    client = ApiClient(listing.host)
    first, second = (added(client, listing)["id"] for _ in range(2))

    answer = client.patch(
        f"/api/properties/{listing.pk}/photos/{second}/", {"is_cover": True, "caption": "View"}
    ).json()

    assert (answer["is_cover"], answer["caption"]) == (True, "View")
    assert [(row["id"], row["is_cover"]) for row in shown(listing)] == [(first, False), (second, True)]
    response = client.patch(f"/api/properties/{listing.pk}/photos/{second}/", {"is_cover": False})
    refused(response, 422, "cover_needed", "is_cover")
    assert [(row["id"], row["is_cover"]) for row in shown(listing)] == [(first, False), (second, True)]


def test_patch_photo_changes_the_listings_version() -> None:
    listing = make_listing()
    client = ApiClient(listing.host)
    photo = added(client, listing)
    tag = client.get(f"/api/properties/{listing.pk}/")["ETag"]

    client.patch(f"/api/properties/{listing.pk}/photos/{photo['id']}/", {"caption": "x"})

    refused(
        client.patch(f"/api/properties/{listing.pk}/", {"title": "y"}, if_match=tag),
        412,
        "precondition_failed",
    )


def test_delete_photo_takes_its_files_and_passes_the_cover_on(media: Path) -> None:
    listing = make_listing()
    client = ApiClient(listing.host)
    first, second = (added(client, listing) for _ in range(2))
    photos.make_sizes(first["id"])
    assert len(stored(media)) == 4

    response = client.delete(f"/api/properties/{listing.pk}/photos/{first['id']}/")

    assert (response.status_code, response.content) == (204, b"")
    assert [(row["id"], row["is_cover"]) for row in shown(listing)] == [(second["id"], True)]
    assert len(stored(media)) == 1
    refused(client.delete(f"/api/properties/{listing.pk}/photos/{first['id']}/"), 404, "not_found")


def test_make_sizes_after_the_deletion_leaves_no_file(media: Path) -> None:
    listing = make_listing()
    photo = Photo.objects.get(pk=added(ApiClient(listing.host), listing)["id"])
    photos.delete(actor=listing.host, photo=photo, now=NOW)

    photos.make_sizes(photo.pk)

    assert stored(media) == []


def test_two_covers_at_once_leave_one() -> None:
    listing = make_listing()
    host = listing.host
    ids = [added(ApiClient(host), listing)["id"] for _ in range(5)]

    def choose(photo_id: int) -> bool:
        try:
            photo = Photo.objects.select_related("listing").get(pk=photo_id)
            return photos.change(actor=host, photo=photo, now=NOW, is_cover=True).is_cover
        finally:
            connections.close_all()

    with ThreadPoolExecutor(5) as threads:
        assert list(threads.map(choose, ids)) == [True] * 5

    assert Photo.objects.filter(listing=listing, is_cover=True).count() == 1


def test_two_first_photos_at_once_leave_one_cover() -> None:
    listing = make_listing()

    def send(_number: int) -> Photo:
        try:
            return photos.add(actor=listing.host, listing=listing, file=io.BytesIO(JPEG), now=NOW)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as threads:
        sent = list(threads.map(send, range(4)))

    assert sorted(photo.position for photo in sent) == [0, 1, 2, 3]
    assert [photo.is_cover for photo in sent].count(True) == 1


def test_photo_over_real_http_is_made_smaller_by_the_worker(start_server: Any) -> None:
    listing = make_listing(make_user(password=PASSWORD))
    server = start_server(worker=True)
    with httpx.Client(base_url=server.url, timeout=10) as client:
        signed_in = client.post("/api/login/", json={"username": listing.host.username, "password": PASSWORD})
        token = signed_in.json()["token"]
        sent = client.post(
            f"/api/properties/{listing.pk}/photos/",
            files={"file": ("a.jpg", JPEG, "image/jpeg")},
            data={"caption": "Sea", "is_cover": "true"},
            headers={"Authorization": f"Bearer {token}"},
        )
        assert sent.status_code == 201, sent.text
        answer = sent.json()
        assert client.get(answer["url"]).headers["Content-Type"] == "image/jpeg"

        deadline = time.monotonic() + 30
        while True:
            (photo,) = client.get(f"/api/properties/{listing.pk}/").json()["photos"]
            if photo["thumbnail_url"] != photo["url"] or time.monotonic() > deadline:
                break
            time.sleep(0.2)

        small = PIL.Image.open(io.BytesIO(client.get(photo["thumbnail_url"]).content))
    assert (small.size, photo["caption"]) == ((480, 300), "Sea")


def test_a_person_without_a_role_has_no_photos_to_change() -> None:
    listing = make_listing()

    refused(upload(ApiClient(make_user("guest")), listing), 403, "not_allowed")
