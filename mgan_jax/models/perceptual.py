"""How differently two batches of images look to a network. Images: [B H W 3] (or [B H W 1]) in [-1, 1]."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
from jax import Array

from mgan_jax.models.extractor import Extractor
from mgan_jax.models.lpips import Lpips, unit_length
from mgan_jax.models.precision import at_least_float32, like


@dataclass(frozen=True, eq=False)  # a callable that jit can keep by its identity, which a tuple is not
class Distance:
    """distance(weights, x, y) -> [B], in two parts so that a target is looked at only once:

    describe(weights, images) -> what the network sees, images first in every leaf; compare(weights, one, other) -> [B].
    """

    describe: Callable
    compare: Callable

    def __call__(self, weights: Any, x: Array, y: Array) -> Array:
        return self.compare(weights, self.describe(weights, x), self.describe(weights, y))


def feature_distance(extractor: Extractor, layer: str) -> Distance:
    """The mean absolute difference of one layer's features, as in the released code; weights: the extractor's."""

    def describe(weights: dict, images: Array) -> Array:
        return extractor.features(weights, like(weights, images), layer)

    return Distance(describe, lambda weights, x, y: mean_absolute(x, y))


def lpips_distance(extractor: Extractor, lpips: Lpips) -> Distance:
    """LPIPS v0.1 (Zhang et al. 2018, arXiv 1801.03924); weights: (the extractor's, the heads).

    d(x, y) = sum_l mean_hw sum_c w_lc (f_l(x) - f_l(y))^2_hwc,   f_l: features of stage l, of length 1 at each position.

    The original scales images by (x - shift) / scale with shift (-.030, -.088, -.188) and scale (.458, .448, .450). That
    is the ImageNet normalisation ((x + 1) / 2 - mean) / std of the extractors: shift = 2 mean - 1, scale = 2 std.
    ValueError for heads of another network.
    """
    if extractor.stages != lpips.layers:
        given, wanted = (', '.join(names) or 'none' for names in (extractor.stages, lpips.layers))
        raise ValueError(f'the stages of the extractor are {given}; these LPIPS heads are for a network with {wanted}.')

    def describe(weights: tuple, images: Array) -> tuple[Array, ...]:
        maps = extractor.features(weights[0], like(weights[0], images), lpips.layers)
        channels = tuple(x.shape[-1] for x in maps)
        if channels != lpips.channels:
            given, wanted = list(channels), list(lpips.channels)
            raise ValueError(f'the extractor has {given} channels at its stages; these LPIPS heads are for {wanted}.')
        return tuple(unit_length(x) for x in maps)

    return Distance(describe, lambda weights, x, y: lpips.distance(weights[1], x, y))


def mean_absolute(x: Array, y: Array) -> Array:
    """Mean over pixels and channels of |x - y|: [B h w c], [B h w c] -> [B]."""
    return jnp.mean(jnp.abs(at_least_float32(x) - at_least_float32(y)), axis=(1, 2, 3))
