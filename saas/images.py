"""The only door to pictures that somebody gave us: what comes out was drawn anew, whatever else came in with them."""

from __future__ import annotations

import io

from PIL import Image, ImageOps

_FORMATS = ("PNG", "JPEG")
_MOST = 25_000_000  # pixels: a picture is unpacked in memory


class NoPicture(Exception):
    """These octets are no PNG or JPEG picture, or one of too many pixels."""


def logo(data: bytes, width: int, height: int) -> bytes:
    """A PNG of the picture, made smaller where it does not fit into so many pixels. NoPicture. Takes tens of ms."""
    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as given:
            if given.width * given.height > _MOST:
                raise NoPicture
            upright = ImageOps.exif_transpose(given).convert("RGBA")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise NoPicture from error
    upright.thumbnail((width, height))
    drawn = Image.new("RGBA", upright.size)
    drawn.paste(upright)
    out = io.BytesIO()
    drawn.save(out, "PNG", optimize=True)
    return out.getvalue()
