"""Small pictures of an image for the report: input, result and target side by side in one file of a few kilobytes."""

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image, UnidentifiedImageError

from mgan_jax.results.history import encode_webp, shrink_picture

TITLES = ('input', 'result', 'target')
SIDE, BYTES = 128, 2400  # of each of them, at most
QUALITIES = (85, 70, 55, 40, 25, 10)


def make_thumbnail(pictures: dict[str, np.ndarray]) -> bytes:
    """Of pictures [H W C] in [-1, 1]; those that TITLES does not name are left out."""
    return join_pictures([shrink_picture(pictures[title], SIDE) for title in TITLES if title in pictures])


def thumbnail_from_files(contents: Sequence[bytes]) -> bytes | None:
    """Of PNG files, None if one of them cannot be read."""
    pictures = []
    try:
        for content in contents:
            with Image.open(io.BytesIO(content), formats=['PNG']) as picture:
                pictures.append(picture.convert('RGB'))
                pictures[-1].thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    except (OSError, ValueError, UnidentifiedImageError, Image.DecompressionBombError, Image.DecompressionBombWarning):
        return None
    return join_pictures(pictures) if pictures else None


def join_pictures(pictures: Sequence[Image.Image]) -> bytes:
    """Side by side, as WebP: as good as the bytes allow. Smaller ones are enlarged to the size of the largest, blockwise."""
    width, height = (max(sizes) for sizes in zip(*(picture.size for picture in pictures), strict=True))
    whole = Image.new('RGB', (width * len(pictures), height))
    for place, picture in enumerate(pictures):
        whole.paste(picture.resize((width, height), Image.Resampling.NEAREST), (place * width, 0))
    content = b''
    for quality in QUALITIES:
        content = encode_webp(whole, quality)
        if len(content) <= BYTES * len(pictures):
            break
    return content
