"""Thumbnails for the report: input, result and target of an image side by side, in one file of a few kilobytes."""

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image, UnidentifiedImageError

from mgan_jax.results.history import encode_webp, shrink_picture

TITLES = ('input', 'result', 'target')
MAX_SIDE, MAX_BYTES = 128, 2400  # of each picture
QUALITIES = (85, 70, 55, 40, 25, 10)  # of WebP, tried in this order


def make_thumbnail(pictures: dict[str, np.ndarray]) -> bytes:
    """Returns a WebP of the pictures [H W C] in [-1, 1] that TITLES names, in the order of TITLES."""
    return join_pictures([shrink_picture(pictures[title], MAX_SIDE) for title in TITLES if title in pictures])


def make_thumbnail_from_files(contents: Sequence[bytes]) -> bytes | None:
    """Returns a WebP of the pictures in PNG files; None if there is no file or one of them cannot be read."""
    pictures = []
    try:
        for content in contents:
            with Image.open(io.BytesIO(content), formats=['PNG']) as picture:
                pictures.append(picture.convert('RGB'))
                pictures[-1].thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.LANCZOS)
    except (OSError, ValueError, UnidentifiedImageError, Image.DecompressionBombError, Image.DecompressionBombWarning):
        return None
    return join_pictures(pictures) if pictures else None


def join_pictures(pictures: Sequence[Image.Image]) -> bytes:
    """Joins pictures side by side into a WebP with the best quality within MAX_BYTES per picture.

    Smaller pictures are enlarged to the size of the largest one, to the nearest pixel.
    """
    width, height = (max(sizes) for sizes in zip(*(picture.size for picture in pictures), strict=True))
    strip = Image.new('RGB', (width * len(pictures), height))
    for index, picture in enumerate(pictures):
        strip.paste(picture.resize((width, height), Image.Resampling.NEAREST), (index * width, 0))
    content = b''
    for quality in QUALITIES:
        content = encode_webp(strip, quality)
        if len(content) <= MAX_BYTES * len(pictures):
            break
    return content
