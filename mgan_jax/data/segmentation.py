"""Reads semantic segmentations: label images of any tool and the names of their classes."""

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
    """labels [B H W]: the index in `classes` of each pixel, uint8."""

    labels: np.ndarray
    classes: tuple[str, ...]


def read_segmentation(folder: str | os.PathLike, names: Sequence[str], size: tuple[int, int]) -> Segmentation:
    """Reads the labels of the images `names`, cropped as images are and resized to the nearest pixel.

    Args:
        folder: has NAME.png for each image, 8-bit grey or with a palette, and classes.txt with one class on each line. The
            value of a pixel is the number of its line, counted from 0.
        names: the B images, without extension.
        size: (H, W) of the labels in pixels.

    Raises:
        ValueError: a file is missing or unusable, or has a label without a class.
    """
    folder = Path(folder).expanduser()
    classes = _read_classes(folder / CLASSES)
    labels = np.stack([_read_labels(folder / f'{name}.png', size, len(classes)) for name in names])
    return Segmentation(labels, classes)


def _read_classes(path: Path) -> tuple[str, ...]:
    """Reads the names of the classes; empty lines at the end are ignored."""
    try:
        lines = decoding.read_image_file(path).decode('utf-8').splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f'{path} is no UTF-8 text; the name of a class on each line is wanted.') from error
    classes = tuple(line.strip() for line in lines)
    while classes and not classes[-1]:
        classes = classes[:-1]
    if not 0 < len(classes) <= 256 or not all(classes):
        raise ValueError(f'{path} has {len(classes)} lines; 1 to 256 names of classes are wanted, none of them empty.')
    return classes


def _read_labels(path: Path, size: tuple[int, int], num_classes: int) -> np.ndarray:
    """Reads one label image: uint8 [H W]."""
    content = decoding.read_image_file(path)
    try:
        with Image.open(io.BytesIO(content), formats=['PNG']) as image:
            mode, labels = image.mode, np.asarray(image)
    except Exception as error:  # decoders raise almost any exception for a damaged file
        raise ValueError(f'{path} is no PNG image that can be read; make it again.') from error
    if mode not in ('L', 'P'):
        raise ValueError(f'{path} has the mode {mode}; a grey image of 8 bits, or one with a palette, is wanted.')
    if labels.max() >= num_classes:
        raise ValueError(
            f'{path} has the value {labels.max()}; {CLASSES} beside it names the classes 0 to {num_classes - 1}.'
        )
    crop = images.crop_center(labels[..., None], size)[..., 0]
    rows, columns = ((np.arange(new) + 0.5) * old / new for new, old in zip(size, crop.shape, strict=True))
    return crop[rows.astype(int)[:, None], columns.astype(int)[None]]
