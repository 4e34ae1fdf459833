"""Priors: which variables are optimised for an image, and how they become the image.

`multi_code_prior` is the method. `feature_map_prior` and `deep_image_prior` are the paper's baselines. Tasks, losses and
steps are the same for all of them.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array

from mgan_jax import composition
from mgan_jax.composition import Codes, Composed
from mgan_jax.models import dip
from mgan_jax.models.generator import Generator
from mgan_jax.models.precision import cast


class Prior(NamedTuple):
    """init(keys [B], params, first=None) -> variables with leaves [B ...]; first: see `codes_around`, None for a random start.

    compose(params, variables) -> images [B H W C] in about [-1, 1].
    """

    init: Callable[..., Any]
    compose: Callable[..., Array]


def multi_code_prior(
    generator: Generator,
    *,
    num_codes: int,
    layer: int,
    space: str = 'z',
    alpha: float | None = None,
    tail: bool = True,
    noise: bool = False,
    spread: float = 0.5,
) -> Prior:
    """N latent codes and their channel importances (section 3.1). The variables are `composition.Codes`.

    alpha, tail, noise: as in `composition.init`. spread: as in `codes_around`.
    """

    def init(keys: Array, params: Any, first: Codes | None = None) -> Codes:
        codes = composition.init(
            keys,
            generator,
            params,
            batch=keys.shape[0],
            num_codes=num_codes,
            layer=layer,
            space=space,
            alpha=alpha,
            tail=tail,
            noise=noise,
        )
        return codes if first is None else codes_around(first, codes, spread)

    def compose(params: Any, codes: Codes) -> Array:
        return composition.compose(generator, params, codes, layer=layer, space=space)

    return Prior(init, compose)


def feature_map_prior(generator: Generator, *, start: Prior, layer: int, space: str = 'z') -> Prior:
    """The feature maps after the composing layer, and the styles of the layers after it. The variables are `Composed`.

    start: a multi-code prior; its initial codes give the initial feature maps.
    """

    def init(keys: Array, params: Any, first: Codes | None = None) -> Composed:
        codes = start.init(keys, params, first)
        composed: Composed = cast(composition.combine(generator, params, codes, layer=layer, space=space), jnp.float32)
        return composed

    def compose(params: Any, composed: Composed) -> Array:
        return composition.render(generator, params, composed, layer=layer)

    return Prior(init, compose)


def deep_image_prior(generator: Generator, *, channels: int = 32, jitter: float = 0.0) -> Prior:
    """The weights of one untrained network per image (Ulyanov et al. 2018, see `models.dip`).

    generator: only its image size and channels are used. channels: of the network at every resolution. jitter: standard
    deviation of the noise that is added to the network's input in every step. ValueError for an unusable image size.
    """
    network = dip.build_deep_prior(generator.image_size, generator.image_channels, channels, jitter)
    return Prior(
        init=lambda keys, params, first=None: network.init(keys),
        compose=lambda params, variables: network.image(variables),
    )


def codes_around(first: Codes, random: Codes, spread: float) -> Codes:
    """Initial codes from known ones. Returns `first` if it has channel importances; otherwise N perturbed copies of it.

    first: codes of an earlier run, or one code per image, latents [B 1 ...], alpha None. random: random codes, whose
    deviation from their mean, times `spread`, is added to the copies 2 .. N. N equal codes would stay equal.
    """
    if first.alpha is not None:
        return first
    noise = random.latents - jnp.mean(random.latents, axis=1, keepdims=True)
    others = (jnp.arange(noise.shape[1]) > 0).reshape(1, -1, *[1] * (noise.ndim - 2))
    latents = jnp.broadcast_to(first.latents, noise.shape) + spread * jnp.where(others, noise, 0)
    return random._replace(latents=latents, tail=random.tail if first.tail is None else first.tail)
