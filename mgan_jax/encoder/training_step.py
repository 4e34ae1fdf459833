"""The training step of an encoder: samples of the generator, degradations, losses and the update.

    L = |s(E(d(x))) - s(c)|^2 + a |G(E(d(x))) - x|^2 + b |phi(G(E(d(x)))) - phi(x)|,   x = G(c)

E: the encoder. G: the generator. c: a random latent code [B D]. d: a degradation, or none. s: standardises codes. phi: features
of an extractor. a, b: `LossWeights`. All terms are means. Images are [B H W C] in [-1, 1].
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

BATCH_SIZE = 32
RENDER_EVERY = 4  # one of so many predicted codes is rendered for the image losses, which cost most of a step
LOW_SIDE = 16  # pixels a side of the images that are shrunk and enlarged again
HOLE_SIDE = 0.5  # side of the hole, as a share of the image's
MAX_NOISE = 0.5  # largest share of the pixels with noise


class LossWeights(NamedTuple):
    """Weights of the losses on images; the loss on codes has weight 1.

    pixel: a, of the mean squared difference. perceptual: b, of the mean absolute difference of features.
    """

    pixel: float = 10.0
    perceptual: float = 0.2


class EncoderState(NamedTuple):
    """The encoder's weights, and Adam's moments of them."""

    params: dict
    moments: optax.OptState


def init_encoder_state(encoder: Encoder, params: dict) -> EncoderState:
    """Returns the state before the first step. params: initial weights of the encoder."""
    return EncoderState(params, _adam().init(params))


def sample_codes(generator: Generator, params: Any, space: str, keys: Array) -> Array:
    """Draws a random latent code for each key: [B D] of the space 'z' (normalised, of length sqrt(D)) or 'w'.

    Raises ValueError for 'w' of a generator without styles.
    """
    z = jax.vmap(lambda key: jax.random.normal(key, (generator.latent_dim,)))(keys)
    if space == 'z':
        return pixel_norm(z)
    if generator.styles is None:
        raise ValueError(f"space '{space}' is given, but this generator has only the space 'z'.")
    return generator.styles.to_space(params, z, 1, space)


def render_samples(generator: Generator, params: Any, latents: Array, space: str) -> Array:
    """Renders codes [B D] of 'z' or 'w', the same code in all layers: -> images [B H W C] in about [-1, 1]."""
    last = generator.num_layers
    features = generator.features(params, latents, stop=last, space=space)
    tail = None if generator.styles is None else generator.styles.of(params, latents, space)
    return generator.image(params, features, start=last, tail=tail)


def standardise_codes(params: dict, latents: Array, space: str) -> Array:
    """Codes [B D] to mean 0 and deviation 1. params: the encoder's, which hold the mean and the deviation of w.

    Codes of 'z' are brought to the length sqrt(D), which a generator with PixelNorm ignores.
    """
    if space == 'z':
        return pixel_norm(latents)
    return (latents - params['mean'][None]) / params['deviation'][None]


def degrade_samples(images: Array, key: Array) -> Array:
    """Degrades the second half of a batch [B H W C] as the tasks do; the first half stays.

    Equal parts are shrunk to about LOW_SIDE pixels a side and enlarged again, turned grey (colour images only), masked with
    a hole, and corrupted by noise.
    """
    half = len(images) // 2
    degradations = [_blur, *([_turn_grey] if images.shape[-1] == 3 else []), _mask_box, _add_noise]
    rows = [half + (len(images) - half) * i // len(degradations) for i in range(len(degradations) + 1)]
    keys = jax.random.split(key, len(degradations))
    parts = zip(degradations, rows[:-1], rows[1:], keys, strict=True)
    return jnp.concatenate([images[:half], *(degrade(images[a:b], k) for degrade, a, b, k in parts)])


def make_encoder_step(
    generator: Generator, encoder: Encoder, distance: perceptual.Distance | None, weights: LossWeights
) -> Callable[..., tuple[EncoderState, dict[str, Array]]]:
    """Returns the compiled step(state, key, rate, params, distance_params) -> (state, losses): one update of Adam.

    distance: the perceptual distance, None for none. rate: the learning rate. params: the generator's weights.
    distance_params: those of the distance. losses: 'codes', 'pixels' and 'features', means without their weights. The state
    is donated.
    """
    space = encoder.space

    def image_losses(latents: Array, images: Array, params: Any, distance_params: Any) -> tuple[Array, Array]:
        rendered = render_samples(generator, params, latents, space)
        features = jnp.zeros(()) if distance is None else jnp.mean(distance(distance_params, rendered, images))
        return jnp.mean(jnp.square(rendered - images)), features

    def step(
        state: EncoderState, key: Array, rate: Array, params: Any, distance_params: Any
    ) -> tuple[EncoderState, dict[str, Array]]:
        keys = jax.random.split(key, BATCH_SIZE + 1)
        codes = sample_codes(generator, params, space, keys[1:])
        images = jnp.clip(render_samples(generator, params, codes, space), -1, 1)
        degraded = degrade_samples(images, keys[0])

        def loss(encoder_params: dict) -> tuple[Array, dict[str, Array]]:
            predicted = encoder(encoder_params, degraded)
            code_loss = jnp.mean(
                jnp.square(
                    standardise_codes(state.params, predicted, space) - standardise_codes(state.params, codes, space)
                )
            )
            pixel_loss, feature_loss = image_losses(
                predicted[::RENDER_EVERY], images[::RENDER_EVERY], params, distance_params
            )
            losses = {'codes': code_loss, 'pixels': pixel_loss, 'features': feature_loss}
            return code_loss + weights.pixel * pixel_loss + weights.perceptual * feature_loss, losses

        gradient, losses = jax.grad(loss, has_aux=True)(state.params)
        updates, moments = _adam().update(gradient, state.moments)
        updated = jax.tree.map(lambda x, change: x - rate * change, state.params, updates)
        return EncoderState(updated, moments), losses

    return jax.jit(step, donate_argnums=0)


def score_encoder(
    generator: Generator, encoder: Encoder, params: Any, encoder_params: dict, keys: Array
) -> tuple[Array, Array]:
    """Scores an encoder on a random sample for each key: -> (correlation [B], PSNR [B] in dB).

    correlation: cosine similarity of predicted and true standardised codes. PSNR: of the rendered predicted codes.
    """
    codes = sample_codes(generator, params, encoder.space, keys)
    images = jnp.clip(render_samples(generator, params, codes, encoder.space), -1, 1)
    predicted = encoder(encoder_params, images)
    a, b = (standardise_codes(encoder_params, x, encoder.space) for x in (codes, predicted))
    correlation = jnp.sum(a * b, axis=1) / (jnp.linalg.norm(a, axis=1) * jnp.linalg.norm(b, axis=1))
    rendered = jnp.clip(render_samples(generator, params, predicted, encoder.space), -1, 1)
    return correlation, metrics.psnr(rendered, images)


def _blur(images: Array, key: Array) -> Array:
    """Low-resolution images, enlarged to their size as the observations of super-resolution are."""
    factor = max(2, min(images.shape[1:3]) // LOW_SIDE)
    small = resize.shrink(images, factor, 'bilinear')
    return jnp.clip(jax.image.resize(small, images.shape, 'cubic'), -1, 1)


def _turn_grey(images: Array, key: Array) -> Array:
    return jnp.broadcast_to(tasks.gray(images), images.shape)


def _mask_box(images: Array, key: Array) -> Array:
    """A box at a random place of each image is 0, as in the observations of `tasks.inpaint`."""
    b, height, width = images.shape[:3]
    corner = jax.random.uniform(key, (2, b, 1)) * (1 - HOLE_SIDE)  # as shares of the sides
    rows, columns = jnp.arange(height)[None] / height, jnp.arange(width)[None] / width
    inside = [(at - corner[i] >= 0) & (at - corner[i] < HOLE_SIDE) for i, at in enumerate((rows, columns))]
    hole = inside[0][:, :, None] & inside[1][:, None, :]
    return jnp.where(hole[..., None], 0, images)


def _add_noise(images: Array, key: Array) -> Array:
    """Salt and pepper in each channel of a random share of each image's pixels."""
    share_key, place_key, value_key = jax.random.split(key, 3)
    b, height, width = images.shape[:3]
    share = jax.random.uniform(share_key, (b, 1, 1, 1)) * MAX_NOISE
    corrupted = jax.random.uniform(place_key, (b, height, width, 1)) < share
    return jnp.where(corrupted, jax.random.rademacher(value_key, images.shape, images.dtype), images)


def _adam() -> optax.GradientTransformation:
    return optax.scale_by_adam(b2=0.99)
