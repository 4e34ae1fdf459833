"""Images as arrays, from files and into files.

H W are an image's height and width, C its channels (1 or 3). Pixels are float32 in [-1, 1], channels last; -1 is black,
1 is white.
"""

import os
from typing import NamedTuple

import numpy as np
from PIL import Image

from mgan_jax.data.decoding import Raster, decode_raster, read_image_file


class Photo(NamedTuple):
    """An image as the networks take it."""

    pixels: np.ndarray  # float32 [H W 3] in [-1, 1]
    grey: bool  # nothing in the file has a colour: a greyscale mode, or equal channels wherever anything shows


def read_image(path: str | os.PathLike, size: tuple[int, int] | int | None = None) -> Photo:
    """Reads an image file at `size`, (height, width) in pixels; an int is a square, None keeps the file's own size.

    The image is turned upright (EXIF), the largest centred part with the aspect ratio of `size` is kept and resized by
    a Lanczos filter, antialiased, in float32; a part that has the right size already is not touched. Transparency shows
    white behind it. Grey with 16 bits keeps them; Pillow decodes 16-bit colour to 8 bits. Colour profiles are ignored:
    stored values are taken as sRGB. Of an animation or a multi-page file the first image is read.

    Raises:
        ValueError: the file is missing, no image, damaged, of more pixels than Pillow's limit, or of a kind with no
            defined range (signed or 32-bit integers, floats outside [0, 1], Lab colours).
    """
    return decode_photo(read_image_file(path), os.fspath(path), size)


def decode_photo(content: bytes, title: str, size: tuple[int, int] | int | None = None) -> Photo:
    """As `read_image`, of the content of an image file that errors call `title`; in any number of threads."""
    raster = decode_raster(content, title)
    grey = _is_grey(raster)
    if size is not None:
        size = _checked(size)
        raster = raster._replace(
            colour=crop_center(raster.colour, size),
            alpha=None if raster.alpha is None else crop_center(raster.alpha, size),
        )
    pixels = raster.colour.astype(np.float32) / np.float32(raster.white / 2) - 1
    if raster.alpha is not None:
        opacity = raster.alpha.astype(np.float32) / 255
        pixels = pixels * opacity + (1 - opacity)
    if size is not None:
        pixels = resize_lanczos(pixels, size)
    pixels = np.clip(pixels, -1, 1)  # Lanczos overshoots
    return Photo(np.repeat(pixels, 3, axis=-1) if pixels.shape[-1] == 1 else pixels, grey)


def crop_center(array: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The largest centred part of [H W C] whose aspect ratio is that of `size` (height, width), in whole pixels."""
    height, width = array.shape[:2]
    target_height, target_width = size
    keep_height = min(height, max(1, round(width * target_height / target_width)))
    keep_width = min(width, max(1, round(height * target_width / target_height)))
    top, left = (height - keep_height) // 2, (width - keep_width) // 2
    return array[top : top + keep_height, left : left + keep_width]


def resize_lanczos(array: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resizes float32 [H W C] to [*size C] by an antialiased Lanczos filter, not clipped; the same array if it fits."""
    if array.shape[:2] == tuple(size):
        return array
    height, width = size
    channels = [Image.fromarray(np.ascontiguousarray(array[..., c])) for c in range(array.shape[-1])]
    return np.stack([np.asarray(c.resize((width, height), Image.Resampling.LANCZOS)) for c in channels], axis=-1)


def to_uint8(pixels: np.ndarray) -> np.ndarray:
    """Floats in [-1, 1], any shape, to the nearest of 0 to 255; clips the rest. Raises ValueError for NaN."""
    pixels = np.asarray(pixels)
    if pixels.dtype.kind in 'biu':
        raise ValueError(f'pixels have dtype {pixels.dtype}, floats in [-1, 1] are wanted: rescale them first')
    pixels = pixels.astype(np.float32)
    if np.isnan(pixels).any():
        raise ValueError('pixels hold NaN, which no image file can store: look for the step that made them')
    return np.rint((np.clip(pixels, -1, 1) + 1) * np.float32(127.5)).astype(np.uint8)


def write_png(path: str | os.PathLike, pixels: np.ndarray) -> None:
    """Writes floats in [-1, 1], [H W 3] or [H W 1], as an 8-bit PNG. Raises ValueError for another shape or NaN."""
    values = to_uint8(pixels)
    if values.ndim != 3 or values.shape[-1] not in (1, 3) or not values.size:
        raise ValueError(
            f'pixels have shape {list(values.shape)}, [H W 3] or [H W 1] is wanted: write one image at a time'
        )
    Image.fromarray(values[..., 0] if values.shape[-1] == 1 else values).save(path, format='PNG')


def _is_grey(raster: Raster) -> bool:
    differs = (raster.colour != raster.colour[..., :1]).any(axis=-1, keepdims=True)
    return not (differs if raster.alpha is None else differs & (raster.alpha > 0)).any()


def _checked(size: tuple[int, int] | int) -> tuple[int, int]:
    height, width = (size, size) if isinstance(size, int) else size
    if height < 1 or width < 1:
        raise ValueError(f'the size is {height} x {width} pixels, at least 1 x 1 is wanted: give (height, width)')
    return height, width
