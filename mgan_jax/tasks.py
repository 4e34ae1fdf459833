"""Restoration tasks: what is observed of an image, and what is done with the inversion at the end (sections 3.2, 4.2).

Images are [B H W C] in [-1, 1]. An observation is an array [B h w c], or `Masked` where only some pixels are known.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from mgan_jax import resize

LUMA = (0.299, 0.587, 0.114)


class Masked(NamedTuple):
    """An image of which the pixels under `hole` (1 = unknown) do not count. pixels [B H W C], hole [B H W 1]."""

    pixels: Array
    hole: Array


class Task(NamedTuple):
    """degrade(image) -> observation; the other functions take what they need of the task from the observation.

    observe(image, observation): what the observation would be of this image, for comparison with `target(observation)`.
    finish(image, observation): post-processing of the inversion, [B H W C] -> [B H W C].
    """

    degrade: Callable
    observe: Callable
    finish: Callable


def target(observation: Array | Masked) -> Array:
    """What is compared in the losses: the observed pixels, 0 where they are unknown."""
    if isinstance(observation, Masked):
        return observation.pixels * (1 - observation.hole)
    return observation


def pixels(observation: Array | Masked) -> Array:
    """The observation as an image to look at."""
    return observation.pixels if isinstance(observation, Masked) else observation


def custom(degrade: Callable[[Array], Array], finish: Callable | None = None) -> Task:
    """Any differentiable degradation [B H W C] -> [B h w c]; `finish(image, observation)` defaults to the inversion."""
    return Task(degrade, lambda image, observation: degrade(image), finish or (lambda image, observation: image))


def reconstruct() -> Task:
    """Inversion proper, L(x_inv, x) (equation 4)."""
    return custom(lambda image: image)


def super_resolve(factor: int = 16, method: str = 'bilinear') -> Task:
    """L(down(x_inv), low_res_input) (equation 7). method: see `resize.shrink`; 'bilinear' is the released code's."""
    return custom(lambda image: resize.shrink(image, factor, method))


def colorize() -> Task:
    """L(gray(x_inv), gray_input) (equation 6). The result has the luminance of the input, and Cb, Cr of the inversion."""
    return custom(gray, lambda image, observation: image + (observation - gray(image)))


def gray(image: Array) -> Array:
    """0.299 R + 0.587 G + 0.114 B: [B H W 3] -> [B H W 1]."""
    if image.shape[-1] != 3:
        raise ValueError(f'images with {image.shape[-1]} channels are given; colourisation needs red, green and blue.')
    red, green, blue = jnp.split(image, 3, axis=-1)
    return LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue


def inpaint(mask: ArrayLike, composite: bool = True) -> Task:
    """L(x_inv m, x m), m = 1 - mask (equation 8). mask: [H W 1] or [B H W 1], 1 = hole.

    With `composite` the known pixels of the input come back at the end; the released code leaves the inversion.
    """
    return _masked(lambda image, hole: image * (1 - hole), mask, composite)


def denoise(mask: ArrayLike, noise: ArrayLike | None = None, composite: bool = True) -> Task:
    """As `inpaint`, mask = 1 at the known positions of corrupted pixels.

    noise: what `degrade` puts there, like the image or [H W C]; without it they are left as they are, which is right for
    images that come corrupted.
    """
    if noise is None:
        return _masked(lambda image, hole: image, mask, composite)
    return _masked(
        lambda image, hole: jnp.where(hole > 0, jnp.broadcast_to(noise, image.shape), image), mask, composite
    )


def _masked(corrupt: Callable, mask: ArrayLike, composite: bool) -> Task:
    mask = jnp.asarray(mask, jnp.float32)
    if mask.ndim not in (3, 4) or mask.shape[-1] != 1:
        raise ValueError(f'a mask of shape {list(mask.shape)} is given; [H, W, 1] or [B, H, W, 1] is wanted.')

    def degrade(image):
        if mask.shape[-3:-1] != image.shape[1:3]:
            given, wanted = ('x'.join(map(str, shape)) for shape in (mask.shape[-3:-1], image.shape[1:3]))
            raise ValueError(f'the mask has {given} pixels, the images have {wanted}; make them agree.')
        hole = jnp.broadcast_to(mask, (*image.shape[:3], 1))
        return Masked(corrupt(image, hole), hole)

    def observe(image, observation):
        return image * (1 - observation.hole)

    def finish(image, observation):
        if not composite:
            return image
        return jnp.where(observation.hole > 0, image, observation.pixels)

    return Task(degrade, observe, finish)
