"""Pictures side by side, each with a line of text below."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

_TEXT_HEIGHT = 22
_GAP = 8


def contact_sheet(pictures: Sequence[Image.Image], labels: Sequence[str]) -> Image.Image:
    """One picture with all `pictures`, which have one size, in a row on white."""
    width, height = pictures[0].size
    sheet = Image.new(
        "RGB", (len(pictures) * (width + _GAP) + _GAP, height + _TEXT_HEIGHT + 2 * _GAP), "white"
    )
    brush = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(13)
    for index, (picture, label) in enumerate(zip(pictures, labels, strict=True)):
        left = _GAP + index * (width + _GAP)
        sheet.paste(picture, (left, _GAP))
        middle = (left + width / 2, height + _GAP + _TEXT_HEIGHT / 2)
        brush.text(middle, label, "black", font, anchor="mm")
    return sheet
