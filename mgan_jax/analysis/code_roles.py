"""What each of an image's N codes is for: what is lost without it, and which part of the image that is (figure 5)."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from mgan_jax import composition
from mgan_jax.models.generator import Generator

NOTHING = 'nothing'  # the label of a code without which the image is the same


class CodeRole(NamedTuple):
    """code: its number from 0; entries: how many importances were set to 0; change: mean difference over all pixels; marked:
    the share of the pixels where it is large; label: the class that they overlap most, and iou: how much."""

    code: int
    entries: int
    change: float
    marked: float
    label: str
    iou: float


def code_differences(
    generator: Generator, params: Any, codes: composition.Codes, *, layer: int, space: str = 'z', threshold: float = 0.2
) -> Array:
    """|x_inv - x_n| of each n, mean over channels, where x_n is x_inv with the entries of alpha_n above `threshold` set to
    0: -> [B N H W]. Images are clipped to [-1, 1], as they are seen. One code after another, to save memory."""

    def render(alpha: Any) -> Array:
        image = composition.compose(generator, params, codes._replace(alpha=alpha), layer=layer, space=space)
        return jnp.clip(image, -1, 1)

    whole = render(codes.alpha)

    def without(n: Array) -> Array:
        def large(alpha: Array) -> Array:
            return (jnp.arange(alpha.shape[1]) == n)[None, :, None] & (alpha > threshold)

        image = render(jax.tree.map(lambda alpha: jnp.where(large(alpha), 0, alpha), codes.alpha))
        some = jnp.stack([large(alpha).any(axis=(1, 2)) for alpha in jax.tree.leaves(codes.alpha)]).any(axis=0)
        difference = jnp.mean(jnp.abs(whole - image), axis=-1)
        return jnp.where(some[:, None, None], difference, 0)  # where none is, only rounding differs

    count = jax.tree.leaves(codes.latents)[0].shape[1]
    return jnp.moveaxis(jax.lax.map(without, jnp.arange(count)), 0, 1)


def count_silenced(alpha: Any, threshold: float) -> np.ndarray:
    """How many entries of each alpha_n are above the threshold; alpha: leaves [N C] -> [N]."""
    return np.sum([(np.asarray(leaf) > threshold).sum(axis=-1) for leaf in jax.tree.leaves(alpha)], axis=0)


def mark_large(values: np.ndarray) -> np.ndarray:
    """Where values are large: those above Otsu's threshold (1979), which maximises w0 w1 (m0 - m1)^2 of the two classes'
    shares w and means m. Of the same shape, bool; nothing where all values are equal."""
    ordered = np.sort(values, axis=None).astype(np.float64)
    count = np.arange(1, ordered.size)  # of the lower class
    below = np.cumsum(ordered)[:-1]
    apart = below / count - (ordered.sum() - below) / count[::-1]
    between = count * count[::-1] * apart**2
    between[ordered[1:] == ordered[:-1]] = -1  # equal values stay together
    if not between.size or between.max() <= 0:
        return np.zeros(values.shape, bool)
    return values > ordered[between.argmax()]


def class_overlaps(marked: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    """IoU of the marked pixels [H W] with those of each class of a segmentation [H W]: -> [classes], 0 for absent ones."""
    both = np.bincount(labels[marked], minlength=classes)
    either = np.bincount(labels.ravel(), minlength=classes) + marked.sum() - both
    return both / np.maximum(either, 1)


def code_roles(
    maps: np.ndarray, alpha: Any, labels: np.ndarray, classes: tuple[str, ...], threshold: float
) -> list[CodeRole]:
    """The roles of N codes. maps: `code_differences` [N H W]; alpha: leaves [N C]; labels [H W]: numbers in `classes`."""
    roles = []
    for code, (entries, values) in enumerate(zip(count_silenced(alpha, threshold), maps, strict=True)):
        marked = mark_large(values)
        iou = class_overlaps(marked, labels, len(classes))
        label = classes[iou.argmax()] if iou.any() else NOTHING
        roles.append(CodeRole(code, int(entries), float(values.mean()), float(marked.mean()), label, float(iou.max())))
    return roles
