"""Hole masks: which pixels of an image are unknown.

A mask is float32 [H W 1], 1 where the image has a hole and 0 where it is known. In files white is the hole.
"""

import contextlib
import os

import numpy as np

from mgan_jax.data import decoding, images

FORMS = "'center', 'center:FRACTION', 'box:TOP,LEFT,HEIGHT,WIDTH', 'random:SHARE' or a mask file"


def parse_mask(spec: str | os.PathLike, size: tuple[int, int], seed: int) -> np.ndarray:
    """The mask that `spec` describes, for an image of `size` (height, width) in pixels.

    Args:
        spec: one of
            'center': a centred box with a quarter of the image's height and width, the paper's 64 of 256 pixels;
            'center:FRACTION': the same with another fraction of the sides, 0 < FRACTION < 1;
            'box:TOP,LEFT,HEIGHT,WIDTH': a box in pixels, inside the image;
            'random:SHARE': single pixels, that share of them to the nearest whole pixel, 0 < SHARE < 1;
            the path of a mask file: see `read_mask`.
        seed: chooses the pixels of 'random'; the same seed gives the same mask.

    Returns:
        float32 [H W 1], 1 in the hole and 0 elsewhere; both occur.

    Raises:
        ValueError: `spec` is none of these, lies outside the image, or leaves no hole or nothing known.
    """
    text = os.fspath(spec).strip()
    kind, _, argument = text.partition(':')
    path = os.path.expanduser(text)
    if text == 'center':
        hole = _center(0.25, size)
    elif kind == 'center':
        hole = _center(_fraction(text, argument), size)
    elif kind == 'random':
        hole = _random(_fraction(text, argument), size, seed)
    elif kind == 'box':
        hole = _box(text, argument, size)
    elif os.path.exists(path):
        return read_mask(path, size)
    else:
        raise ValueError(f'the mask {text!r} is neither a known form nor a file that exists: give {FORMS}')
    return _checked(hole, text)


def mask_file_content(spec: str | os.PathLike | None) -> list[bytes]:
    """What the file that `spec` names holds; nothing where it names none."""
    path = os.path.expanduser(os.fspath(spec or ''))
    with contextlib.suppress(OSError), open(path, 'rb') as file:
        return [file.read()]
    return []


def read_mask(path: str | os.PathLike, size: tuple[int, int]) -> np.ndarray:
    """The mask in an image file, cropped and resized as images are, then cut at half: lighter is the hole.

    Colours count by the mean of their channels. What is transparent is known, as if black were behind it, with one
    exception: where all that shows has one colour, as with strokes drawn on an empty layer, the opaque part is the hole
    whatever the colour.

    Args:
        path: any file that `images.read_image` takes.
        size: (height, width) in pixels.

    Returns:
        float32 [H W 1] as from `parse_mask`.

    Raises:
        ValueError: the file does not decode, or has no hole or nothing else at this size.
    """
    raster = decoding.decode_raster(decoding.read_image_file(path), os.fspath(path))
    light = raster.colour.astype(np.float32).mean(axis=-1, keepdims=True) / np.float32(raster.white)
    if raster.alpha is not None and (raster.alpha < 255).any():
        shown = raster.colour[raster.alpha[..., 0] > 0]
        one_colour = len(shown) > 0 and (shown == shown[0]).all()
        light = (1 if one_colour else light) * (raster.alpha.astype(np.float32) / 255)
    return _checked(images.resize_lanczos(images.crop_center(light, size), size)[..., 0] > 0.5, os.fspath(path))


def _center(fraction: float, size: tuple[int, int]) -> np.ndarray:
    height, width = (max(1, round(fraction * side)) for side in size)
    return _filled_box((size[0] - height) // 2, (size[1] - width) // 2, height, width, size)


def _box(text: str, argument: str, size: tuple[int, int]) -> np.ndarray:
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


def _random(share: float, size: tuple[int, int], seed: int) -> np.ndarray:
    hole = np.zeros(size[0] * size[1], bool)
    hole[: round(share * hole.size)] = True
    return np.random.default_rng(seed).permutation(hole).reshape(size)


def _fraction(text: str, argument: str) -> float:
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


def _checked(hole: np.ndarray, text: str) -> np.ndarray:
    """bool [H W] to float32 [H W 1]."""
    if not hole.any():
        raise ValueError(f'the mask {text!r} has no hole at {_at(hole)}: mark one, in white if it is a file')
    if hole.all():
        raise ValueError(
            f'the mask {text!r} leaves nothing known at {_at(hole)}: make the hole smaller (black is known in a file)'
        )
    return hole[..., None].astype(np.float32)


def _at(hole: np.ndarray) -> str:
    return f'{hole.shape[0]} x {hole.shape[1]} pixels'
