"""The StyleGAN generator (Karras et al. 2019, arXiv 1812.04948), channels last.

Layers are numbered as in PGGAN: 1 and 2 have 4x4 pixels, 3 and 4 have 8x8, and so on. Odd layers above 1 upsample.
Layer l takes style l. Kernels of fused upsampling convolutions are flipped by the converter, as in `pggan`. Kernels
include the factor of the equalised learning rate.
"""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import Array

from mgan_jax.models.convolutions.plain import add_bias, blur_maps, conv
from mgan_jax.models.convolutions.selection import convolve_layer
from mgan_jax.models.generator import Generator
from mgan_jax.models.pggan import leaky_relu, scaled_normal
from mgan_jax.models.precision import in_float32
from mgan_jax.models.styles import (
    Dense,
    MappingNetwork,
    Noise,
    NoiseInput,
    build_styled_generator,
    check_configuration,
    run_layer,
)

_SMOOTH = (0.25, 0.5, 0.25)


def instance_norm(x: Array) -> Array:
    """(x - mean) / sqrt(var + 1e-8), with statistics over the pixels of each channel: [B H W C] -> [B H W C]."""
    return in_float32(_instance_norm, x)


def _instance_norm(x: Array) -> Array:
    x -= jnp.mean(x, axis=(1, 2), keepdims=True)
    return x * jax.lax.rsqrt(jnp.mean(jnp.square(x), axis=(1, 2), keepdims=True) + 1e-8)


class StyleGANLayer(nn.Module):
    """[[nearest x2 upsampling], 3x3 convolution, [blur]], noise, bias, leaky ReLU, instance norm, style.

    size: pixels a side of the learned constant [size size C] that replaces the convolution in layer 1, else 0.
    """

    channels: int
    upsample: bool = False
    size: int = 0
    conv: Callable[..., Array] = conv

    @nn.compact
    def __call__(self, x: Array | None, w: Array, noise: Noise) -> Array:
        x = self._constant(w.shape[0]) if x is None else self._convolved(x)
        x = NoiseInput(per_channel=True, name='noise')(x, noise)
        x = leaky_relu(add_bias(x, self.param('bias', nn.initializers.zeros, (self.channels,))))
        scale, shift = jnp.split(Dense(2 * self.channels, name='style')(w)[:, None, None, :], 2, axis=-1)
        return instance_norm(x) * (scale + 1) + shift

    def _constant(self, batch: int) -> Array:
        const = self.param('const', nn.initializers.ones, (self.size, self.size, self.channels))
        return jnp.broadcast_to(const, (batch, *const.shape))

    def _convolved(self, x: Array) -> Array:
        kernel = self.param('kernel', scaled_normal(math.sqrt(2)), (3, 3, x.shape[-1], self.channels))
        x = convolve_layer(self, x, kernel, self.conv, self.upsample)
        return blur_maps(x, _SMOOTH) if self.upsample else x


class StyleGAN(nn.Module):
    """Channels at resolution r: min(fmaps_base // r, fmaps_max)."""

    resolution: int
    style_dim: int
    fmaps_base: int
    fmaps_max: int
    mapping_layers: int
    label_dim: int
    label_norm: str
    image_channels: int
    conv: Callable[..., Array] = conv
    remat: bool = False

    def setup(self) -> None:
        self.mapping = MappingNetwork(self.style_dim, self.mapping_layers, self.label_dim, self.label_norm)
        self.w_avg = self.param('w_avg', nn.initializers.zeros, (self.style_dim,))
        for l in range(1, self.num_layers + 1):
            channels = min(self.fmaps_base // stylegan_layer_resolution(l), self.fmaps_max)
            layer = StyleGANLayer(channels, upsample=l > 1 and l % 2 == 1, size=4 if l == 1 else 0, conv=self.conv)
            setattr(self, f'layer{l}', layer)
        self.to_rgb = Dense(self.image_channels)

    @property
    def num_layers(self) -> int:
        return 2 * self.resolution.bit_length() - 4

    def to_w(self, z: Array, label: Array | None) -> Array:
        return self.mapping(z, label)

    def layers(self, x: Any, styles: Array, noise: list[Noise], first: int, last: int) -> Any:
        """Runs layers first .. last. styles [B R W]: row 0 is for layer `first`. noise: one entry for each of L
        layers."""
        for l in range(first, last + 1):
            x = run_layer(self.remat, getattr(self, f'layer{l}'), x, styles[:, l - first], noise[l - 1])
        return x

    def to_image(self, x: Array, styles: Array) -> Array:
        return self.to_rgb(x)

    def __call__(self, z: Array, label: Array | None) -> Array:
        w = self.to_w(z, label)
        styles = jnp.broadcast_to(w[:, None], (w.shape[0], self.num_layers, w.shape[1]))
        return self.to_image(self.layers(None, styles, ['stored'] * self.num_layers, 1, self.num_layers), styles)


def stylegan_layer_resolution(l: int) -> int:
    """Pixels a side after layer l of a StyleGAN."""
    return 4 << (l - 1) // 2


def build_stylegan(
    resolution: int,
    latent_dim: int = 512,
    style_dim: int = 512,
    fmaps_base: int = 16384,
    fmaps_max: int = 512,
    mapping_layers: int = 8,
    num_classes: int = 0,
    label_dim: int = 0,
    label_norm: str = 'together',
    image_channels: int = 3,
    height: int | None = None,
    conv: Callable[..., Array] = conv,
    remat: bool = False,
) -> Generator:
    """The generator as pure functions. Latent codes are z [M D], w [M W] or w+ [M l W].

    Arguments and errors: see `stylegan2.build_stylegan2`.
    """
    check_configuration(
        resolution, latent_dim, style_dim, fmaps_base, fmaps_max, num_classes, label_dim, label_norm, height
    )
    sizes = (style_dim, fmaps_base, fmaps_max, mapping_layers, label_dim, label_norm, image_channels)
    module = StyleGAN(resolution, *sizes, conv, remat)
    return build_styled_generator(
        module,
        layer_sizes=[stylegan_layer_resolution(l) for l in range(1, module.num_layers + 1)],
        num_styles=module.num_layers,
        latent_dim=latent_dim,
        num_classes=num_classes,
        height=height,
        transformed={f'layer{l}': l % 2 == 1 for l in range(3, module.num_layers + 1)},
    )
