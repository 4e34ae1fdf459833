"""Loads the networks of a run and checks that they fit each other before the first image."""

import functools
import os
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from mgan_jax import models
from mgan_jax.models import perceptual

KINDS: dict[type, str] = {
    models.Generator: 'a generator',
    models.Extractor: 'a feature extractor',
    models.Lpips: 'a set of LPIPS heads',
    models.Encoder: 'an encoder',
}


class Compute(NamedTuple):
    """How networks compute. dtype: of weights and feature maps. winograd: use Winograd kernels where they are quicker.
    remat: compute feature maps again in the backward pass."""

    dtype: str = 'float32'
    winograd: bool = True
    remat: bool = False


DEFAULT = Compute()


class Perception(NamedTuple):
    """The networks that compare images. distance, weights: the perceptual loss, None without one.
    lpips(x, y): [B H W C] twice -> [B], None without LPIPS heads."""

    distance: perceptual.Distance | None = None
    weights: Any = None
    lpips: Callable | None = None


def load_generator(name: str, *, compute: Compute = DEFAULT, label: int = -1) -> tuple[models.Generator, dict]:
    """The generator in a model directory and its weights. label: the class of a class-conditional generator, -1 for none.

    Raises ValueError with one sentence if the directory holds no generator or the label does not fit.
    """
    generator, params = _load_network('generator', name, models.Generator, compute)
    if label >= 0:
        generator = models.conditioned(generator, label)
    return generator, models.cast(params, compute.dtype)


def load_perception(
    *,
    image_size: tuple[int, int],
    extractor: str,
    extractor_layer: str = 'relu3_3',
    extractor_size: int = 256,
    perceptual_loss: str = 'features',
    perceptual_weight: float = 0.0,
    lpips: str = '',
    compute: Compute = DEFAULT,
) -> Perception:
    """The perceptual loss and the LPIPS metric, each only if it is needed.

    image_size: (H, W) of the images that the metric compares. extractor, lpips: model directories. extractor_size: pixels a
    side that the loss compares. perceptual_loss: 'features' of one layer, or 'lpips'. perceptual_weight: no loss is loaded
    for 0. The loss computes in `compute.dtype`, the metric in float32. Raises ValueError with one sentence if the networks
    do not fit each other or the images.
    """
    if not perceptual_weight and not lpips:
        return Perception()
    network, params = _load_network('extractor', extractor, models.Extractor, compute)
    distance, metric = perceptual.feature_distance(network, extractor_layer), None
    weights = models.cast(params, compute.dtype)
    what = f"extractor '{extractor}' cannot give extractor_layer '{extractor_layer}' at extractor_size {extractor_size}"
    if lpips:
        lpips_distance, heads = _load_lpips(lpips, extractor, network, params, image_size)
        metric = functools.partial(jax.jit(lambda weights, x, y: lpips_distance(weights, x, y)), (params, heads))
        if perceptual_loss == 'lpips':
            distance, weights = lpips_distance, (weights, heads)
            what = f"extractor '{extractor}' cannot give LPIPS at extractor_size {extractor_size}"
    if not perceptual_weight:
        return Perception(lpips=metric)
    _require_usable(distance, weights, (extractor_size, extractor_size), what)
    return Perception(distance, weights, metric)


def _load_lpips(
    name: str, extractor_name: str, extractor: models.Extractor, params: dict, image_size: tuple[int, int]
) -> tuple[perceptual.Distance, dict]:
    """LPIPS with the heads of a model directory: -> (the distance, the weights of the heads)."""
    lpips, heads = _load_network('lpips', name, models.Lpips, DEFAULT)
    what = f"lpips '{name}' cannot be used with extractor '{extractor_name}'"
    try:
        distance = perceptual.lpips_distance(extractor, lpips)
    except ValueError as error:
        raise ValueError(f'{what}: {error}') from error
    _require_usable(distance, (params, heads), image_size, what)
    return distance, heads


def _load_network(field: str, name: str, kind: type, compute: Compute) -> tuple[Any, dict]:
    options = {'remat': True} if compute.remat and kind is not models.Lpips else {}
    model, params = models.load(os.path.expanduser(name), **options)
    if not isinstance(model, kind):
        raise ValueError(f"{field} '{name}' holds {KINDS[type(model)]}; {KINDS[kind]} is wanted.")
    exact = compute.winograd and compute.dtype == 'float32'
    if exact and jax.default_backend() == 'cpu' and isinstance(model, models.Generator | models.Extractor):
        params = jax.device_put(model.prepare(jax.device_get(params)))  # NumPy arrays: nothing is compiled
    return model, params


def _require_usable(distance: perceptual.Distance, weights: Any, size: tuple[int, int], what: str) -> None:
    """Raises what the networks object to in images of this size; only shapes are computed. what: starts the sentence."""
    try:
        jax.eval_shape(distance.describe, weights, jax.ShapeDtypeStruct((1, *size, 3), jnp.float32))
    except ValueError as error:
        raise ValueError(f'{what}: {error}') from error
