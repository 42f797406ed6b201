"""Pictures and files of messages: what is taken in, who gets it out, and how long it stays."""

from __future__ import annotations

import io
import time
from datetime import timedelta
from typing import Any

import PIL.Image
import pytest
from django.core.files.storage import storages
from django.core.files.uploadedfile import SimpleUploadedFile

from backend.core import platform
from backend.core.errors import Invalid, NotFound, Throttled
from backend.messaging import attaching, links
from backend.messaging import services as messaging
from backend.messaging.models import Attachment, Conversation, Message
from tests import later
from tests.api.client import ApiClient
from tests.factories import NOW, make_user
from tests.listings.pictures import drawn, encoded
from tests.messaging.making import frames, make_cohost, say, talk

pytestmark = pytest.mark.usefixtures("db")

PDF = b"%PDF-1.7\n1 0 obj <</Type /Catalog>> endobj\n%%EOF\n"


def _upload(conversation: Conversation, content: bytes, name: str = "a.bin", **fields: Any) -> Attachment:
    values: dict[str, Any] = {"actor": conversation.guest, "now": NOW, **fields}
    return attaching.upload(conversation_id=conversation.pk, file=io.BytesIO(content), name=name, **values)


def _stored() -> list[str]:
    """Every file of messages in the private storage."""
    found = []
    storage = storages["private"]
    for folder in storage.listdir("messages")[0] if storage.exists("messages") else []:
        found += [f"messages/{folder}/{name}" for name in storage.listdir(f"messages/{folder}")[1]]
    return sorted(found)


def test_pictures_are_written_anew_and_get_a_thumbnail() -> None:
    conversation = talk()
    exif = PIL.Image.Exif()
    exif[0x010E] = "secret garden"
    buffer = io.BytesIO()
    drawn((1600, 900)).convert("RGB").save(buffer, "JPEG", exif=exif.tobytes())

    attachment = _upload(conversation, buffer.getvalue(), "../../Mein Haus<script>.png")
    attaching.make_thumbnail(attachment.pk)

    attachment.refresh_from_db()
    assert (attachment.kind, attachment.content_type, attachment.name) == (
        "image",
        "image/jpeg",
        "Mein Hausscript.jpg",
    )
    assert (attachment.width, attachment.height) == (1600, 900)
    with storages["private"].open(str(attachment.file)) as file:
        content = file.read()
    assert b"secret garden" not in content
    assert attachment.size == len(content)
    with storages["private"].open(attachment.thumbnail) as file, PIL.Image.open(file) as small:
        assert small.size == (480, 270)
    before = _stored()
    attaching.make_thumbnail(attachment.pk)
    assert _stored() == before


@pytest.mark.parametrize(
    ("content", "name", "shown", "content_type"),
    [
        (PDF, "House rules.pdf", "House rules.pdf", "application/pdf"),
        (PDF, "evil.exe", "evil.pdf", "application/pdf"),
        (b"<script>alert(1)</script>", "page.html", "page.txt", "text/plain"),
        ("Čau, 世界\r\n".encode(), "", "file.txt", "text/plain"),
    ],
)
def test_files_are_what_their_content_says(content: bytes, name: str, shown: str, content_type: str) -> None:
    attachment = _upload(talk(), content, name)

    assert (attachment.kind, attachment.name, attachment.content_type) == ("file", shown, content_type)


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "empty_file"),
        (b"MZ\x90\x00\x03", "unsupported_file"),
        (b"PK\x03\x04\x14\x00", "unsupported_file"),
        (b"text with a \x00 in it", "unsupported_file"),
        (b"\xff\xfeh\x00i\x00", "unsupported_file"),
        (b"GIF89a\x01\x00\x01\x00\x80", "unsupported_file"),
        (b"RIFF\x24\x00\x00\x00WAVEfmt ", "unsupported_image"),
        (encoded(drawn((400, 300)))[:-500], "broken_image"),
        (b"\x89PNG\r\n\x1a\n" + b"\x00" * 40, "unsupported_image"),
        (b"%PDF-" + b"x" * attaching.LARGEST, "file_too_large"),
    ],
)
def test_hostile_files_are_refused_and_leave_nothing(content: bytes, code: str) -> None:
    conversation, before = talk(), _stored()

    with pytest.raises(Invalid) as refused:
        _upload(conversation, content)

    assert [(each.field, each.code) for each in refused.value.errors] == [("file", code)]
    assert (Attachment.objects.count(), _stored()) == (0, before)


def test_upload_is_for_those_who_are_in_it_and_not_without_end() -> None:
    conversation = talk()
    keeper = make_cohost(conversation.listing, "messages")
    platform.put("limit_attachments_user", 1)

    with pytest.raises(NotFound):
        _upload(conversation, PDF, actor=make_user())
    assert _upload(conversation, PDF, actor=keeper).uploader == keeper
    with pytest.raises(Throttled):
        _upload(conversation, PDF, actor=keeper)
    assert Attachment.objects.count() == 1


