"""Reads image files as float32 pixels in [-1, 1] at the size of a network, and writes PNG files."""

import os
from typing import NamedTuple

import numpy as np
from PIL import Image

from mgan_jax.data.decoding import Raster, decode_raster, read_image_file


class Photo(NamedTuple):
    """An image with the value range and the channels of the networks."""

    pixels: np.ndarray  # float32 [H W 3] in [-1, 1]
    grey: bool  # the file is greyscale, or the channels of all its visible pixels are equal


def read_image(path: str | os.PathLike, size: tuple[int, int] | int | None = None) -> Photo:
    """Reads the first image of a file, upright (EXIF), cropped and resized to `size`.

    The crop is the largest centred part with the aspect ratio of `size`. An antialiased Lanczos filter resizes it in
    float32, unless it has the size already. Transparent pixels are blended with white. Grey keeps 16 bits; 16-bit colour is
    decoded to 8 bits. Colour profiles are ignored: stored values count as sRGB.

    Args:
        path: a PNG, JPEG, WebP, BMP, TIFF or PPM file.
        size: (height, width) in pixels; an int for a square; None for the size of the file.

    Raises:
        ValueError: the file is missing, not an image, damaged, above Pillow's limit of pixels, or of a kind without a
            defined range (signed or 32-bit integers, floats outside [0, 1], Lab colours).
    """
    return decode_photo(read_image_file(path), os.fspath(path), size)


def decode_photo(content: bytes, title: str, size: tuple[int, int] | int | None = None) -> Photo:
    """Decodes the content of an image file as `read_image` does. title: its name in error messages. Thread-safe."""
    raster = decode_raster(content, title)
    grey = _is_grey(raster)
    if size is not None:
        size = _parse_size(size)
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
    pixels = np.clip(pixels, -1, 1)  # a Lanczos filter overshoots
    return Photo(np.repeat(pixels, 3, axis=-1) if pixels.shape[-1] == 1 else pixels, grey)


def crop_center(array: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Returns the largest centred part of [H W C] with the aspect ratio of `size` (height, width), in whole pixels."""
    height, width = array.shape[:2]
    wanted_height, wanted_width = size
    crop_height = min(height, max(1, round(width * wanted_height / wanted_width)))
    crop_width = min(width, max(1, round(height * wanted_width / wanted_height)))
    top, left = (height - crop_height) // 2, (width - crop_width) // 2
    return array[top : top + crop_height, left : left + crop_width]


def resize_lanczos(array: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resizes float32 [H W C] to `size` (height, width) with an antialiased Lanczos filter, without clipping.

    Returns the same array if it has this size.
    """
    if array.shape[:2] == tuple(size):
        return array
    height, width = size
    channels = [Image.fromarray(np.ascontiguousarray(array[..., c])) for c in range(array.shape[-1])]
    return np.stack([np.asarray(c.resize((width, height), Image.Resampling.LANCZOS)) for c in channels], axis=-1)


def to_uint8(pixels: np.ndarray) -> np.ndarray:
    """Converts floats in [-1, 1] of any shape to the nearest of 0 to 255; clips values outside. ValueError for NaN."""
    pixels = np.asarray(pixels)
    if pixels.dtype.kind in 'biu':
        raise ValueError(f'pixels have dtype {pixels.dtype}, floats in [-1, 1] are wanted: rescale them first')
    pixels = pixels.astype(np.float32)
    if np.isnan(pixels).any():
        raise ValueError('pixels hold NaN, which no image file can store: look for the step that made them')
    return np.rint((np.clip(pixels, -1, 1) + 1) * np.float32(127.5)).astype(np.uint8)


def write_png(path: str | os.PathLike, pixels: np.ndarray) -> None:
    """Writes floats [H W 3] or [H W 1] in [-1, 1] as an 8-bit PNG. Raises ValueError for another shape or NaN."""
    values = to_uint8(pixels)
    if values.ndim != 3 or values.shape[-1] not in (1, 3) or not values.size:
        raise ValueError(
            f'pixels have shape {list(values.shape)}, [H W 3] or [H W 1] is wanted: write one image at a time'
        )
    Image.fromarray(values[..., 0] if values.shape[-1] == 1 else values).save(path, format='PNG')


def _is_grey(raster: Raster) -> bool:
    """Whether the channels of all visible pixels are equal."""
    differs = (raster.colour != raster.colour[..., :1]).any(axis=-1, keepdims=True)
    return not (differs if raster.alpha is None else differs & (raster.alpha > 0)).any()


def _parse_size(size: tuple[int, int] | int) -> tuple[int, int]:
    """Returns (height, width). Raises ValueError below 1 x 1."""
    height, width = (size, size) if isinstance(size, int) else size
    if height < 1 or width < 1:
        raise ValueError(f'the size is {height} x {width} pixels, at least 1 x 1 is wanted: give (height, width)')
    return height, width
