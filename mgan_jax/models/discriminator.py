"""The PGGAN discriminator, channels last. It is used only to train the demo generator."""

import math

import jax.numpy as jnp
from flax import linen as nn
from jax import Array

from mgan_jax.models.convolutions.phases import conv_downsample
from mgan_jax.models.convolutions.plain import add_bias, trainable_conv
from mgan_jax.models.pggan import leaky_relu, scaled_normal


def halve_images(x: Array) -> Array:
    """2x2 average pooling: [B 2h 2w C] -> [B h w C]."""
    means: Array = nn.avg_pool(x, (2, 2), strides=(2, 2))
    return means


def minibatch_deviation(x: Array, group: int = 8) -> Array:
    """Appends a channel with the mean standard deviation over groups of images (Karras et al. 2018, section 3).

    [B H W C] -> [B H W C+1]. It lets the discriminator detect mode collapse.
    """
    b, h, w, c = x.shape
    group = math.gcd(group, b)
    grouped = x.reshape(group, b // group, h, w, c)
    deviation = jnp.sqrt(jnp.var(grouped, axis=0) + 1e-8).mean(axis=(1, 2, 3))  # [B/group]
    return jnp.concatenate([x, jnp.tile(deviation, group)[:, None, None, None] * jnp.ones((b, h, w, 1))], axis=-1)


class _Conv(nn.Module):
    """Convolution of size k, [2x2 averaging], bias, leaky ReLU."""

    channels: int
    size: int = 3
    halved: bool = False

    @nn.compact
    def __call__(self, x: Array) -> Array:
        kernel = self.param('kernel', scaled_normal(math.sqrt(2)), (self.size, self.size, x.shape[-1], self.channels))
        bias = self.param('bias', nn.initializers.zeros, (self.channels,))
        x = conv_downsample(x, kernel, trainable_conv) if self.halved else trainable_conv(x, kernel)
        return leaky_relu(add_bias(x, bias))


class _Dense(nn.Module):
    """[B C_in] -> [B C]."""

    channels: int
    gain: float

    @nn.compact
    def __call__(self, x: Array) -> Array:
        kernel = self.param('kernel', scaled_normal(self.gain), (x.shape[-1], self.channels))
        return add_bias(x @ kernel, self.param('bias', nn.initializers.zeros, (self.channels,)))


class Discriminator(nn.Module):
    """Images [B R R 3] -> realness [B], a logit. The layers mirror those of the generator with the same
    configuration."""

    resolution: int
    fmaps_base: int
    fmaps_max: int

    @nn.compact
    def __call__(self, images: Array) -> Array:
        r = self.resolution
        x = _Conv(self._channels(r), size=1, name='from_rgb')(images)
        while r > 4:
            x = _Conv(self._channels(r), name=f'conv{r}')(x)
            x = _Conv(self._channels(r // 2), halved=True, name=f'down{r}')(x)
            r //= 2
        x = _Conv(self._channels(4), name='conv4')(minibatch_deviation(x))
        x = leaky_relu(_Dense(self._channels(4), math.sqrt(2), name='dense4')(x.reshape(x.shape[0], -1)))
        return _Dense(1, 1.0, name='logit')(x)[:, 0]

    def _channels(self, r: int) -> int:
        return min(self.fmaps_base // r, self.fmaps_max)
