"""Deep image prior (Ulyanov, Vedaldi and Lempitsky, CVPR 2018, arXiv 1711.10925).

It uses no generator. An untrained hourglass network maps a fixed noise input to one image. Its weights are optimised.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple, NoReturn

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn
from jax import Array

from mgan_jax.models.convolutions.phases import conv_downsample
from mgan_jax.models.convolutions.plain import add_bias, trainable_conv
from mgan_jax.models.generator import Generator
from mgan_jax.models.pggan import leaky_relu

NOISE_CHANNELS, NOISE_WIDTH = 32, 0.1  # the input is uniform from 0 to NOISE_WIDTH
SKIP_CHANNELS = 4
SMALLEST, MOST_SCALES = 4, 5  # least pixels a side of the lowest resolution, largest number of halvings

# As in the original. Normalisation makes outputs independent of the scale of a kernel, but the relative change of the
# kernel in a step of Adam depends on it.
INITIAL = nn.initializers.variance_scaling(1 / 3, 'fan_in', 'uniform')


class DeepPriorCodes(NamedTuple):
    """The variables of B images. weights: of the networks, leaves [B ...]. seed [B]: of the noise input, a whole number
    below 2^24. turn [B]: the number of steps taken, which selects the jitter of the input."""

    weights: Any
    seed: Any
    turn: Any


class DeepPrior(NamedTuple):
    """init(keys [B]) -> `DeepPriorCodes`; image(codes) -> [B H W C] in [-1, 1]."""

    init: Callable[[Array], DeepPriorCodes]
    image: Callable[[DeepPriorCodes], Array]


class Convolution(nn.Module):
    """Convolution, normalisation, leaky ReLU: [1 H W C_in] -> [1 H W C], or [1 H/2 W/2 C] with `halve`.

    size: of the kernel, 1 or 3. halve: the 3x3 convolution is followed by 2x2 averaging.
    """

    channels: int
    size: int = 3
    halve: bool = False

    @nn.compact
    def __call__(self, x: Array) -> Array:
        kernel = self.param('kernel', INITIAL, (self.size, self.size, x.shape[-1], self.channels))
        return leaky_relu(Normalisation()(_convolve(x, kernel, self.halve)))


class Normalisation(nn.Module):
    """Batch normalisation of a single image, with learned scale and shift per channel: [1 H W C] -> [1 H W C]."""

    @nn.compact
    def __call__(self, x: Array) -> Array:
        scale = self.param('scale', nn.initializers.ones, x.shape[-1:])
        shift = self.param('shift', nn.initializers.zeros, x.shape[-1:])
        x = x - jnp.mean(x, axis=(1, 2), keepdims=True)
        x = x * jax.lax.rsqrt(jnp.mean(jnp.square(x), axis=(1, 2), keepdims=True) + 1e-5)
        return add_bias(x * jnp.broadcast_to(scale, x.shape), shift)


class Hourglass(nn.Module):
    """Noise [1 H W C_noise] -> image [1 H W image_channels] in [-1, 1].

    An encoder halves the resolution `scales` times, a decoder doubles it again. Each resolution has a skip connection.
    """

    channels: int
    scales: int
    image_channels: int

    @nn.compact
    def __call__(self, x: Array) -> Array:
        skips = []
        for _ in range(self.scales):
            skips.append(Convolution(SKIP_CHANNELS, size=1)(x))
            x = Convolution(self.channels)(Convolution(self.channels, halve=True)(x))
        for skip in reversed(skips):
            enlarged = jax.image.resize(x, (*skip.shape[:3], self.channels), 'linear')
            x = Normalisation()(jnp.concatenate([skip, enlarged], axis=-1))
            x = Convolution(self.channels, size=1)(Convolution(self.channels)(x))
        kernel = self.param('kernel', INITIAL, (self.channels, self.image_channels))
        bias = self.param('bias', nn.initializers.zeros, (self.image_channels,))
        return jnp.tanh(add_bias(x @ kernel, bias) / 2)  # the original's sigmoid, scaled from [0, 1] to [-1, 1]


def build_deep_prior(
    size: tuple[int, int], image_channels: int = 3, channels: int = 32, jitter: float = 0.0
) -> DeepPrior:
    """The prior as pure functions, for images of size (H, W).

    channels: at every resolution; the paper has 128. jitter: standard deviation of the noise that is added to the
    input, drawn anew in every step. The paper uses 1/30 for images with little information and 0 for complete images.
    Raises ValueError for a size that cannot be halved often enough and for fewer than 1 channel.
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
        return module.apply({'params': weights}, x)[0]

    def image(codes: DeepPriorCodes) -> Array:
        inputs = jax.vmap(noise)(*jax.lax.stop_gradient((codes.seed, codes.turn)))
        images: Array = jax.vmap(render)(codes.weights, inputs)
        return images

    return DeepPrior(init, image)


def build_placeholder_generator(resolution: int) -> Generator:
    """A stand-in for a generator that has only an image size. Its functions raise ValueError."""

    def refuse(*arguments: Any, **options: Any) -> NoReturn:
        raise ValueError('there is no generator here, only the size of the images; name a generator.')

    return Generator(features=refuse, image=refuse, num_layers=0, resolution=resolution, latent_dim=0)


def deep_prior_optimizer(weights: optax.GradientTransformation) -> optax.GradientTransformationExtraArgs:
    """An optimiser of `DeepPriorCodes`: `weights` for the weights, no change of the seed, and turn + 1 per step."""
    parts = {'weights': weights, 'seed': optax.set_to_zero(), 'turn': _count()}
    return optax.partition(parts, DeepPriorCodes('weights', 'seed', 'turn'))


def _count() -> optax.GradientTransformation:
    return optax.stateless(lambda gradients, params: jax.tree.map(jnp.ones_like, gradients))


def _convolve(x: Array, kernel: Array, halve: bool) -> Array:
    if halve:
        return conv_downsample(x, kernel, trainable_conv)
    if kernel.shape[0] == 1:
        return x @ kernel[0, 0]
    return trainable_conv(x, kernel)
