"""Hole masks from a short description or from an image file.

A mask is float32 [H W 1]: 1 in the hole, where pixels are unknown; 0 where they are known. In files white is the hole.
"""

import contextlib
import os

import numpy as np

from mgan_jax.data import decoding, images

FORMS = "'center', 'center:FRACTION', 'box:TOP,LEFT,HEIGHT,WIDTH', 'random:SHARE' or a mask file"


def parse_mask(spec: str | os.PathLike, size: tuple[int, int], seed: int) -> np.ndarray:
    """Returns the mask that `spec` describes.

    Args:
        spec: one of
            'center': a centred box of a quarter of the height and width, the paper's 64 of 256 pixels;
            'center:FRACTION': a centred box of another fraction of the sides, 0 < FRACTION < 1;
            'box:TOP,LEFT,HEIGHT,WIDTH': a box in pixels, inside the image;
            'random:SHARE': random pixels, a share of all of them, 0 < SHARE < 1;
            the path of a mask file, see `read_mask`.
        size: (height, width) of the image in pixels.
        seed: seed of 'random'.

    Returns:
        float32 [H W 1], 1 in the hole and 0 elsewhere; both values occur.

    Raises:
        ValueError: `spec` is none of these, lies outside the image, or leaves no hole or no known pixel.
    """
    text = os.fspath(spec).strip()
    kind, _, argument = text.partition(':')
    path = os.path.expanduser(text)
    if text == 'center':
        hole = _center_box(0.25, size)
    elif kind == 'center':
        hole = _center_box(_parse_fraction(text, argument), size)
    elif kind == 'random':
        hole = _random_pixels(_parse_fraction(text, argument), size, seed)
    elif kind == 'box':
        hole = _parse_box(text, argument, size)
    elif os.path.exists(path):
        return read_mask(path, size)
    else:
        raise ValueError(f'the mask {text!r} is neither a known form nor a file that exists: give {FORMS}')
    return _to_mask(hole, text)


def read_named_file(spec: str | os.PathLike | None) -> list[bytes]:
    """Returns [the content of the local file at `spec`], or [] if there is no such file, for `records.fingerprint`."""
    path = os.path.expanduser(os.fspath(spec or ''))
    with contextlib.suppress(OSError), open(path, 'rb') as file:
        return [file.read()]
    return []


def read_mask(path: str | os.PathLike, size: tuple[int, int]) -> np.ndarray:
    """Reads a mask from an image file: pixels lighter than half are the hole.

    The image is cropped and resized as `images.read_image` does before the threshold. The lightness is the mean of the
    channels, multiplied by the opacity, so that transparent pixels are known. One exception: if all visible pixels have
    one colour, as strokes on an empty layer do, the opacity alone decides.

    Args:
        path: any file that `images.read_image` reads.
        size: (height, width) in pixels.

    Returns:
        float32 [H W 1] as from `parse_mask`.

    Raises:
        ValueError: the file does not decode, or leaves no hole or no known pixel at this size.
    """
    raster = decoding.decode_raster(decoding.read_image_file(path), os.fspath(path))
    lightness = raster.colour.astype(np.float32).mean(axis=-1, keepdims=True) / np.float32(raster.white)
    if raster.alpha is not None and (raster.alpha < 255).any():
        visible = raster.colour[raster.alpha[..., 0] > 0]
        one_colour = len(visible) > 0 and (visible == visible[0]).all()
        lightness = (1 if one_colour else lightness) * (raster.alpha.astype(np.float32) / 255)
    return _to_mask(images.resize_lanczos(images.crop_center(lightness, size), size)[..., 0] > 0.5, os.fspath(path))


def _center_box(fraction: float, size: tuple[int, int]) -> np.ndarray:
    height, width = (max(1, round(fraction * side)) for side in size)
    return _filled_box((size[0] - height) // 2, (size[1] - width) // 2, height, width, size)


def _parse_box(text: str, argument: str, size: tuple[int, int]) -> np.ndarray:
    try:
        top, left, height, width = (int(number) for number in argument.split(','))
    except ValueError as error:
        raise ValueError(
            f'the mask {text!r} does not hold four whole numbers: give box:TOP,LEFT,HEIGHT,WIDTH'
        ) from error
    if min(top, left) < 0 or min(height, width) < 1 or top + height > size[0] or left + width > size[1]:
        raise ValueError(
            f'the mask {text!r} does not lie inside the image of {size[0]} x {size[1]} pixels (height x width): '
            'give a box of at least one pixel that does'
        )
    return _filled_box(top, left, height, width, size)


def _filled_box(top: int, left: int, height: int, width: int, size: tuple[int, int]) -> np.ndarray:
    hole = np.zeros(size, bool)
    hole[top : top + height, left : left + width] = True
    return hole


def _random_pixels(share: float, size: tuple[int, int], seed: int) -> np.ndarray:
    hole = np.zeros(size[0] * size[1], bool)
    hole[: round(share * hole.size)] = True
    return np.random.default_rng(seed).permutation(hole).reshape(size)


def _parse_fraction(text: str, argument: str) -> float:
    try:
        value = float(argument)
    except ValueError:
        value = float('nan')
    if not 0 < value < 1:
        raise ValueError(
            f'the mask {text!r} does not hold a number between 0 and 1 (exclusive): '
            f'give one, as in {text.partition(":")[0]}:0.5'
        )
    return value


def _to_mask(hole: np.ndarray, text: str) -> np.ndarray:
    """Converts bool [H W] to float32 [H W 1]. Raises ValueError if all values are equal."""
    if not hole.any():
        raise ValueError(f'the mask {text!r} has no hole at {_size_text(hole)}: mark one, in white if it is a file')
    if hole.all():
        raise ValueError(
            f'the mask {text!r} leaves nothing known at {_size_text(hole)}: make the hole smaller (black is known in a file)'
        )
    return hole[..., None].astype(np.float32)


def _size_text(hole: np.ndarray) -> str:
    return f'{hole.shape[0]} x {hole.shape[1]} pixels'
