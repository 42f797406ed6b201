"""Pictures from strangers: what is taken, and how it becomes a file of ours.

Nothing of the sent file is kept but its pixels. The format is read from the content, the size from the header
before anything is decoded, and the answer is written anew: no EXIF, no GPS, no comments, no hidden second file.
"""

from __future__ import annotations

import io
import struct
import threading
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO

import PIL.Image
from django.core.files.base import ContentFile
from django.utils.translation import gettext_lazy as _
from PIL import ImageCms, ImageOps
from pillow_heif import register_heif_opener

from backend.core.errors import Invalid

FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "HEIF")
MAX_PIXELS = 40_000_000
JPEG_QUALITY, WEBP_QUALITY = 85, 85

# Forty megapixels of RGBA are 160 MB: as many are decoded at once as one small machine can bear.
_decoding = threading.BoundedSemaphore(2)
_SRGB = ImageCms.createProfile("sRGB")
_BROKEN = (
    OSError,
    ValueError,
    SyntaxError,
    EOFError,
    RuntimeError,
    IndexError,
    KeyError,
    TypeError,
    struct.error,
    zlib.error,
)

register_heif_opener()


@dataclass(frozen=True, slots=True)
class Image:
    """A picture written by us. ``content`` has a name with the right ending; sides are in pixels."""

    content: ContentFile[bytes]
    width: int
    height: int


def reencode(file: IO[bytes], *, max_side: int, field: str = "file") -> Image:
    """Turn an uploaded picture into a fresh one whose longer side is at most ``max_side`` pixels.

    Taken are JPEG, PNG, WebP, AVIF and HEIC by content, whatever the name says; of several frames the first. The
    picture is turned upright, its colours are brought to sRGB, and it is never enlarged. The answer is JPEG, or
    WebP where something is transparent.

    Raises: Invalid on ``field`` with ``unsupported_image`` (not one of the formats), ``image_too_large`` (over
    40 megapixels, known before decoding) or ``broken_image`` (the file ends early or lies about itself).
    """
    with _decoding:
        return _write(_decode(file, max_side, field), max_side)


def resize(file: IO[bytes], widths: Sequence[int]) -> dict[int, Image]:
    """Smaller copies of a picture that ``reencode`` wrote: one for each width in pixels, never enlarged.

    Raises: Invalid as ``reencode``.
    """
    with _decoding:
        source = _decode(file, max(widths), "file")
        return {width: _write(source, width, by_width=True) for width in widths}


def _decode(file: IO[bytes], max_side: int, field: str) -> PIL.Image.Image:
    too_large = Invalid.field(field, "image_too_large", _("The picture has more than 40 megapixels."))
    try:
        file.seek(0)
        picture = PIL.Image.open(file, formats=FORMATS)
    except (PIL.Image.DecompressionBombError, PIL.Image.DecompressionBombWarning):
        raise too_large from None
    except _BROKEN:
        # A file that no decoder knows, or whose header is cut off: it cannot be told which.
        message = _("This is not a JPEG, PNG, WebP, AVIF or HEIC picture.")
        raise Invalid.field(field, "unsupported_image", message) from None
    with picture:
        if picture.width * picture.height > MAX_PIXELS:
            raise too_large
        try:
            # JPEG can be decoded at a half, a quarter or an eighth; twice the target leaves room for a clean scaling.
            picture.draft("RGB", (2 * max_side, 2 * max_side))
            picture.load()
            upright = ImageOps.exif_transpose(picture)
            return _fresh(_srgb(_plain(upright), upright.info.get("icc_profile")))
        except PIL.Image.DecompressionBombError:
            raise too_large from None
        except (*_BROKEN, MemoryError):
            raise Invalid.field(field, "broken_image", _("The picture is damaged.")) from None


def _plain(picture: PIL.Image.Image) -> PIL.Image.Image:
    """The picture in RGB, or RGBA when some pixel is not opaque."""
    if picture.mode.startswith("I;16") or picture.mode == "I":
        # Sixteen bits a sample would be clipped to white by a plain conversion.
        return picture.point(lambda value: value / 256, "L").convert("RGB")
    if picture.has_transparency_data:
        with_alpha = picture.convert("RGBA")
        opaque = with_alpha.getchannel("A").getextrema() == (255, 255)
        if not opaque:
            return with_alpha
        return with_alpha.convert("RGB")
    return picture if picture.mode == "RGB" else picture.convert("RGB")


def _srgb(picture: PIL.Image.Image, profile: bytes | None) -> PIL.Image.Image:
    """The picture in sRGB. A profile that cannot be read, or is of other channels, is left aside."""
    if not profile:
        return picture
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if source.profile.xcolor_space.strip() != "RGB":
            return picture
        return ImageCms.profileToProfile(picture, source, _SRGB, outputMode=picture.mode) or picture
    except (ImageCms.PyCMSError, OSError):
        return picture


def _fresh(picture: PIL.Image.Image) -> PIL.Image.Image:
    """The pixels alone, without whatever else the decoder has hung on the picture."""
    fresh = PIL.Image.new(picture.mode, picture.size)
    fresh.paste(picture)
    return fresh


def _write(source: PIL.Image.Image, limit: int, *, by_width: bool = False) -> Image:
    longest = source.width if by_width else max(source.size)
    factor = min(1.0, limit / longest)
    size = (max(1, round(source.width * factor)), max(1, round(source.height * factor)))
    scaled = (
        source if size == source.size else source.resize(size, PIL.Image.Resampling.LANCZOS, reducing_gap=2.0)
    )
    buffer = io.BytesIO()
    if scaled.mode == "RGBA":
        scaled.save(buffer, "WEBP", quality=WEBP_QUALITY, method=4)
        name = "picture.webp"
    else:
        scaled.save(buffer, "JPEG", quality=JPEG_QUALITY, optimize=True, progressive=True)
        name = "picture.jpg"
    return Image(ContentFile(buffer.getvalue(), name=name), *scaled.size)
