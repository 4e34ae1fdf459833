"""The PGGAN generator (Karras et al. 2018, arXiv 1710.10196), channels last.

Layers 1 and 2 have 4x4 pixels, layers 3 and 4 have 8x8, and so on. The first layer of each resolution above 4
upsamples. Kernels include the factor of the equalised learning rate. Networks trained with `fused_scale` upsample by a
stride-2 transposed convolution with the sum of the four shifts of a 3x3 kernel. This equals nearest upsampling and a
convolution with the spatially flipped kernel, so the converter flips the kernel and this module needs one form only.
"""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import Array

from mgan_jax.models.convolutions import selection
from mgan_jax.models.convolutions.plain import add_bias, conv
from mgan_jax.models.convolutions.selection import convolve_layer
from mgan_jax.models.generator import Generator
from mgan_jax.models.precision import cast_like, in_float32
from mgan_jax.models.remat import run_chain


def pixel_norm(x: Array) -> Array:
    """x / sqrt(mean_c x^2 + 1e-8), with the mean over channels: [... C] -> [... C]."""
    return in_float32(_pixel_norm, x)


@jax.custom_jvp
def _pixel_norm(x: Array) -> Array:
    return x * _inverse_length(x)


@_pixel_norm.defjvp
def _pixel_norm_jvp(inputs: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    """For y = x r, dy = r (dx - y mean_c(y dx)). The backward pass stores y, but no other array of the size of x."""
    (x,), (dx,) = inputs, tangents
    r = _inverse_length(x)
    y = x * r
    return y, r * (dx - y * jnp.mean(y * dx, axis=-1, keepdims=True))


def _inverse_length(x: Array) -> Array:
    return jax.lax.rsqrt(jnp.mean(jnp.square(x), axis=-1, keepdims=True) + 1e-8)


def leaky_relu(x: Array) -> Array:
    """x where it is positive, else 0.2 x.

    It is not max(x, 0.2 x): the gradient of a maximum compares the result with both arguments, and in half precision a
    compiler may compare a rounded number with an unrounded one and find neither equal.
    """
    return x * jnp.where(x > 0, 1.0, 0.2)


def scaled_normal(gain: float) -> Callable[..., Any]:
    """Initialiser N(0, gain^2 / fan_in), the scale of N(0, 1) weights with equalised learning rate."""
    return nn.initializers.variance_scaling(gain**2, 'fan_in', 'normal')


class FirstLayer(nn.Module):
    """The full 4x4 convolution of the 1x1 latent code, bias, leaky ReLU: [B D] -> [B 4 4 C]."""

    channels: int

    @nn.compact
    def __call__(self, z: Array) -> Array:
        shape = (z.shape[-1], 4, 4, self.channels)
        kernel = self.param('kernel', nn.initializers.normal(math.sqrt(2 / (16 * shape[0]))), shape)
        bias = self.param('bias', nn.initializers.zeros, (self.channels,))
        return leaky_relu(add_bias(jnp.einsum('bd,dhwc->bhwc', pixel_norm(z), kernel), bias))


class PGGANLayer(nn.Module):
    """PixelNorm, [nearest x2 upsampling], 3x3 convolution, bias, leaky ReLU: [B h w C_in] -> [B H W C]."""

    channels: int
    upsample: bool
    conv: Callable[..., Array] = conv

    @nn.compact
    def __call__(self, x: Array) -> Array:
        kernel = self.param('kernel', scaled_normal(math.sqrt(2)), (3, 3, x.shape[-1], self.channels))
        bias = self.param('bias', nn.initializers.zeros, (self.channels,))
        x = convolve_layer(self, pixel_norm(x), kernel, self.conv, self.upsample)
        return leaky_relu(add_bias(x, bias))


class PGGANToRGB(nn.Module):
    """PixelNorm and a linear 1x1 convolution: [B H W C] -> [B H W image_channels]."""

    channels: int

    @nn.compact
    def __call__(self, x: Array) -> Array:
        kernel = self.param('kernel', scaled_normal(1.0), (x.shape[-1], self.channels))
        bias = self.param('bias', nn.initializers.zeros, (self.channels,))
        return add_bias(pixel_norm(x) @ kernel, bias)


class PGGAN(nn.Module):
    """Two layers per resolution from 4 to `resolution`. Channels at resolution r: min(fmaps_base // r, fmaps_max)."""

    resolution: int
    latent_dim: int = 512
    fmaps_base: int = 16384
    fmaps_max: int = 512
    image_channels: int = 3
    conv: Callable[..., Array] = conv
    remat: bool = False

    def setup(self) -> None:
        for l in range(1, self.num_layers + 1):
            channels = min(self.fmaps_base // self.resolution_of(l), self.fmaps_max)
            layer = FirstLayer(channels) if l == 1 else PGGANLayer(channels, upsample=l % 2 == 1, conv=self.conv)
            setattr(self, f'layer{l}', layer)
        self.to_rgb = PGGANToRGB(self.image_channels)

    @property
    def num_layers(self) -> int:
        return 2 * (self.resolution.bit_length() - 2)

    @staticmethod
    def resolution_of(l: int) -> int:
        return 4 << (l - 1) // 2

    def features(self, z: Array, stop: int) -> Array:
        return run_chain(self.remat, self._layers(1, stop), z)

    def image(self, features: Array, start: int) -> Array:
        layers = [*self._layers(start + 1, self.num_layers), self.to_rgb]
        return run_chain(self.remat, layers, features)

    def __call__(self, z: Array) -> Array:
        return self.image(self.features(z, self.num_layers), self.num_layers)

    def _layers(self, first: int, last: int) -> list[nn.Module]:
        return [getattr(self, f'layer{l}') for l in range(first, last + 1)]


def build_pggan(
    resolution: int,
    latent_dim: int = 512,
    fmaps_base: int = 16384,
    fmaps_max: int = 512,
    image_channels: int = 3,
    conv: Callable[..., Array] = conv,
    remat: bool = False,
) -> Generator:
    """The generator as pure functions.

    resolution: a power of two from 8 to 1024. image_channels: 1 or 3. conv: the convolution function; `trainable_conv`
    to train on CPUs. remat: the backward pass stores half of the feature maps and computes the others again. Raises
    ValueError for a configuration that no PGGAN has.
    """
    if resolution not in (8, 16, 32, 64, 128, 256, 512, 1024):
        raise ValueError(f'resolution {resolution} is given; a PGGAN has 8, 16, 32, ... or 1024.')
    if image_channels not in (1, 3):
        raise ValueError(f'image_channels {image_channels} is given; a PGGAN makes images of 1 or 3 channels.')
    for name, value in (('latent_dim', latent_dim), ('fmaps_max', fmaps_max), ('fmaps_base', fmaps_base // resolution)):
        if value < 1:
            raise ValueError(f'{name} leaves {value} channels; every layer of a PGGAN needs at least one.')
    module = PGGAN(resolution, latent_dim, fmaps_base, fmaps_max, image_channels, conv, remat)

    def init(key: Array) -> Any:
        return module.init(key, jnp.zeros((1, latent_dim)))['params']

    def generate(params: Any, z: Array, truncation_psi: Any = None, label: Any = None) -> Any:
        if truncation_psi is not None or label is not None:
            raise ValueError('truncation_psi and label were given, but a PGGAN has neither; leave them out.')
        _check_latents(z)
        return module.apply({'params': params}, cast_like(params, z))

    def features(params: Any, latents: Array, stop: int, space: str = 'z') -> Any:
        if space != 'z':
            raise ValueError(f"space '{space}' is given, but a PGGAN has only the space 'z'.")
        _check_latents(latents)
        return module.apply({'params': params}, cast_like(params, latents), _check_layer(stop), method='features')

    def image(params: Any, features: Array, start: int, tail: Any = None) -> Any:
        if tail is not None:
            raise ValueError('a tail of styles was given, but a PGGAN has no styles; leave tail=None.')
        return module.apply({'params': params}, cast_like(params, features), _check_layer(start), method='image')

    def prepare(params: Any) -> Any:
        return selection.add_transformed_kernels(
            params, {f'layer{l}': l % 2 == 1 for l in range(3, module.num_layers + 1)}
        )

    def _check_layer(l: int) -> int:
        if not 1 <= l <= module.num_layers:
            raise ValueError(f'layer {l} is given, but this generator has the layers 1 to {module.num_layers}.')
        return l

    def _check_latents(z: Array) -> None:
        if z.ndim != 2 or z.shape[1] != latent_dim:
            raise ValueError(
                f'latent codes of shape {list(z.shape)} are given; this generator takes [M, {latent_dim}].'
            )

    return Generator(
        features=features,
        image=image,
        num_layers=module.num_layers,
        resolution=resolution,
        latent_dim=latent_dim,
        generate=generate,
        init=init,
        image_channels=image_channels,
        prepare=prepare,
    )
