"""What an encoder learns from: samples of its generator, whole or degraded, and how far its codes and their images are off.

    L = |s(E(d(x))) - s(c)|^2 + a |G(E(d(x))) - x|^2 + b |phi(G(E(d(x)))) - phi(x)|,   x = G(c)

c: codes of the generator's own distribution; d: one of the degradations, or none; s: codes of mean 0 and deviation 1, those of
the space z of one length, which means nothing to the generator; phi: features. Images are [B H W C] in [-1, 1].
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array

from mgan_jax import metrics, resize, tasks
from mgan_jax.models import Encoder, Generator, perceptual
from mgan_jax.models.pggan import pixel_norm

BATCH, RENDERED = 32, 4  # images of a step; of every so many of them one is rendered again, which costs most
SMALL = 16  # pixels a side of images that are enlarged again
HOLE, NOISE = 0.5, 0.5  # the side of a hole, the largest share of pixels with noise


class LossWeights(NamedTuple):
    """Of the losses on images, beside that on codes: mean squared difference, mean absolute difference of features."""

    pixel: float = 10.0
    perceptual: float = 0.2


class EncoderState(NamedTuple):
    """The encoder's weights and Adam's moments."""

    params: dict
    moments: optax.OptState


def init_encoder_state(encoder: Encoder, params: dict) -> EncoderState:
    """The state before the first step."""
    return EncoderState(params, _adam().init(params))


def sample_codes(generator: Generator, params: Any, space: str, keys: Array) -> Array:
    """Codes of the generator's own distribution, one for each key: [B D]."""
    z = jax.vmap(lambda key: jax.random.normal(key, (generator.latent_dim,)))(keys)
    if space == 'z':
        return pixel_norm(z)
    if generator.styles is None:
        raise ValueError(f"space '{space}' is given, but this generator has only the space 'z'.")
    return generator.styles.to_space(params, z, 1, space)


def render_samples(generator: Generator, params: Any, latents: Array, space: str) -> Array:
    """The images of codes [B D], all layers by the same code: [B H W C]."""
    last = generator.num_layers
    features = generator.features(params, latents, stop=last, space=space)
    tail = None if generator.styles is None else generator.styles.of(params, latents, space)
    return generator.image(params, features, start=last, tail=tail)


def standardise_codes(params: dict, latents: Array, space: str) -> Array:
    """Codes [B D] with mean 0 and deviation 1. params: of an encoder."""
    if space == 'z':
        return pixel_norm(latents)
    return (latents - params['mean'][None]) / params['deviation'][None]


def degrade_samples(images: Array, key: Array) -> Array:
    """The first half as it is, then parts alike: enlarged from 16 pixels a side, grey, with a hole, with noise; as runs of
    these tasks see their inputs."""
    half = len(images) // 2
    ways = [_enlarged, *([_grey] if images.shape[-1] == 3 else []), _with_hole, _with_noise]
    rows = [half + (len(images) - half) * i // len(ways) for i in range(len(ways) + 1)]
    keys = jax.random.split(key, len(ways))
    parts = zip(ways, rows[:-1], rows[1:], keys, strict=True)
    return jnp.concatenate([images[:half], *(way(images[a:b], k) for way, a, b, k in parts)])


def make_encoder_step(
    generator: Generator, encoder: Encoder, distance: perceptual.Distance | None, weights: LossWeights
) -> Callable:
    """step(state, key, rate, params of the generator, weights of the distance) -> (state, log): one update.

    log: the loss of codes, and of images the pixels' and the features'; rate: Adam's.
    """
    space = encoder.space

    def image_losses(latents, images, params, vgg):
        made = render_samples(generator, params, latents, space)
        zero = jnp.zeros(())
        seen = zero if distance is None else jnp.mean(distance(vgg, made, images))
        return jnp.mean(jnp.square(made - images)), seen

    def step(
        state: EncoderState, key: Array, rate: Array, params: Any, vgg: Any
    ) -> tuple[EncoderState, dict[str, Array]]:
        keys = jax.random.split(key, BATCH + 1)
        codes = sample_codes(generator, params, space, keys[1:])
        images = jnp.clip(render_samples(generator, params, codes, space), -1, 1)
        seen = degrade_samples(images, keys[0])

        def loss(own):
            told = encoder(own, seen)
            off = jnp.mean(
                jnp.square(standardise_codes(state.params, told, space) - standardise_codes(state.params, codes, space))
            )
            pixel, features = image_losses(told[::RENDERED], images[::RENDERED], params, vgg)
            log = {'codes': off, 'pixels': pixel, 'features': features}
            return off + weights.pixel * pixel + weights.perceptual * features, log

        slope, log = jax.grad(loss, has_aux=True)(state.params)
        updates, moments = _adam().update(slope, state.moments)
        moved = jax.tree.map(lambda x, change: x - rate * change, state.params, updates)
        return EncoderState(moved, moments), log

    return jax.jit(step, donate_argnums=0)


def score_encoder(generator: Generator, encoder: Encoder, params: Any, own: dict, keys: Array) -> tuple[Array, Array]:
    """Of samples, one for each key: (the correlation of told and true codes [B], the PSNR of their images [B])."""
    codes = sample_codes(generator, params, encoder.space, keys)
    images = jnp.clip(render_samples(generator, params, codes, encoder.space), -1, 1)
    told = encoder(own, images)
    one, other = (standardise_codes(own, x, encoder.space) for x in (codes, told))
    cosine = jnp.sum(one * other, axis=1) / (jnp.linalg.norm(one, axis=1) * jnp.linalg.norm(other, axis=1))
    made = jnp.clip(render_samples(generator, params, told, encoder.space), -1, 1)
    return cosine, metrics.psnr(made, images)


def _enlarged(images: Array, key: Array) -> Array:
    factor = max(2, min(images.shape[1:3]) // SMALL)
    small = resize.shrink(images, factor, 'bilinear')
    return jnp.clip(jax.image.resize(small, images.shape, 'cubic'), -1, 1)


def _grey(images: Array, key: Array) -> Array:
    return jnp.broadcast_to(tasks.gray(images), images.shape)


def _with_hole(images: Array, key: Array) -> Array:
    """A box at a random place of each image, 0 as where `tasks.inpaint` has holes."""
    b, height, width = images.shape[:3]
    corner = jax.random.uniform(key, (2, b, 1)) * (1 - HOLE)  # as shares of the sides
    rows, columns = jnp.arange(height)[None] / height, jnp.arange(width)[None] / width
    inside = [(at - corner[i] >= 0) & (at - corner[i] < HOLE) for i, at in enumerate((rows, columns))]
    hole = inside[0][:, :, None] & inside[1][:, None, :]
    return jnp.where(hole[..., None], 0, images)


def _with_noise(images: Array, key: Array) -> Array:
    """Salt and pepper, each channel by itself, on a random share of each image's pixels."""
    share, where, what = jax.random.split(key, 3)
    b, height, width = images.shape[:3]
    least = jax.random.uniform(share, (b, 1, 1, 1)) * NOISE
    hit = jax.random.uniform(where, (b, height, width, 1)) < least
    return jnp.where(hit, jax.random.rademacher(what, images.shape, images.dtype), images)


def _adam() -> optax.GradientTransformation:
    return optax.scale_by_adam(b2=0.99)
