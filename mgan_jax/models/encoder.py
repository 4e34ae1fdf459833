"""Encoders: small convolutional networks that predict the latent code of an image, each for one generator.

    encoder, params = models.load('demo-encoder')
    latents = encoder(params, images)                # [B H W C] in [-1, 1] -> [B D], of the space `encoder.space`

`python -m mgan_jax.encoder` trains one on samples of its generator.
"""

import hashlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax import Array

from mgan_jax.models.convolutions.phases import conv_downsample
from mgan_jax.models.convolutions.plain import add_bias, conv
from mgan_jax.models.pggan import leaky_relu, pixel_norm, scaled_normal
from mgan_jax.models.precision import cast_like

SPACES = ('z', 'w')


class Encoder(NamedTuple):
    """encode(params, images): images [B H W C] in [-1, 1] of the generator's size -> latent codes [B D].

    A call of the encoder does the same. space: of the codes, 'z' (of length sqrt(D), because generators normalise them)
    or 'w'. made_for: `weights_checksum` of the generator's weights. label: the class of a class-conditional generator,
    -1 without. init(key): random weights.
    """

    encode: Callable[..., Array]
    space: str
    made_for: str
    label: int
    init: Callable[..., Any]

    def __call__(self, params: dict[str, Any], images: Array) -> Array:
        return self.encode(params, images)


class _Halving(nn.Module):
    """3x3 convolution, 2x2 averaging, bias, leaky ReLU, residual 3x3 convolution: [B 2h 2w C_in] -> [B h w C]."""

    channels: int
    conv: Callable[..., Array] = conv

    @nn.compact
    def __call__(self, x: Array) -> Array:
        first = self.param('first', scaled_normal(2**0.5), (3, 3, x.shape[-1], self.channels))
        bias = self.param('bias', nn.initializers.zeros, (self.channels,))
        x = leaky_relu(add_bias(conv_downsample(x, first, self.conv), bias))
        second = self.param('second', scaled_normal(0.5), (3, 3, self.channels, self.channels))
        return x + leaky_relu(add_bias(self.conv(x, second), self.param('shift', nn.initializers.zeros, bias.shape)))


class _Network(nn.Module):
    """Halves images of S = 4 * 2^len(channels) pixels a side to 4x4, then one dense layer: [B S S C] -> [B D]."""

    channels: tuple[int, ...]
    latent_dim: int
    space: str
    conv: Callable[..., Array] = conv

    @nn.compact
    def __call__(self, x: Array) -> Array:
        for number, channels in enumerate(self.channels, 1):
            x = _Halving(channels, self.conv, name=f'half{number}')(x)
        x = x.reshape(x.shape[0], -1)
        kernel = self.param('kernel', scaled_normal(1.0), (x.shape[-1], self.latent_dim))
        x = add_bias(x @ kernel, self.param('bias', nn.initializers.zeros, (self.latent_dim,)))
        if self.space == 'z':
            return pixel_norm(x)
        mean = self.param('mean', nn.initializers.zeros, (self.latent_dim,))  # of w; both are measured, not trained
        deviation = self.param('deviation', nn.initializers.ones, (self.latent_dim,))
        return add_bias(x * jax.lax.stop_gradient(deviation)[None], jax.lax.stop_gradient(mean))


def build_encoder(
    image_size: Sequence[int],
    latent_dim: int,
    channels: Sequence[int],
    made_for: str,
    image_channels: int = 3,
    space: str = 'z',
    label: int = -1,
    conv: Callable[..., Array] = conv,
) -> Encoder:
    """The encoder as pure functions.

    image_size: (H, W) of the generator's images; the network resizes them to 4 * 2^len(channels) pixels a side.
    latent_dim: D of the space. channels: after each halving. conv: the convolution function; `trainable_conv` to train
    the weights. The rest: see `Encoder`. Raises ValueError for another space and for numbers below 1.
    """
    if space not in SPACES:
        raise ValueError(f"space '{space}' is given; an encoder tells codes of the space 'z' or 'w'.")
    if not channels or min(*channels, latent_dim, *image_size) < 1:
        raise ValueError(
            f'image_size {list(image_size)}, latent_dim {latent_dim} and channels {list(channels)} are given; numbers from 1 '
            'are wanted, and at least one of channels.'
        )
    module = _Network(tuple(channels), latent_dim, space, conv)
    side, wanted = 4 * 2 ** len(channels), (*image_size, image_channels)

    def init(key: Array) -> Any:
        return module.init(key, jnp.zeros((1, side, side, image_channels)))['params']

    def encode(params: Any, images: Array) -> Any:
        if images.ndim != 4 or images.shape[1:] != wanted:
            sizes = ', '.join(map(str, wanted))
            raise ValueError(f'images of shape {list(images.shape)} are given; this encoder takes [B, {sizes}].')
        resized = images
        if images.shape[1:3] != (side, side):
            resized = jax.image.resize(images, (len(images), side, side, image_channels), 'linear')
        return module.apply({'params': params}, cast_like(params, resized))

    return Encoder(encode, space, made_for, label, init)


def weights_checksum(params: Any) -> str:
    """SHA-256 (hexadecimal) of a generator's weights in half precision.

    It does not depend on the number type of the weights (`cast`) or on transformed kernels (`Generator.prepare`).
    """
    total = hashlib.sha256()
    for path, leaf in jax.tree_util.tree_flatten_with_path(params)[0]:
        name = jax.tree_util.keystr(path, simple=True, separator='/')
        if name.rsplit('/', 1)[-1] != 'transformed':
            array = np.ascontiguousarray(np.asarray(leaf).astype(jnp.bfloat16))
            total.update(f'{name} {array.shape}'.encode())
            total.update(array.view(np.uint8).data)
    return total.hexdigest()
