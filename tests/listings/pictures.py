"""Pictures drawn for tests, some of them telling more than their pixels."""

from __future__ import annotations

import io

import PIL.Image
from pillow_heif import from_pillow

GPS = 0x8825


def drawn(
    size: tuple[int, int] = (1600, 1000), colour: tuple[int, int, int] = (180, 60, 40)
) -> PIL.Image.Image:
    """A plain picture with a corner of another colour."""
    picture = PIL.Image.new("RGB", size, colour)
    picture.paste((20, 90, 160), (0, 0, size[0] // 4, size[1] // 4))
    return picture


def encoded(picture: PIL.Image.Image, kind: str = "JPEG", **options: object) -> bytes:
    """The bytes of a file of ``kind`` (``HEIF`` too)."""
    buffer = io.BytesIO()
    if kind == "HEIF":
        from_pillow(picture).save(buffer, quality=90, **options)
    else:
        picture.save(buffer, kind, **options)
    return buffer.getvalue()


def with_gps() -> bytes:
    """A JPEG that says where and with what it was taken."""
    picture = drawn()
    exif = picture.getexif()
    exif[0x010F] = "SecretCameraMaker"
    exif.get_ifd(GPS).update({1: "N", 2: (38.0, 42.0, 36.0), 3: "W", 4: (9.0, 8.0, 24.0)})
    return encoded(picture, exif=exif)
