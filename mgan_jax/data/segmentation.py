"""What is seen in each pixel of an image: label images of any tool, and the names of their classes."""

import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from mgan_jax.data import decoding, images

CLASSES = 'classes.txt'


class Segmentation(NamedTuple):
    """labels [B H W]: numbers in `classes`."""

    labels: np.ndarray
    classes: tuple[str, ...]


def read_segmentation(folder: str | os.PathLike, names: Sequence[str], size: tuple[int, int]) -> Segmentation:
    """The labels of images with these names, at `size` (H, W), cropped as images are, to the nearest pixel.

    folder: NAME.png for each, grey of 8 bits or with a palette, whose values are lines of classes.txt, counted from 0.
    ValueError with one sentence if something is missing or unusable.
    """
    folder = Path(folder).expanduser()
    classes = _classes(folder / CLASSES)
    return Segmentation(np.stack([_labels(folder / f'{name}.png', size, len(classes)) for name in names]), classes)


def _classes(path: Path) -> tuple[str, ...]:
    try:
        lines = decoding.read_image_file(path).decode('utf-8').splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f'{path} is no UTF-8 text; the name of a class on each line is wanted.') from error
    found = tuple(line.strip() for line in lines)
    while found and not found[-1]:
        found = found[:-1]
    if not 0 < len(found) <= 256 or not all(found):
        raise ValueError(f'{path} has {len(found)} lines; 1 to 256 names of classes are wanted, none of them empty.')
    return found


def _labels(path: Path, size: tuple[int, int], count: int) -> np.ndarray:
    content = decoding.read_image_file(path)
    try:
        with Image.open(io.BytesIO(content), formats=['PNG']) as image:
            mode, values = image.mode, np.asarray(image)
    except Exception as error:  # for a damaged file decoders raise almost anything
        raise ValueError(f'{path} is no PNG image that can be read; make it again.') from error
    if mode not in ('L', 'P'):
        raise ValueError(f'{path} has the mode {mode}; a grey image of 8 bits, or one with a palette, is wanted.')
    if values.max() >= count:
        raise ValueError(
            f'{path} has the value {values.max()}; {CLASSES} beside it names the classes 0 to {count - 1}.'
        )
    part = images.crop_center(values[..., None], size)[..., 0]
    rows, columns = ((np.arange(new) + 0.5) * old / new for new, old in zip(size, part.shape, strict=True))
    return part[rows.astype(int)[:, None], columns.astype(int)[None]]
