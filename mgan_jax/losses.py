"""Losses of an inversion, one number per image: L(x1, x2) = ||x1 - x2||^2 + ||phi(x1) - phi(x2)||_1 (equation 5).

The second term may be any other distance of `perceptual`, such as LPIPS.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array

from mgan_jax import composition, resize, tasks
from mgan_jax.models.extractor import Extractor
from mgan_jax.models.generator import Generator
from mgan_jax.models.perceptual import Distance, feature_distance
from mgan_jax.models.precision import at_least_float32


class Target(NamedTuple):
    """What stays the same over an image's optimisation. pixels [B h w c], features: what phi sees in them, or None."""

    observation: Any
    pixels: Array
    features: Any


@dataclass(frozen=True, eq=False)  # a callable that jit can keep by its identity, which a tuple is not
class Objective:
    """objective(codes, observation, params, vgg) -> loss [B], in two parts so that a loop does the first only once:

    vgg: the weights of the perceptual distance, the extractor's, or (the extractor's, the heads) for LPIPS.
    prepare(observation, params, vgg) -> (Target, params, vgg); evaluate(codes, Target, params, vgg) -> [B].
    """

    prepare: Callable
    evaluate: Callable

    def __call__(self, codes, observation, params, vgg=None) -> Array:
        return self.evaluate(codes, *self.prepare(observation, params, vgg))


def mean_squared(x: Array, y: Array) -> Array:
    """Mean over pixels and channels of (x - y)^2: [B h w c], [B h w c] -> [B]."""
    return jnp.mean(jnp.square(at_least_float32(x) - at_least_float32(y)), axis=(1, 2, 3))


def objective(
    generator: Generator,
    task: tasks.Task,
    *,
    layer: int,
    space: str = 'z',
    pixel: float = 1.0,
    perceptual: float = 0.001,
    extractor: Extractor | None = None,
    extractor_layer: str = 'relu3_3',
    extractor_size: int | None = 256,
    distance: Distance | None = None,
    compose: Callable | None = None,
) -> Objective:
    """The loss of codes against an observation, through the task's degradation (equations 4 to 8).

    pixel, perceptual: weights of the two terms, each a mean (0.001 and relu3_3 at 256 pixels are the released code's;
    the paper writes sums and conv4_3). extractor_size: pixels a side that images are resized to, None for no resizing.
    distance: another perceptual term than that of `extractor` and `extractor_layer`, such as
    `perceptual.lpips_distance(extractor, lpips)`, whose weights then stand in the place of vgg. compose(params, codes) -> [B H W C],
    of codes that are not `composition.Codes`: see `priors`.
    """
    if distance is None and extractor is not None:
        distance = feature_distance(extractor, extractor_layer)
    if perceptual and distance is None:
        raise ValueError(
            f'the perceptual weight is {perceptual}, but there is no extractor; give one, or the weight 0.'
        )
    phi = distance if perceptual else None

    def multi_code(params: Any, codes: composition.Codes) -> Array:
        return composition.compose(generator, params, codes, layer=layer, space=space)

    def see(images: Array, vgg: Any) -> Any:
        if phi is None:
            return None
        return phi.describe(vgg, images if extractor_size is None else resize.nearest(images, extractor_size))

    def prepare(observation, params, vgg=None):
        pixels = tasks.target(observation)
        return Target(observation, pixels, see(pixels, vgg)), params, vgg

    def evaluate(codes, target: Target, params, vgg=None):
        image = (compose or multi_code)(params, codes)  # x_inv
        observed = task.observe(image, target.observation)
        if observed.shape != target.pixels.shape:
            given, wanted = target.pixels.shape, observed.shape
            raise ValueError(
                f'the observation has the shape {list(given)}; this task makes {list(wanted)} of an image.'
            )
        loss = pixel * mean_squared(observed, target.pixels)
        if phi is not None:
            loss += perceptual * phi.compare(vgg, see(observed, vgg), target.features)
        return loss

    return Objective(prepare, evaluate)
