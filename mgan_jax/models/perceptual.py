"""Perceptual distances, computed from the features of a network. Images: [B H W C] in [-1, 1], C = 3 or 1."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
from jax import Array

from mgan_jax.models.extractor import Extractor
from mgan_jax.models.lpips import Lpips, normalise_features
from mgan_jax.models.precision import at_least_float32, cast_like


@dataclass(frozen=True, eq=False)  # not a tuple, because `jax.jit` needs a weak reference to a function
class Distance:
    """distance(weights, x, y) -> [B]. It has two parts, so that a target is described once:

    describe(weights, images) -> a pytree of features, leaves [B ...]; compare(weights, features, features) -> [B].
    """

    describe: Callable[..., Any]
    compare: Callable[..., Array]

    def __call__(self, weights: Any, x: Array, y: Array) -> Array:
        return self.compare(weights, self.describe(weights, x), self.describe(weights, y))


def feature_distance(extractor: Extractor, layer: str) -> Distance:
    """The mean absolute difference of the features of one layer, as in the released code. weights: the extractor's."""

    def describe(weights: dict[str, Any], images: Array) -> Any:
        return extractor.features(weights, cast_like(weights, images), layer)

    return Distance(describe, lambda weights, x, y: mean_absolute(x, y))


def lpips_distance(extractor: Extractor, lpips: Lpips) -> Distance:
    """LPIPS v0.1 (Zhang et al. 2018, arXiv 1801.03924). weights: (the extractor's, the heads').

    d(x, y) = sum_l mean_hw sum_c w_lc (f_l(x) - f_l(y))^2_hwc,   f_l: features of stage l, of length 1 at each
    position.

    The original scales images by (x - shift) / scale with shift (-.030, -.088, -.188) and scale (.458, .448, .450).
    This equals the ImageNet normalisation ((x + 1) / 2 - mean) / std of the extractors: shift = 2 mean - 1, scale = 2
    std. Raises ValueError for heads of another network; `describe` raises it for other numbers of channels.
    """
    if extractor.stages != lpips.layers:
        given, wanted = (', '.join(names) or 'none' for names in (extractor.stages, lpips.layers))
        raise ValueError(f'the stages of the extractor are {given}; these LPIPS heads are for a network with {wanted}.')

    def describe(weights: tuple[Any, Any], images: Array) -> tuple[Array, ...]:
        maps = extractor.features(weights[0], cast_like(weights[0], images), lpips.layers)
        channels = tuple(x.shape[-1] for x in maps)
        if channels != lpips.channels:
            given, wanted = list(channels), list(lpips.channels)
            raise ValueError(f'the extractor has {given} channels at its stages; these LPIPS heads are for {wanted}.')
        return tuple(normalise_features(x) for x in maps)

    return Distance(describe, lambda weights, x, y: lpips.distance(weights[1], x, y))


def mean_absolute(x: Array, y: Array) -> Array:
    """Mean over pixels and channels of |x - y|: [B h w c], [B h w c] -> [B]."""
    return jnp.mean(jnp.abs(at_least_float32(x) - at_least_float32(y)), axis=(1, 2, 3))
