"""Losses of an inversion, one number per image: L(x1, x2) = ||x1 - x2||^2 + ||phi(x1) - phi(x2)||_1 (equation 5).

Another distance of `models.perceptual`, such as LPIPS, can replace the second term.
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
    """What stays constant while an image is optimised. Every leaf has the B images on its first axis.

    observation: an array or `tasks.Masked`. pixels: [B h w c]. features: the distance's description of the pixels, or
    None.
    """

    observation: Any
    pixels: Array
    features: Any


@dataclass(frozen=True, eq=False)  # not a tuple, because `jax.jit` needs a weak reference to a function
class Objective:
    """objective(codes, observation, params, vgg) -> loss [B]. It has two parts, so that a loop computes the first once.

    prepare(observation, params, vgg) -> (Target, params, vgg); evaluate(codes, Target, params, vgg) -> loss [B].
    vgg: the weights of the perceptual distance, those of the extractor, or (extractor's, heads') for LPIPS.
    """

    prepare: Callable[..., tuple[Target, Any, Any]]
    evaluate: Callable[..., Array]

    def __call__(self, codes: Any, observation: Any, params: Any, vgg: Any = None) -> Array:
        return self.evaluate(codes, *self.prepare(observation, params, vgg))


def mean_squared(x: Array, y: Array) -> Array:
    """Mean over pixels and channels of (x - y)^2: [B h w c], [B h w c] -> [B], at least float32."""
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
    compose: Callable[..., Array] | None = None,
) -> Objective:
    """The loss of codes against an observation, through the task's degradation (equations 4 to 8).

    pixel, perceptual: weights of the two terms. Each term is a mean. 0.001 and relu3_3 at 256 pixels are the released
    code's values; the paper writes sums and conv4_3. extractor_size: images are resized to this many pixels a side
    before the perceptual term; None keeps their size. distance: replaces the distance of `extractor` and
    `extractor_layer`, for example by `perceptual.lpips_distance(extractor, lpips)`; `vgg` then holds its weights.
    compose(params, codes) -> [B H W C]: for codes other than `composition.Codes`, see `priors`.

    Raises ValueError for a perceptual weight without an extractor or distance. The objective raises ValueError for an
    observation whose shape is not that of a degraded image.
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

    def describe(images: Array, vgg: Any) -> Any:
        if phi is None:
            return None
        return phi.describe(vgg, images if extractor_size is None else resize.nearest(images, extractor_size))

    def prepare(observation: Any, params: Any, vgg: Any = None) -> tuple[Target, Any, Any]:
        pixels = tasks.target(observation)
        return Target(observation, pixels, describe(pixels, vgg)), params, vgg

    def evaluate(codes: Any, target: Target, params: Any, vgg: Any = None) -> Array:
        image = (compose or multi_code)(params, codes)  # x_inv
        observed = task.observe(image, target.observation)
        if observed.shape != target.pixels.shape:
            given, wanted = target.pixels.shape, observed.shape
            raise ValueError(
                f'the observation has the shape {list(given)}; this task makes {list(wanted)} of an image.'
            )
        loss = pixel * mean_squared(observed, target.pixels)
        if phi is not None:
            loss += perceptual * phi.compare(vgg, describe(observed, vgg), target.features)
        return loss

    return Objective(prepare, evaluate)
