"""The role of each of an image's N codes: how the image changes without it, and in which part (paper, figure 5)."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from mgan_jax import composition
from mgan_jax.models.generator import Generator

NOTHING = 'nothing'  # the label of a code whose removal does not change the image


class CodeRole(NamedTuple):
    """The role of one code.

    Attributes:
        code: number of the code, from 0.
        entries: number of importances that were set to 0.
        change: mean difference over all pixels, 0 to 2.
        marked: share of the pixels with a large difference, 0 to 1.
        label: class that overlaps most with these pixels.
        iou: intersection over union with this class, 0 to 1.
    """

    code: int
    entries: int
    change: float
    marked: float
    label: str
    iou: float


def code_differences(
    generator: Generator, params: Any, codes: composition.Codes, *, layer: int, space: str = 'z', threshold: float = 0.2
) -> Array:
    """Returns |x_inv - x_n| for each code n, mean over channels: [B N H W], 0 to 2.

    x_n is composed like x_inv, with the entries of alpha_n above `threshold` set to 0. Both images are clipped to [-1, 1].
    The codes are rendered one after another to save memory.
    """

    def render(alpha: Any) -> Array:
        image = composition.compose(generator, params, codes._replace(alpha=alpha), layer=layer, space=space)
        return jnp.clip(image, -1, 1)

    complete = render(codes.alpha)

    def difference_without(n: Array) -> Array:
        def large(alpha: Array) -> Array:
            return (jnp.arange(alpha.shape[1]) == n)[None, :, None] & (alpha > threshold)

        image = render(jax.tree.map(lambda alpha: jnp.where(large(alpha), 0, alpha), codes.alpha))
        some = jnp.stack([large(alpha).any(axis=(1, 2)) for alpha in jax.tree.leaves(codes.alpha)]).any(axis=0)
        difference = jnp.mean(jnp.abs(complete - image), axis=-1)
        return jnp.where(some[:, None, None], difference, 0)  # without large entries only the rounding differs

    count = jax.tree.leaves(codes.latents)[0].shape[1]
    return jnp.moveaxis(jax.lax.map(difference_without, jnp.arange(count)), 0, 1)


def count_silenced(alpha: Any, threshold: float) -> np.ndarray:
    """Returns the number of entries above the threshold in each alpha_n: [N]. alpha: leaves [N C]."""
    return np.sum([(np.asarray(leaf) > threshold).sum(axis=-1) for leaf in jax.tree.leaves(alpha)], axis=0)


def mark_large(values: np.ndarray) -> np.ndarray:
    """Returns which values are above Otsu's threshold (Otsu 1979): bool of the same shape.

    The threshold maximises w0 w1 (m0 - m1)^2, where w are the shares of the two classes and m their means. No value is
    marked if all are equal.
    """
    # skimage.filters.threshold_otsu counts in float32. With one bin per value it marks other pixels in most differences of
    # photographs of 256 x 256 and more (up to 30 pixels of 1024 x 1024); with 256 bins also in small images.
    ordered = np.sort(values, axis=None).astype(np.float64)
    count = np.arange(1, ordered.size)  # number of values in the lower class
    below = np.cumsum(ordered)[:-1]
    distance = below / count - (ordered.sum() - below) / count[::-1]  # m0 - m1
    between = count * count[::-1] * distance**2
    between[ordered[1:] == ordered[:-1]] = -1  # equal values belong to one class
    if not between.size or between.max() <= 0:
        return np.zeros(values.shape, bool)
    return values > ordered[between.argmax()]


def class_overlaps(marked: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    """Returns the intersection over union of the marked pixels with each class: [classes], 0 for absent classes.

    marked: bool [H W]. labels: the class of each pixel, 0 to classes - 1, [H W].
    """
    both = np.bincount(labels[marked], minlength=classes)
    either = np.bincount(labels.ravel(), minlength=classes) + marked.sum() - both
    return both / np.maximum(either, 1)


def code_roles(
    maps: np.ndarray, alpha: Any, labels: np.ndarray, classes: tuple[str, ...], threshold: float
) -> list[CodeRole]:
    """Returns the roles of the N codes of one image.

    maps: `code_differences` [N H W]. alpha: leaves [N C]. labels: the class of each pixel, an index of `classes`, [H W].
    """
    roles = []
    for code, (entries, values) in enumerate(zip(count_silenced(alpha, threshold), maps, strict=True)):
        marked = mark_large(values)
        iou = class_overlaps(marked, labels, len(classes))
        label = classes[iou.argmax()] if iou.any() else NOTHING
        roles.append(CodeRole(code, int(entries), float(values.mean()), float(marked.mean()), label, float(iou.max())))
    return roles
