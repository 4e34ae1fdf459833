"""Trains the demo generator on drawn scenes.

Each scene is drawn from a latent code, so the generator can be trained with the scene of a code as its target.
Supervised stages do this at 16, 32 and 64 pixels (progressive growing, Karras et al. 2018). They place every part
within minutes on a CPU. An adversarial stage then sharpens the images: non-saturating logistic loss, lazy R1
regularisation (Mescheder et al. 2018, arXiv 1801.04406) and minibatch deviation. The result is a moving average of the
generator's weights.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from mgan_jax.demo import landscape
from mgan_jax.models.convolutions.plain import trainable_conv
from mgan_jax.models.directory import BUILDERS
from mgan_jax.models.discriminator import Discriminator, halve_images
from mgan_jax.models.generator import Generator

LATENT_DIM, FMAPS_BASE, FMAPS_MAX = landscape.LATENT_DIM, 1536, 128
SIZES: dict[str, dict[str, Any]] = {'pggan': {'image_channels': 3}, 'stylegan2': {'style_dim': 64, 'mapping_layers': 4}}
MAPPING_RATE = 0.1  # learning-rate multiplier of the mapping network of a StyleGAN
BATCH = 16
SUPERVISED_WEIGHT = 5.0  # of the supervised loss in an adversarial stage
R1_EVERY, R1_GAMMA = 16, 0.3


class Stage(NamedTuple):
    """A part of the training. resolution: pixels a side. images: how many it is trained on.

    rate: learning rate. decay: number of images over which the rate falls to a tenth (cosine), 0 for a constant rate.
    adversarial: trains with a discriminator, else supervised. average_decay: factor by which a step multiplies the old
    moving average of the generator. architecture: a key of SIZES.
    """

    resolution: int
    images: int
    rate: float
    decay: int = 0
    adversarial: bool = False
    average_decay: float = 0.998
    architecture: str = 'pggan'


class GanState(NamedTuple):
    """The state of the training. Weights are stored for equalised learning rates: kernels ~ N(0, 1).

    average: moving average of the generator's weights. discriminator: empty in supervised stages. moments: of Adam.
    """

    generator: dict[str, Any]
    average: dict[str, Any]
    discriminator: dict[str, Any]
    generator_moments: optax.OptState
    discriminator_moments: optax.OptState


def build_demo_generator(stage: Stage) -> Generator:
    """Builds the generator that a stage trains."""
    generator: Generator = BUILDERS[stage.architecture](**generator_configuration(stage), conv=trainable_conv)
    return generator


def generator_configuration(stage: Stage) -> dict[str, Any]:
    """The arguments of the generator's builder, for a model directory."""
    sizes = {'latent_dim': LATENT_DIM, 'fmaps_base': FMAPS_BASE, 'fmaps_max': FMAPS_MAX}
    return {'resolution': stage.resolution, **sizes, **SIZES[stage.architecture]}


def init_gan_state(stage: Stage, key: Array, previous: GanState | None) -> GanState:
    """The state at the start of a stage: the averaged weights of the previous stage, random weights for new layers."""
    key_g, key_d = jax.random.split(key)
    fresh = _unequalise_weights(build_demo_generator(stage).init(key_g))
    weights = fresh if previous is None else previous.average
    grown = not fresh.keys() <= weights.keys()
    generator = {name: leaf if grown and name == 'to_rgb' else weights.get(name, leaf) for name, leaf in fresh.items()}
    generator, average = (jax.tree.map(jnp.copy, generator) for _ in range(2))
    discriminator: dict[str, Any] = {}
    discriminator_moments: optax.OptState = ()
    if stage.adversarial:
        photos = jnp.zeros((BATCH, stage.resolution, stage.resolution, 3))
        discriminator = _unequalise_weights(_discriminator(stage).init(key_d, photos)['params'])
        discriminator_moments = _optimizer(stage).init(discriminator)
    return GanState(generator, average, discriminator, _optimizer(stage).init(generator), discriminator_moments)


def equalise_weights(params: dict[str, Any]) -> dict[str, Any]:
    """Stored weights -> the weights that the network computes with: kernel * gain / sqrt(fan_in)."""
    scaled: dict[str, Any] = jax.tree_util.tree_map_with_path(lambda path, leaf: leaf * _gain(path, leaf), params)
    return scaled


def add_average_style(stage: Stage, params: dict[str, Any]) -> dict[str, Any]:
    """Sets w_avg to the mean style of 4096 latent codes, for networks with styles. Others are returned unchanged."""
    generator = build_demo_generator(stage)
    if generator.styles is None:
        return params
    z = jax.random.normal(jax.random.key(0), (4096, generator.latent_dim))
    return params | {'w_avg': generator.styles.of(params, z, 'z').mean(axis=0)}


def supervised_loss(made: Array, drawn: Array) -> Array:
    """Sum of the mean absolute differences of images [B H W 3] at full, half and quarter resolution."""
    difference = made - drawn
    half = halve_images(difference)
    return jnp.mean(jnp.abs(difference)) + jnp.mean(jnp.abs(half)) + jnp.mean(jnp.abs(halve_images(half)))


