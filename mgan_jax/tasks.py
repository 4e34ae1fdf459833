"""Restoration tasks: how images are degraded, compared with an observation and post-processed (sections 3.2 and 4.2).

Images are [B H W C] in [-1, 1]. An observation is an array [B h w c], or `Masked` if some pixels are unknown.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from mgan_jax import resize

LUMA = (0.299, 0.587, 0.114)


class Masked(NamedTuple):
    """Images with unknown pixels. pixels: [B H W C]. hole: [B H W 1], 1 where a pixel is unknown, else 0."""

    pixels: Array
    hole: Array


class Task(NamedTuple):
    """Three functions of images. The last two read masks and other data of the task from the observation.

    degrade(image) -> observation. observe(image, observation) -> [B h w c], to be compared with `target(observation)`.
    finish(image, observation): post-processing of the inversion, [B H W C] -> [B H W C].
    """

    degrade: Callable[..., Any]
    observe: Callable[..., Array]
    finish: Callable[..., Array]


def target(observation: Array | Masked) -> Array:
    """The pixels that the losses compare, [B h w c]: those of the observation, 0 where they are unknown."""
    if isinstance(observation, Masked):
        return observation.pixels * (1 - observation.hole)
    return observation


def pixels(observation: Array | Masked) -> Array:
    """The observation as an image [B h w c], for display."""
    return observation.pixels if isinstance(observation, Masked) else observation


def custom(degrade: Callable[[Array], Array], finish: Callable[[Array, Any], Array] | None = None) -> Task:
    """A task with any differentiable degradation [B H W C] -> [B h w c].

    finish(image, observation): post-processing; None returns the inversion as it is.
    """
    return Task(degrade, lambda image, observation: degrade(image), finish or (lambda image, observation: image))


def reconstruct() -> Task:
    """Reconstruction of the image itself, L(x_inv, x) (equation 4)."""
    return custom(lambda image: image)


def super_resolve(factor: int = 16, method: str = 'bilinear') -> Task:
    """L(down(x_inv), low_res_input) (equation 7). method: see `resize.shrink`; the released code uses 'bilinear'."""
    return custom(lambda image: resize.shrink(image, factor, method))


def colorize() -> Task:
    """L(gray(x_inv), gray_input) (equation 6). The result has the input's luminance and the inversion's Cb and Cr."""
    return custom(gray, lambda image, observation: image + (observation - gray(image)))


def gray(image: Array) -> Array:
    """Luminance 0.299 R + 0.587 G + 0.114 B: [B H W 3] -> [B H W 1]. Raises ValueError for other than 3 channels."""
    if image.shape[-1] != 3:
        raise ValueError(f'images with {image.shape[-1]} channels are given; colourisation needs red, green and blue.')
    red, green, blue = jnp.split(image, 3, axis=-1)
    return LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue


def inpaint(mask: ArrayLike, composite: bool = True) -> Task:
    """L(x_inv m, x m), m = 1 - mask (equation 8). mask: [H W 1] or [B H W 1], 1 where pixels are unknown.

    composite: the result has the known pixels of the input; without it the result is the inversion, as in the released
    code. Raises ValueError for a mask of another rank; `degrade` raises it for a mask of another size than the images.
    """
    return _masked(lambda image, hole: image * (1 - hole), mask, composite)


def denoise(mask: ArrayLike, noise: ArrayLike | None = None, composite: bool = True) -> Task:
    """As `inpaint`, with mask = 1 at corrupted pixels, whose positions are known.

    noise: values that `degrade` writes at these pixels, shaped like the images or [H W C]. Without it `degrade` leaves
    the images as they are: they are corrupted already.
    """
    if noise is None:
        return _masked(lambda image, hole: image, mask, composite)
    return _masked(
        lambda image, hole: jnp.where(hole > 0, jnp.broadcast_to(noise, image.shape), image), mask, composite
    )


def _masked(corrupt: Callable[[Array, Array], Array], mask: ArrayLike, composite: bool) -> Task:
    mask = jnp.asarray(mask, jnp.float32)
    if mask.ndim not in (3, 4) or mask.shape[-1] != 1:
        raise ValueError(f'a mask of shape {list(mask.shape)} is given; [H, W, 1] or [B, H, W, 1] is wanted.')

    def degrade(image: Array) -> Masked:
        if mask.shape[-3:-1] != image.shape[1:3]:
            given, wanted = ('x'.join(map(str, shape)) for shape in (mask.shape[-3:-1], image.shape[1:3]))
            raise ValueError(f'the mask has {given} pixels, the images have {wanted}; make them agree.')
        hole = jnp.broadcast_to(mask, (*image.shape[:3], 1))
        return Masked(corrupt(image, hole), hole)

    def observe(image: Array, observation: Masked) -> Array:
        return image * (1 - observation.hole)

    def finish(image: Array, observation: Masked) -> Array:
        if not composite:
            return image
        return jnp.where(observation.hole > 0, image, observation.pixels)

    return Task(degrade, observe, finish)
