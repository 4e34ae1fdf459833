"""Strips of frames: rows of labelled pictures, and an animation that plays each row forwards and backwards."""

import io
import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from mgan_jax.results import history
from mgan_jax.results.history import Frame

STRIP, MAX_SIDE = 7, 128  # pictures of a row, and pixels of their longer side at most
ROW_DURATION = 1600  # milliseconds of a row in the animation, forwards and backwards
MARGIN, FONT_SIZE = 4, 11  # pixels
Rows = Sequence[Sequence[Frame]]  # of equal length


def make_strip_files(title: str, names: Sequence[str], labels: Sequence[str], rows: Rows) -> dict[str, bytes]:
    """Returns {name: content} of TITLE.png, TITLE.webp and, with ffmpeg, TITLE.mp4.

    names: of the rows. labels: of the frames of a row.
    """
    frames = list(enumerate(frame for row in rows for frame in (*row, *row[-2:0:-1])))
    duration = ROW_DURATION * len(rows)
    animation = history.encode_animation(frames, duration)
    files = {f'{title}.png': draw_strip(names, labels, rows), f'{title}.webp': animation}
    video = history.encode_video(frames, duration)
    return files if video is None else files | {f'{title}.mp4': video}


def draw_strip(names: Sequence[str], labels: Sequence[str], rows: Rows) -> bytes:
    """Returns a PNG of at most STRIP evenly spaced frames of each row, labels above them, names of rows on the left."""
    font = ImageFont.load_default(FONT_SIZE)
    chosen = sorted({round(index) for index in np.linspace(0, len(labels) - 1, STRIP)})
    tiles = [[_decode_tile(row[index].webp) for index in chosen] for row in rows]
    width, height = tiles[0][0].size
    left, top = math.ceil(max(map(font.getlength, names))) + 2 * MARGIN, FONT_SIZE + 2 * MARGIN
    sheet = Image.new('RGB', (left + width * len(chosen), top + height * len(rows)), 'white')
    draw = ImageDraw.Draw(sheet)
    for column, index in enumerate(chosen):
        draw.text((left + width * (column + 0.5), top / 2), labels[index], 'black', font, anchor='mm')
    for line, (name, row_tiles) in enumerate(zip(names, tiles, strict=True)):
        draw.text((MARGIN, top + height * (line + 0.5)), name, 'black', font, anchor='lm')
        for column, tile in enumerate(row_tiles):
            sheet.paste(tile, (left + width * column, top + height * line))
    content = io.BytesIO()
    sheet.save(content, format='PNG', optimize=True)
    return content.getvalue()


def _decode_tile(webp: bytes) -> Image.Image:
    """Decodes a frame and shrinks it to MAX_SIDE."""
    with Image.open(io.BytesIO(webp)) as picture:
        tile = picture.convert('RGB')
    tile.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.LANCZOS)
    return tile
