"""The heads of LPIPS, learned perceptual image patch similarity (Zhang et al. 2018, arXiv 1801.03924), version 0.1."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from mgan_jax.models.precision import at_least_float32

EPSILON = 1e-10  # of the original implementation


class Lpips(NamedTuple):
    """What is learned on top of a feature extractor: a weight for each channel of each of its stages.

    distance(heads, x, y): the `unit_length` maps [B h w C] of every stage of two batches of images -> [B],
        sum_l mean_hw sum_c w_lc (x_lhwc - y_lhwc)^2.
    layers: the stages, as the extractor calls them. channels: how many each has. init(key): random heads, for tests.
    """

    distance: Callable
    layers: tuple[str, ...]
    channels: tuple[int, ...]
    init: Callable


def build_lpips(layers: Sequence[str], channels: Sequence[int]) -> Lpips:
    """The heads as pure functions; their parameters are {layer: [C] of non-negative numbers}."""
    if len(layers) != len(channels) or not layers:
        raise ValueError(f'{len(layers)} layers and {len(channels)} channel numbers are given; one of each per stage.')

    def distance(heads: dict, x: Sequence[Array], y: Sequence[Array]) -> Array:
        stages = zip(layers, x, y, strict=True)
        return sum((_weighted(heads[layer], a - b) for layer, a, b in stages), start=jnp.zeros(()))

    def init(key):
        keys = jax.random.split(key, len(layers))
        return {name: jax.random.uniform(k, (c,)) for name, c, k in zip(layers, channels, keys, strict=True)}

    return Lpips(distance, tuple(layers), tuple(channels), init)


def unit_length(features: Array) -> Array:
    """Features of length 1 at each position, x / (|x| + 1e-10): [B h w C] -> [B h w C].

    Where all of them are 0, so are the result and, unlike that of a plain square root, the gradient of |x|.
    At least float32 whatever the features are.
    """
    features = at_least_float32(features)
    square = jnp.sum(jnp.square(features), axis=-1, keepdims=True)
    length = jnp.where(square > 0, jnp.sqrt(jnp.where(square > 0, square, 1)), 0)
    return features / (length + EPSILON)


def _weighted(weight: Array, difference: Array) -> Array:
    """mean_hw sum_c w_c d_hwc^2: [C], [B h w C] -> [B]."""
    mean = jnp.mean(jnp.square(difference), axis=(1, 2))  # [B C]
    return jnp.sum(mean * weight[None], axis=1)
