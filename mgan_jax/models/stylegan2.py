"""The StyleGAN2 generator (Karras et al. 2020, arXiv 1912.04958) with skip connections, channels last.

Layer 1 has 4x4 pixels, layers 2 and 3 have 8x8, and so on. Even layers upsample. Layer l takes style l. The RGB layer
of a resolution takes the style after that of its last layer, so L layers take L + 1 styles. G1 returns feature maps and
the RGB image of the lower resolutions. A cut after the last layer of a resolution leaves its RGB layer to G2.

Activations are multiplied by the style and by the demodulation factor, which equals modulated weights. All images share
one convolution. Kernels include the factor of the equalised learning rate, biases of styles include the 1.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import Array

from mgan_jax.models.convolutions.phases import transposed_conv, upsample_smooth
from mgan_jax.models.convolutions.plain import add_bias, blur_maps, conv
from mgan_jax.models.convolutions.selection import convolve_layer
from mgan_jax.models.generator import Generator
from mgan_jax.models.pggan import leaky_relu, scaled_normal
from mgan_jax.models.precision import at_least_float32
from mgan_jax.models.styles import (
    Dense,
    MappingNetwork,
    Noise,
    NoiseInput,
    build_styled_generator,
    check_configuration,
    run_layer,
)

_SMOOTH = (0.25, 0.75, 0.75, 0.25)  # [1 3 3 1]/8, times 2 for the zeros between the pixels


class Maps(NamedTuple):
    """The output of G1. x: feature maps [B h w C]. rgb: the sum of the RGB layers so far [B h' w' 3], or None."""

    x: Array
    rgb: Array | None = None


def _modulated(x: Array, scale: Array) -> Array:
    """[B h w C] * [B C]."""
    return x * scale[:, None, None, :]


def _clamped(x: Array, limit: float | None) -> Array:
    return x if limit is None else jax.lax.clamp(-limit, x, limit)  # not a maximum, for the reason of `leaky_relu`


def _demodulation(style: Array, kernel: Array) -> Array:
    """1 / sqrt(sum (w s)^2 + 1e-8), summed over taps and C_in: style [B C_in], kernel [3 3 C_in C] -> [B C]."""
    s, w = at_least_float32(style), at_least_float32(kernel)
    energy = jnp.square(s) @ jnp.sum(jnp.square(w), axis=(0, 1))
    return jax.lax.rsqrt(energy + 1e-8).astype(style.dtype)


class StyleGAN2Layer(nn.Module):
    """Modulated 3x3 convolution, with or without upsampling, noise, bias, leaky ReLU with gain sqrt 2."""

    channels: int
    upsample: bool
    clamp: float | None
    conv: Callable[..., Array] = conv

    @nn.compact
    def __call__(self, x: Array, w: Array, noise: Noise) -> Array:
        kernel = self.param('kernel', scaled_normal(1.0), (3, 3, x.shape[-1], self.channels))
        style = Dense(x.shape[-1], bias=1.0, name='style')(w)  # [B C_in]
        x = _modulated(x, style)
        if self.upsample:
            x = blur_maps(transposed_conv(x, kernel, self.conv), _SMOOTH)
        else:
            x = convolve_layer(self, x, kernel, self.conv)
        x = _modulated(x, _demodulation(style, kernel))
        x = NoiseInput(per_channel=False, name='noise')(x, noise)
        x = leaky_relu(add_bias(x, self.param('bias', nn.initializers.zeros, (self.channels,))))
        return _clamped(x * math.sqrt(2), self.clamp)


class StyleGAN2ToRGB(nn.Module):
    """Modulated 1x1 convolution without demodulation: [B h w C] -> [B h w channels]."""

    channels: int
    clamp: float | None

    @nn.compact
    def __call__(self, x: Array, w: Array) -> Array:
        kernel = self.param('kernel', scaled_normal(1.0), (x.shape[-1], self.channels))
        x = _modulated(x, Dense(x.shape[-1], bias=1.0, name='style')(w)) @ kernel
        return _clamped(add_bias(x, self.param('bias', nn.initializers.zeros, (self.channels,))), self.clamp)


class StyleGAN2(nn.Module):
    """Channels at resolution r: min(fmaps_base // r, fmaps_max)."""

    resolution: int
    style_dim: int
    fmaps_base: int
    fmaps_max: int
    mapping_layers: int
    label_dim: int
    label_norm: str
    image_channels: int
    clamp: float | None
    conv: Callable[..., Array] = conv
    remat: bool = False

    def setup(self) -> None:
        self.mapping = MappingNetwork(self.style_dim, self.mapping_layers, self.label_dim, self.label_norm)
        self.w_avg = self.param('w_avg', nn.initializers.zeros, (self.style_dim,))
        self.const = self.param('const', nn.initializers.normal(1.0), (4, 4, self._channels(4)))
        for l in range(1, self.num_layers + 1):
            layer = StyleGAN2Layer(self._channels(stylegan2_layer_resolution(l)), l % 2 == 0, self.clamp, self.conv)
            setattr(self, f'layer{l}', layer)
            if l % 2:
                setattr(self, f'to_rgb{stylegan2_layer_resolution(l)}', StyleGAN2ToRGB(self.image_channels, self.clamp))

    @property
    def num_layers(self) -> int:
        return 2 * self.resolution.bit_length() - 5

    def _channels(self, r: int) -> int:
        return min(self.fmaps_base // r, self.fmaps_max)

    def to_w(self, z: Array, label: Array | None) -> Array:
        return self.mapping(z, label)

    def layers(self, maps: Maps | None, styles: Array, noise: list[Noise], first: int, last: int) -> Maps:
        """Runs layers first .. last. styles [B R W]: row 0 is for layer `first`. noise: one entry for each of L
        layers."""
        if maps is None:
            maps = Maps(jnp.broadcast_to(self.const, (styles.shape[0], *self.const.shape)))
        x, rgb = maps
        for l in range(first, last + 1):
            w = styles[:, l - first]
            if l % 2 == 0:
                rgb = self._add_rgb(x, rgb, w, l - 1)
            x = run_layer(self.remat, getattr(self, f'layer{l}'), x, w, noise[l - 1])
        return Maps(x, rgb)

    def to_image(self, maps: Maps, styles: Array) -> Array:
        return self._add_rgb(*maps, styles[:, -1], self.num_layers)

    def _add_rgb(self, x: Array, rgb: Array | None, w: Array, l: int) -> Array:
        own: Array = getattr(self, f'to_rgb{stylegan2_layer_resolution(l)}')(x, w)
        return own if rgb is None else upsample_smooth(rgb) + own

    def __call__(self, z: Array, label: Array | None) -> Array:
        w = self.to_w(z, label)
        styles = jnp.broadcast_to(w[:, None], (w.shape[0], self.num_layers + 1, w.shape[1]))
        return self.to_image(self.layers(None, styles, ['stored'] * self.num_layers, 1, self.num_layers), styles)


def stylegan2_layer_resolution(l: int) -> int:
    """Pixels a side after layer l of a StyleGAN2."""
    return 4 << l // 2


def build_stylegan2(
    resolution: int,
    latent_dim: int = 512,
    style_dim: int = 512,
    fmaps_base: int = 32768,
    fmaps_max: int = 512,
    mapping_layers: int = 8,
    num_classes: int = 0,
    label_dim: int = 0,
    label_norm: str = 'together',
    image_channels: int = 3,
    clamp: float | None = None,
    height: int | None = None,
    conv: Callable[..., Array] = conv,
    remat: bool = False,
) -> Generator:
    """The generator as pure functions. Latent codes are z [M D], w [M W] or w+ [M l W].

    resolution: a power of two from 8 to 1024. num_classes, label_dim: of a class-conditional network, else 0.
    label_norm: the label's embedding is normalised 'together' with z or 'alone'. clamp: limit of all activations, None
    for no limit. height: number of rows kept from the middle of the image, None for all. conv: the convolution
    function. remat: the backward pass stores the inputs of layers only. Raises ValueError for a configuration that no
    StyleGAN2 has.
    """
    check_configuration(
        resolution, latent_dim, style_dim, fmaps_base, fmaps_max, num_classes, label_dim, label_norm, height
    )
    sizes = (style_dim, fmaps_base, fmaps_max, mapping_layers, label_dim, label_norm, image_channels)
    module = StyleGAN2(resolution, *sizes, clamp, conv, remat)
    return build_styled_generator(
        module,
        layer_sizes=[stylegan2_layer_resolution(l) for l in range(1, module.num_layers + 1)],
        num_styles=module.num_layers + 1,
        latent_dim=latent_dim,
        num_classes=num_classes,
        height=height,
        transformed={f'layer{l}': False for l in range(3, module.num_layers + 1, 2)},
    )
