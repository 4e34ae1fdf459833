"""Deep image prior (Ulyanov, Vedaldi and Lempitsky, CVPR 2018, arXiv 1711.10925): no generator, but the weights of an
untrained hourglass network, fitted to one image from a fixed noise input, are what an image is made of.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn
from jax import Array

from mgan_jax.models.convolutions.phases import conv_downsample
from mgan_jax.models.convolutions.plain import add_bias, trainable_conv
from mgan_jax.models.generator import Generator
from mgan_jax.models.pggan import leaky_relu

NOISE_CHANNELS, NOISE_WIDTH = 32, 0.1  # of the input, uniform from 0 to the width
SKIP_CHANNELS = 4
SMALLEST, MOST_SCALES = 4, 5  # pixels a side at the waist of the hourglass, and how often the image is halved at most

# As the original has it: normalisation takes the scale of kernels away, but not how far a step of Adam turns them.
INITIAL = nn.initializers.variance_scaling(1 / 3, 'fan_in', 'uniform')


class DeepPriorCodes(NamedTuple):
    """What an image is made of. weights: its network's, leaves [B ...]; seed [B]: of its noise input, a whole number below
    2^24; turn [B]: how many steps were taken, by which the jitter of the input differs."""

    weights: Any
    seed: Any
    turn: Any


class DeepPrior(NamedTuple):
    """init(keys [B]) -> `DeepPriorCodes`; image(codes) -> [B H W C] in [-1, 1]."""

    init: Callable
    image: Callable


class Convolution(nn.Module):
    """1x1 or 3x3 convolution, or a 3x3 one and 2x2 means, then each channel of mean 0 and variance 1 over the image, scaled
    and shifted (batch normalisation of a single image), leaky ReLU: [1 H W C_in] -> [1 H W C] or half as large."""

    channels: int
    size: int = 3
    halve: bool = False

    @nn.compact
    def __call__(self, x: Array) -> Array:
        kernel = self.param('kernel', INITIAL, (self.size, self.size, x.shape[-1], self.channels))
        return leaky_relu(Normalisation()(_convolve(x, kernel, self.halve)))


class Normalisation(nn.Module):
    """(x - mean) / deviation over the pixels of each channel, scaled and shifted: [1 H W C] -> [1 H W C]."""

    @nn.compact
    def __call__(self, x: Array) -> Array:
        scale = self.param('scale', nn.initializers.ones, x.shape[-1:])
        shift = self.param('shift', nn.initializers.zeros, x.shape[-1:])
        x = x - jnp.mean(x, axis=(1, 2), keepdims=True)
        x = x * jax.lax.rsqrt(jnp.mean(jnp.square(x), axis=(1, 2), keepdims=True) + 1e-5)
        return add_bias(x * jnp.broadcast_to(scale, x.shape), shift)


class Hourglass(nn.Module):
    """Noise [1 H W C_noise] -> image [1 H W image_channels]: halved `scales` times and enlarged again, with a few channels
    of every size beside the way down and up."""

    channels: int
    scales: int
    image_channels: int

    @nn.compact
    def __call__(self, x: Array) -> Array:
        beside = []
        for _ in range(self.scales):
            beside.append(Convolution(SKIP_CHANNELS, size=1)(x))
            x = Convolution(self.channels)(Convolution(self.channels, halve=True)(x))
        for skip in reversed(beside):
            enlarged = jax.image.resize(x, (*skip.shape[:3], self.channels), 'linear')
            x = Normalisation()(jnp.concatenate([skip, enlarged], axis=-1))
            x = Convolution(self.channels, size=1)(Convolution(self.channels)(x))
        kernel = self.param('kernel', INITIAL, (self.channels, self.image_channels))
        bias = self.param('bias', nn.initializers.zeros, (self.image_channels,))
        return jnp.tanh(add_bias(x @ kernel, bias) / 2)  # the original's sigmoid, from 0 to 1, on -1 to 1


def build_deep_prior(
    size: tuple[int, int], image_channels: int = 3, channels: int = 32, jitter: float = 0.0
) -> DeepPrior:
    """The prior as pure functions, of images of (H, W) pixels. ValueError for sizes that cannot be halved.

    channels: at every size; the paper has 128. jitter: deviation of the noise that is added to the input, anew in every step
    (the paper's 1/30 where there is little to be seen, 0 where all of it is).
    """
    scales = min(MOST_SCALES, int(math.log2(min(size) / SMALLEST)))
    if scales < 1 or any(side % 2**scales for side in size):
        raise ValueError(
            f'images of {size[0]}x{size[1]} pixels are given; the deep image prior halves them, down to {SMALLEST} pixels '
            f'or {MOST_SCALES} times: take sides that can be halved so.'
        )
    if channels < 1:
        raise ValueError(f'{channels} channels are given; the deep image prior needs at least one.')
    module = Hourglass(channels, scales, image_channels)

    def init(keys: Array) -> DeepPriorCodes:
        start = jnp.zeros((1, *size, NOISE_CHANNELS))
        weights = jax.vmap(lambda key: module.init(key, start)['params'])(keys)
        seeds = jax.vmap(lambda key: jax.random.randint(key, (), 0, 2**24))(keys)
        return DeepPriorCodes(weights, seeds.astype(jnp.float32), jnp.zeros(len(keys), jnp.float32))

    def noise(seed: Array, turn: Array) -> Array:
        key = jax.random.key(seed.astype(jnp.uint32))
        shape = (1, *size, NOISE_CHANNELS)
        fixed = jax.random.uniform(key, shape, maxval=NOISE_WIDTH)
        if not jitter:
            return fixed
        return fixed + jitter * jax.random.normal(jax.random.fold_in(key, turn.astype(jnp.uint32)), shape)

    def render(weights: Any, x: Array) -> Any:
        return module.apply({'params': weights}, x)[0]  # type: ignore[index]

    def image(codes: DeepPriorCodes) -> Array:
        inputs = jax.vmap(noise)(*jax.lax.stop_gradient((codes.seed, codes.turn)))
        return jax.vmap(render)(codes.weights, inputs)

    return DeepPrior(init, image)


def image_frame(resolution: int) -> Generator:
    """What stands in the place of a generator where there is none: it has no weights, only the size of the images."""

    def nothing(*arguments, **options):
        raise ValueError('there is no generator here, only the size of the images; name a generator.')

    return Generator(features=nothing, image=nothing, num_layers=0, resolution=resolution, latent_dim=0)


def network_optimizer(weights: optax.GradientTransformation) -> optax.GradientTransformationExtraArgs:
    """One optimiser for the weights; the seed stays, and the turn counts the steps."""
    parts = {'weights': weights, 'seed': optax.set_to_zero(), 'turn': _count()}
    return optax.partition(parts, DeepPriorCodes('weights', 'seed', 'turn'))


def _count() -> optax.GradientTransformation:
    return optax.stateless(lambda slopes, params: jax.tree.map(jnp.ones_like, slopes))


def _convolve(x: Array, kernel: Array, halve: bool) -> Array:
    if halve:
        return conv_downsample(x, kernel, trainable_conv)
    if kernel.shape[0] == 1:
        return x @ kernel[0, 0]
    return trainable_conv(x, kernel)
