"""Frames that people look at: rows of pictures with labels, and an animation that goes there and back."""

import io
import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from mgan_jax.results import history
from mgan_jax.results.history import Frame

STRIP, SIDE = 7, 128  # pictures of a row, and pixels a side of each at most
LASTS = 1600  # milliseconds that a row takes to come and go
MARGIN, FONT = 4, 11  # pixels
Rows = Sequence[Sequence[Frame]]  # of as many frames each


def strip_files(title: str, names: Sequence[str], labels: Sequence[str], rows: Rows) -> dict[str, bytes]:
    """TITLE.png, TITLE.webp and, where ffmpeg is found, TITLE.mp4. names: of the rows; labels: of the frames of each."""
    shown = list(enumerate(frame for row in rows for frame in (*row, *row[-2:0:-1])))  # there and back
    lasts = LASTS * len(rows)
    found = {f'{title}.png': draw_strip(names, labels, rows), f'{title}.webp': history.encode_animation(shown, lasts)}
    film = history.encode_video(shown, lasts)
    return found if film is None else found | {f'{title}.mp4': film}


def draw_strip(names: Sequence[str], labels: Sequence[str], rows: Rows) -> bytes:
    """A PNG with STRIP of the frames of each row, evenly, the labels above them and the names before them."""
    font = ImageFont.load_default(FONT)
    chosen = sorted({round(place) for place in np.linspace(0, len(labels) - 1, STRIP)})
    tiles = [[_tile(row[place].frame) for place in chosen] for row in rows]
    width, height = tiles[0][0].size
    left, top = math.ceil(max(map(font.getlength, names))) + 2 * MARGIN, FONT + 2 * MARGIN
    sheet = Image.new('RGB', (left + width * len(chosen), top + height * len(rows)), 'white')
    draw = ImageDraw.Draw(sheet)
    for column, place in enumerate(chosen):
        draw.text((left + width * (column + 0.5), top / 2), labels[place], 'black', font, anchor='mm')
    for line, (name, row) in enumerate(zip(names, tiles, strict=True)):
        draw.text((MARGIN, top + height * (line + 0.5)), name, 'black', font, anchor='lm')
        for column, tile in enumerate(row):
            sheet.paste(tile, (left + width * column, top + height * line))
    content = io.BytesIO()
    sheet.save(content, format='PNG', optimize=True)
    return content.getvalue()


def _tile(frame: bytes) -> Image.Image:
    with Image.open(io.BytesIO(frame)) as picture:
        tile = picture.convert('RGB')
    tile.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    return tile
