"""What becomes of pictures that strangers send."""

from __future__ import annotations

import io
import struct
import zlib

import PIL.Image
import pytest
from pillow_heif import from_pillow

from backend.core import images
from backend.core.errors import Invalid

RED, BLUE = (255, 0, 0), (0, 0, 255)


def picture(size: tuple[int, int] = (60, 40), mode: str = "RGB") -> PIL.Image.Image:
    """The left half red, the right half blue."""
    drawn = PIL.Image.new("RGB", size, RED)
    drawn.paste(BLUE, (size[0] // 2, 0, *size))
    return drawn.convert(mode)


def encoded(drawn: PIL.Image.Image, kind: str, **options: object) -> io.BytesIO:
    buffer = io.BytesIO()
    if kind == "HEIF":
        from_pillow(drawn).save(buffer, quality=95)
    else:
        drawn.save(buffer, kind, **options)
    buffer.seek(0)
    return buffer


def near(pixel: object, colour: tuple[int, int, int]) -> bool:
    return all(abs(a - b) < 24 for a, b in zip(pixel, colour, strict=False))  # type: ignore[call-overload]


def refusal(file: io.BytesIO, **options: object) -> tuple[str, str]:
    with pytest.raises(Invalid) as refused:
        images.reencode(file, max_side=1000, **options)  # type: ignore[arg-type]
    (error,) = refused.value.errors
    return error.field, error.code


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF", "HEIF"])
def test_reencode_takes_each_format_by_its_content(kind: str) -> None:
    result = images.reencode(encoded(picture(), kind), max_side=1000)

    again = PIL.Image.open(result.content)
    assert (again.format, again.size, result.width, result.height) == ("JPEG", (60, 40), 60, 40)
    assert near(again.getpixel((5, 20)), RED)
    assert near(again.getpixel((55, 20)), BLUE)


@pytest.mark.parametrize("mode", ["L", "P", "CMYK", "1"])
def test_reencode_takes_other_colour_models(mode: str) -> None:
    kind = "JPEG" if mode == "CMYK" else "PNG"

    result = images.reencode(encoded(picture(mode=mode), kind), max_side=1000)

    assert PIL.Image.open(result.content).mode == "RGB"


def test_reencode_keeps_sixteen_bit_greys() -> None:
    grey = PIL.Image.new("I;16", (10, 10), 32_768)

    result = images.reencode(encoded(grey, "PNG"), max_side=1000)

    assert near(PIL.Image.open(result.content).getpixel((5, 5)), (128, 128, 128))


def test_reencode_makes_webp_of_what_is_transparent() -> None:
    drawn = picture(mode="RGBA")
    drawn.putpixel((0, 0), (0, 0, 0, 0))

    result = images.reencode(encoded(drawn, "PNG"), max_side=1000)

    assert PIL.Image.open(result.content).format == "WEBP"
    assert str(result.content.name).endswith(".webp")


def test_reencode_shrinks_to_the_longer_side_and_never_enlarges() -> None:
    large = images.reencode(encoded(picture((900, 300)), "JPEG"), max_side=300)
    small = images.reencode(encoded(picture((90, 30)), "JPEG"), max_side=300)

    assert (large.width, large.height) == (300, 100)
    assert (small.width, small.height) == (90, 30)


def test_reencode_turns_upright_and_drops_exif_gps_and_comments() -> None:
    exif = PIL.Image.Exif()
    exif[0x0112] = 6  # shown a quarter turn to the right
    exif[0x010F] = "SecretCamera"
    exif.get_ifd(0x8825)[2] = (38.0, 43.0, 1.0)
    file = encoded(picture(), "JPEG", exif=exif, comment=b"SecretComment", quality=95)
    assert b"Secret" in file.getvalue()

    result = images.reencode(file, max_side=1000)

    written = result.content.read()
    again = PIL.Image.open(io.BytesIO(written))
    assert (result.width, result.height) == (40, 60)
    assert near(again.getpixel((20, 5)), RED)
    assert near(again.getpixel((20, 55)), BLUE)
    assert dict(again.getexif()) == {}
    assert b"Secret" not in written
    assert "comment" not in again.info


def test_reencode_drops_what_is_glued_behind_the_picture() -> None:
    file = encoded(picture(), "PNG")
    glued = io.BytesIO(file.getvalue() + b"<script>alert(1)</script>")

    assert b"script" not in images.reencode(glued, max_side=1000).content.read()


@pytest.mark.parametrize("kind", ["GIF", "BMP", "TIFF"])
def test_reencode_refuses_other_formats_whatever_the_name_says(kind: str) -> None:
    file = encoded(picture(), kind)
    file.name = "photo.jpg"

    assert refusal(file, field="photo") == ("photo", "unsupported_image")


@pytest.mark.parametrize(
    "content", [b"", b"hello", b"\xff\xd8\xff", b"<svg xmlns='http://www.w3.org/2000/svg'/>"]
)
def test_reencode_refuses_what_is_no_picture(content: bytes) -> None:
    assert refusal(io.BytesIO(content)) == ("file", "unsupported_image")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "HEIF"])
def test_reencode_refuses_a_picture_that_ends_early(kind: str) -> None:
    noise = PIL.Image.effect_noise((300, 300), 90).convert("RGB")
    whole = encoded(noise, kind).getvalue()

    field, code = refusal(io.BytesIO(whole[: len(whole) * 2 // 3]))

    assert field == "file"
    assert code in {"broken_image", "unsupported_image"}


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


@pytest.mark.parametrize("side", [6_400, 10_000, 13_000, 60_000])
def test_reencode_refuses_a_bomb_by_its_header(side: int) -> None:
    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    pixels = zlib.compress(bytes(side + 1) * 8, 9)
    bomb = b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", pixels) + _chunk(b"IEND", b"")

    assert refusal(io.BytesIO(bomb)) == ("file", "image_too_large")


def test_resize_makes_each_width_and_never_enlarges() -> None:
    original = images.reencode(encoded(picture((800, 1600)), "JPEG"), max_side=2000)

    sizes = images.resize(original.content, [100, 400, 1200])

    assert {width: (made.width, made.height) for width, made in sizes.items()} == {
        100: (100, 200),
        400: (400, 800),
        1200: (800, 1600),
    }
