"""Trains the demo generator on drawn scenes.

A scene is drawn from a latent code, so the generator can be shown what a code should look like. In the lessons it learns
just that, first 16 pixels wide, then 32, then 64 (progressive growing, Karras et al. 2018), which gives every part its
place in minutes on a CPU. Then comes the contest with a discriminator, which makes it sharp: non-saturating logistic loss,
lazy R1 regularisation (Mescheder et al. 2018, arXiv 1801.04406) and minibatch deviation. What is kept is a moving average
of the generator's weights.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from mgan_jax.demo import landscape
from mgan_jax.models.convolutions.plain import trainable_conv
from mgan_jax.models.directory import BUILDERS
from mgan_jax.models.discriminator import Discriminator, halve
from mgan_jax.models.generator import Generator

LATENT_DIM, FMAPS_BASE, FMAPS_MAX = landscape.LATENT_DIM, 1536, 128
SIZES: dict[str, dict] = {'pggan': {'image_channels': 3}, 'stylegan2': {'style_dim': 64, 'mapping_layers': 4}}
MAPPING_RATE = 0.1  # the mapping network of a StyleGAN learns so much more slowly
BATCH = 16
LESSON_WEIGHT = 5.0  # of the drawn scene, beside the discriminator's opinion
R1_EVERY, R1_GAMMA = 16, 0.3


class Stage(NamedTuple):
    """A part of the training, on so many images at one resolution.

    rate: learning rate. decay: images over which it falls to a tenth (cosine), 0 for a constant one. contest: against a
    critic, or a lesson. memory: what a step leaves of the generator's moving average. architecture: a key of SIZES.
    """

    resolution: int
    images: int
    rate: float
    decay: int = 0
    contest: bool = False
    memory: float = 0.998
    architecture: str = 'pggan'


class GanState(NamedTuple):
    """Weights as stored for equalised learning rate (kernels ~ N(0, 1)); `average` is the generator's moving average.

    The critic is empty in the lessons.
    """

    generator: dict
    average: dict
    critic: dict
    generator_moments: optax.OptState
    critic_moments: optax.OptState


def build_demo_generator(stage: Stage) -> Generator:
    """The generator that a stage trains."""
    return BUILDERS[stage.architecture](**generator_configuration(stage), conv=trainable_conv)


def generator_configuration(stage: Stage) -> dict:
    """The arguments of the builder, as a model directory keeps them."""
    sizes = {'latent_dim': LATENT_DIM, 'fmaps_base': FMAPS_BASE, 'fmaps_max': FMAPS_MAX}
    return {'resolution': stage.resolution, **sizes, **SIZES[stage.architecture]}


def init_gan_state(stage: Stage, key: Array, previous: GanState | None) -> GanState:
    """The state at the start of a stage: the weights of the previous one, and fresh ones where the network has grown."""
    key_g, key_d = jax.random.split(key)
    fresh = _stored(build_demo_generator(stage).init(key_g))
    weights = fresh if previous is None else previous.average
    grown = not fresh.keys() <= weights.keys()
    generator = {name: leaf if grown and name == 'to_rgb' else weights.get(name, leaf) for name, leaf in fresh.items()}
    generator, average = (jax.tree.map(jnp.copy, generator) for _ in range(2))
    critic, critic_moments = {}, ()
    if stage.contest:
        photos = jnp.zeros((BATCH, stage.resolution, stage.resolution, 3))
        critic = _stored(_critic(stage).init(key_d, photos)['params'])
        critic_moments = _optimizer(stage).init(critic)
    return GanState(generator, average, critic, _optimizer(stage).init(generator), critic_moments)


def equalized(params: dict) -> dict:
    """Stored weights -> the weights that the network computes with: kernel * gain / sqrt(fan_in)."""
    return jax.tree_util.tree_map_with_path(lambda path, leaf: leaf * _gain(path, leaf), params)


def with_average_style(stage: Stage, params: dict) -> dict:
    """`params` with w_avg as the mean style of many latent codes, where the network has styles."""
    generator = build_demo_generator(stage)
    if generator.styles is None:
        return params
    z = jax.random.normal(jax.random.key(0), (4096, generator.latent_dim))
    return params | {'w_avg': generator.styles.of(params, z, 'z').mean(axis=0)}


def lesson_loss(made: Array, drawn: Array) -> Array:
    """Mean absolute difference of images [B H W 3] at full, half and quarter resolution."""
    difference = made - drawn
    half = halve(difference)
    return jnp.mean(jnp.abs(difference)) + jnp.mean(jnp.abs(half)) + jnp.mean(jnp.abs(halve(half)))


def make_gan_step(stage: Stage, regularised: bool) -> Callable:
    """step(state, z [B D], drawn [B R R 3]) -> (state, log): one update of every network that the stage trains."""
    generator = build_demo_generator(stage)

    def render(params, z):
        return generator.generate(equalized(params), z)

    def lesson(state: GanState, z: Array, drawn: Array):
        loss, slope = jax.value_and_grad(lambda params: lesson_loss(render(params, z), drawn))(state.generator)
        return _move_generator(stage, state, slope), {'lesson': loss}

    def contest(state: GanState, z: Array, drawn: Array):
        fake, pull_back = jax.vjp(lambda params: render(params, z), state.generator)
        state, log = _move_critic(stage, state, drawn, fake, regularised)

        def loss(images):
            likeness = lesson_loss(images, drawn)
            doubt = jnp.mean(jax.nn.softplus(-_realness(stage, state.critic, images)))
            return doubt + LESSON_WEIGHT * likeness, likeness

        slope, likeness = jax.grad(loss, has_aux=True)(fake)
        return _move_generator(stage, state, pull_back(slope)[0]), {'lesson': likeness, **log}

    return jax.jit(contest if stage.contest else lesson, donate_argnums=0)


def to_network(images: np.ndarray, resolution: int) -> np.ndarray:
    """uint8 [B S S 3] -> float32 [B R R 3] in [-1, 1], averaged over blocks of S / R pixels."""
    b, size = images.shape[:2]
    blocks = images.reshape(b, resolution, size // resolution, resolution, size // resolution, 3)
    return blocks.mean(axis=(2, 4), dtype=np.float32) / np.float32(127.5) - 1


def _move_critic(stage: Stage, state: GanState, real: Array, fake: Array, regularised: bool):
    def loss(params):
        on_real, on_fake = _realness(stage, params, real), _realness(stage, params, fake)
        value = jnp.mean(jax.nn.softplus(on_fake) + jax.nn.softplus(-on_real))
        if regularised:
            slope = jax.grad(lambda x: _realness(stage, params, x).sum())(real)
            value += R1_EVERY * R1_GAMMA / 2 * jnp.mean(jnp.sum(jnp.square(slope), axis=(1, 2, 3)))
        return value, {'on_real': jnp.mean(on_real), 'on_fake': jnp.mean(on_fake)}

    slope, log = jax.grad(loss, has_aux=True)(state.critic)
    updates, moments = _optimizer(stage).update(slope, state.critic_moments)
    return state._replace(critic=optax.apply_updates(state.critic, updates), critic_moments=moments), log


def _move_generator(stage: Stage, state: GanState, slope: dict) -> GanState:
    updates, moments = _optimizer(stage).update(slope, state.generator_moments)
    generator = optax.apply_updates(state.generator, updates)
    average = optax.incremental_update(generator, state.average, 1 - stage.memory)
    return state._replace(generator=generator, average=average, generator_moments=moments)


def _optimizer(stage: Stage) -> optax.GradientTransformation:
    rate = optax.cosine_decay_schedule(stage.rate, stage.decay // BATCH, alpha=0.1) if stage.decay else stage.rate
    return optax.adam(rate, b1=0.0 if stage.contest else 0.9, b2=0.99)


def _critic(stage: Stage) -> Discriminator:
    return Discriminator(stage.resolution, FMAPS_BASE, FMAPS_MAX)


def _realness(stage: Stage, params: dict, images: Array) -> Array:
    return jnp.asarray(_critic(stage).apply({'params': equalized(params)}, images))


def _stored(params: dict) -> dict:
    """The inverse of `equalized`."""
    return jax.tree_util.tree_map_with_path(lambda path, leaf: leaf / _gain(path, leaf), params)


def _gain(path: tuple, leaf: Array) -> float:
    """What a stored weight is multiplied by; 1 for all but kernels and the mapping network."""
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