def make_gan_step(stage: Stage, regularised: bool) -> Callable[..., tuple[GanState, dict[str, Array]]]:
    """step(state, z [B D], drawn [B R R 3]) -> (state, log): one update of every network that the stage trains.

    regularised: with R1 regularisation. The step reuses the memory of `state`. The log has the columns of
    `gan_log.csv`: 'lesson' (the supervised loss) and, in an adversarial stage, 'on_real' and 'on_fake' (mean logits).
    """
    generator = build_demo_generator(stage)

    def render(params: dict[str, Any], z: Array) -> Array:
        return generator.generate(equalise_weights(params), z)

    def supervised(state: GanState, z: Array, drawn: Array) -> tuple[GanState, dict[str, Array]]:
        loss, gradient = jax.value_and_grad(lambda params: supervised_loss(render(params, z), drawn))(state.generator)
        return _update_generator(stage, state, gradient), {'lesson': loss}

    def adversarial(state: GanState, z: Array, drawn: Array) -> tuple[GanState, dict[str, Array]]:
        fake, pull_back = jax.vjp(lambda params: render(params, z), state.generator)
        state, log = _update_discriminator(stage, state, drawn, fake, regularised)

        def loss(images: Array) -> tuple[Array, Array]:
            supervised = supervised_loss(images, drawn)
            logistic = jnp.mean(jax.nn.softplus(-_realness(stage, state.discriminator, images)))
            return logistic + SUPERVISED_WEIGHT * supervised, supervised

        gradient, supervised = jax.grad(loss, has_aux=True)(fake)
        return _update_generator(stage, state, pull_back(gradient)[0]), {'lesson': supervised, **log}

    return jax.jit(adversarial if stage.adversarial else supervised, donate_argnums=0)


def prepare_images(images: np.ndarray, resolution: int) -> np.ndarray:
    """uint8 [B S S 3] -> float32 [B R R 3] in [-1, 1], averaged over blocks of S / R pixels a side. R: resolution."""
    b, size = images.shape[:2]
    blocks = images.reshape(b, resolution, size // resolution, resolution, size // resolution, 3)
    means: np.ndarray = blocks.mean(axis=(2, 4), dtype=np.float32)
    return means / np.float32(127.5) - 1


def _update_discriminator(
    stage: Stage, state: GanState, real: Array, fake: Array, regularised: bool
) -> tuple[GanState, dict[str, Array]]:
    def loss(params: dict[str, Any]) -> tuple[Array, dict[str, Array]]:
        on_real, on_fake = _realness(stage, params, real), _realness(stage, params, fake)
        value = jnp.mean(jax.nn.softplus(on_fake) + jax.nn.softplus(-on_real))
        if regularised:
            gradient = jax.grad(lambda x: _realness(stage, params, x).sum())(real)
            value += R1_EVERY * R1_GAMMA / 2 * jnp.mean(jnp.sum(jnp.square(gradient), axis=(1, 2, 3)))
        return value, {'on_real': jnp.mean(on_real), 'on_fake': jnp.mean(on_fake)}

    gradient, log = jax.grad(loss, has_aux=True)(state.discriminator)
    updates, moments = _optimizer(stage).update(gradient, state.discriminator_moments)
    discriminator = optax.apply_updates(state.discriminator, updates)
    return state._replace(discriminator=discriminator, discriminator_moments=moments), log


def _update_generator(stage: Stage, state: GanState, gradient: dict[str, Any]) -> GanState:
    updates, moments = _optimizer(stage).update(gradient, state.generator_moments)
    generator = optax.apply_updates(state.generator, updates)
    average = optax.incremental_update(generator, state.average, 1 - stage.average_decay)
    return state._replace(generator=generator, average=average, generator_moments=moments)


def _optimizer(stage: Stage) -> optax.GradientTransformation:
    rate = optax.cosine_decay_schedule(stage.rate, stage.decay // BATCH, alpha=0.1) if stage.decay else stage.rate
    return optax.adam(rate, b1=0.0 if stage.adversarial else 0.9, b2=0.99)


def _discriminator(stage: Stage) -> Discriminator:
    return Discriminator(stage.resolution, FMAPS_BASE, FMAPS_MAX)


def _realness(stage: Stage, params: dict[str, Any], images: Array) -> Array:
    return jnp.asarray(_discriminator(stage).apply({'params': equalise_weights(params)}, images))


def _unequalise_weights(params: dict[str, Any]) -> dict[str, Any]:
    """The inverse of `equalise_weights`."""
    stored: dict[str, Any] = jax.tree_util.tree_map_with_path(lambda path, leaf: leaf / _gain(path, leaf), params)
    return stored


def _gain(path: tuple[Any, ...], leaf: Array) -> float:
    """The factor of a stored weight: 1 for all but kernels and the mapping network."""
    names = [entry.key for entry in path]
    rate = MAPPING_RATE if names[0] == 'mapping' else 1.0
    if names[-1] != 'kernel':
        return rate if names[-1] == 'bias' else 1.0
    linear = names[0].startswith(('to_rgb', 'logit')) or 'style' in names
    fan_in = (
        leaf.shape[0] * 16
        if names[0] == 'layer1' and leaf.ndim == 4 and leaf.shape[1] == 4
        else math.prod(leaf.shape[:-1])
    )
    return rate * (1.0 if linear else math.sqrt(2)) / math.sqrt(fan_in)