def test_send_takes_ones_own_attachments_once() -> None:
    conversation, other = talk(), talk()
    guest, host = conversation.guest, conversation.listing.host
    picture = _upload(conversation, encoded(drawn((64, 48))))
    paper = _upload(conversation, PDF, "plan.pdf")
    elsewhere = _upload(other, PDF)
    theirs = _upload(conversation, PDF, actor=host)

    for wrong in ([elsewhere.pk], [theirs.pk], [picture.pk, 987654321]):
        with pytest.raises(Invalid) as refused:
            say(guest, conversation, "Look", attachment_ids=wrong)
        assert refused.value.errors[0].code == "unknown_attachment"
    with pytest.raises(Invalid) as refused:
        say(guest, conversation, "Look", attachment_ids=range(1, 12))
    assert refused.value.errors[0].code == "too_many_attachments"
    assert Message.objects.filter(conversation=conversation).count() == 1
    seen = say(guest, conversation, "", attachment_ids=[picture.pk], client_id="p-1")
    again, is_new = messaging.send(
        sender=guest,
        conversation_id=conversation.pk,
        body="",
        attachment_ids=[picture.pk],
        client_id="p-1",
        now=NOW,
    )
    mixed = say(guest, conversation, "And the plan", attachment_ids=[paper.pk])

    assert (seen.kind, again.pk, is_new) == ("image", seen.pk, False)
    assert mixed.kind == "file"
    assert [[each["id"] for each in frame["attachments"]] for frame in frames(host)] == [
        [],
        [picture.pk],
        [paper.pk],
    ]
    with pytest.raises(Invalid):
        say(guest, conversation, "Once more", attachment_ids=[paper.pk])


def test_addresses_open_for_a_while_and_only_what_they_name(monkeypatch: pytest.MonkeyPatch) -> None:
    conversation = talk()
    client = ApiClient(conversation.guest)
    path = f"/api/conversations/{conversation.pk}/attachments/"
    file = SimpleUploadedFile("The plan.pdf", PDF, "application/pdf")
    made = client.upload(path, {"file": file})
    assert made.status_code == 201
    row = made.json()
    assert {name: row[name] for name in ("kind", "name", "content_type", "size", "thumbnail_url")} == {
        "kind": "file",
        "name": "The plan.pdf",
        "content_type": "application/pdf",
        "size": len(PDF),
        "thumbnail_url": None,
    }
    sent = client.post(
        f"/api/conversations/{conversation.pk}/messages/", {"attachment_ids": [row["id"]]}
    ).json()
    assert (sent["kind"], sent["body"]) == ("file", "")
    url = sent["attachments"][0]["url"]
    local = "/" + url.split("/", 3)[3]

    answer = ApiClient().get(local)
    assert (answer.status_code, answer.content) == (200, PDF)
    assert answer["Content-Type"] == "application/pdf"
    assert answer["Content-Disposition"] == 'attachment; filename="The plan.pdf"'
    assert answer["Content-Security-Policy"] == "default-src 'none'; sandbox"
    assert answer["X-Content-Type-Options"] == "nosniff"
    token = local.partition("token=")[2]
    for wrong in (
        f"/api/attachments/{row['id']}/full/?token=none",
        f"/api/attachments/{row['id']}/full/?token={token}x",
        f"/api/attachments/{row['id']}/full/?token=9{token}",
        f"/api/attachments/{row['id']}/thumbnail/?token={token}",
        f"/api/attachments/{row['id'] + 1}/full/?token={token}",
    ):
        assert ApiClient().get(wrong).status_code == 404, wrong
    at = time.time() + 3 * links.GOOD_FOR_S
    monkeypatch.setattr("backend.messaging.links.time.time", lambda: at)
    assert ApiClient().get(local).status_code == 404


def test_hidden_messages_do_not_give_their_files_out() -> None:
    conversation = talk()
    attachment = _upload(conversation, PDF)
    message = say(conversation.guest, conversation, "", attachment_ids=[attachment.pk])
    token = links.address(attachment.pk, links.FULL).partition("token=")[2]
    assert attaching.read(attachment_id=attachment.pk, size="full", token=token).content == PDF

    moderator = make_user("moderator")
    messaging.hide_message(actor=moderator, message_id=message.pk, reason="A forged paper", now=NOW)

    with pytest.raises(NotFound):
        attaching.read(attachment_id=attachment.pk, size="full", token=token)


def test_purge_takes_what_was_not_sent_within_a_day() -> None:
    conversation = talk()
    kept = _upload(conversation, PDF)
    sent = _upload(conversation, PDF)
    say(conversation.guest, conversation, "Here", attachment_ids=[sent.pk])
    dropped = _upload(conversation, PDF, now=NOW - timedelta(seconds=1))

    assert attaching.purge(now=NOW + timedelta(days=1)) == 1

    assert set(Attachment.objects.values_list("pk", flat=True)) == {kept.pk, sent.pk}
    later.run("messaging.remove_files")
    assert str(dropped.file) not in _stored()
    assert str(kept.file) in _stored()
