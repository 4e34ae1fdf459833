"""The heads of LPIPS v0.1, learned perceptual image patch similarity (Zhang et al. 2018, arXiv 1801.03924)."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from mgan_jax.models.precision import at_least_float32

EPSILON = 1e-10  # as in the original implementation


class Lpips(NamedTuple):
    """Learned weights of the channels of a feature extractor, one per channel of each of its stages.

    distance(heads, x, y): sum_l mean_hw sum_c w_lc (x_lhwc - y_lhwc)^2 -> [B]. x, y: the features [B h w C] of every
        stage, from `normalise_features`.
    layers: the extractor's names of the stages. channels: their numbers of channels. init(key): random heads, for
    tests.
    """

    distance: Callable[..., Array]
    layers: tuple[str, ...]
    channels: tuple[int, ...]
    init: Callable[..., dict[str, Array]]


def build_lpips(layers: Sequence[str], channels: Sequence[int]) -> Lpips:
    """The heads as pure functions. Their parameters are {layer: non-negative weights [C]}.

    Raises ValueError for different numbers of layers and channels, and for none.
    """
    if len(layers) != len(channels) or not layers:
        raise ValueError(f'{len(layers)} layers and {len(channels)} channel numbers are given; one of each per stage.')

    def distance(heads: dict[str, Array], x: Sequence[Array], y: Sequence[Array]) -> Array:
        stages = zip(layers, x, y, strict=True)
        return sum((_weighted(heads[layer], a - b) for layer, a, b in stages), start=jnp.zeros(()))

    def init(key: Any) -> dict[str, Array]:
        keys = jax.random.split(key, len(layers))
        return {name: jax.random.uniform(k, (c,)) for name, c, k in zip(layers, channels, keys, strict=True)}

    return Lpips(distance, tuple(layers), tuple(channels), init)


def normalise_features(features: Array) -> Array:
    """Features of length 1 at each position, x / (|x| + 1e-10): [B h w C] -> [B h w C], at least float32.

    Where x is 0, the result is 0 and the gradient of |x| is 0, not NaN as that of a square root.
    """
    features = at_least_float32(features)
    square = jnp.sum(jnp.square(features), axis=-1, keepdims=True)
    length = jnp.where(square > 0, jnp.sqrt(jnp.where(square > 0, square, 1)), 0)
    return features / (length + EPSILON)


def _weighted(weight: Array, difference: Array) -> Array:
    """mean_hw sum_c w_c d_hwc^2: [C], [B h w C] -> [B]."""
    mean = jnp.mean(jnp.square(difference), axis=(1, 2))  # [B C]
    return jnp.sum(mean * weight[None], axis=1)
