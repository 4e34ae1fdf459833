"""What StyleGAN and StyleGAN2 share: the mapping network, the spaces z, w and w+, truncation, noise; and the generator's
functions on top of a module that runs layers.

A style row belongs to a layer: layer l takes row l (counted from 1). StyleGAN2 has one row more, for the last RGB.
"""

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import Array

from mgan_jax.models.convolutions import winograd
from mgan_jax.models.convolutions.plain import add_bias
from mgan_jax.models.generator import Generator, Styles
from mgan_jax.models.pggan import leaky_relu, pixel_norm, scaled_normal
from mgan_jax.models.precision import like
from mgan_jax.models.remat import run_group

SPACES = ('z', 'w', 'w+')
Noise = Any  # 'stored', 'none', a PRNG key, or one array [B h w] per layer


class Dense(nn.Module):
    """[B C_in] -> [B C]."""

    channels: int
    gain: float = 1.0
    bias: float = 0.0

    @nn.compact
    def __call__(self, x: Array) -> Array:
        kernel = self.param('kernel', scaled_normal(self.gain), (x.shape[-1], self.channels))
        return add_bias(x @ kernel, self.param('bias', nn.initializers.constant(self.bias), (self.channels,)))


class Mapping(nn.Module):
    """PixelNorm, then dense layers with leaky ReLU: z [B D] (with a label [B K]) -> w [B W].

    Kernels and biases hold the learning-rate multiplier and the activation's gain already. The label's embedding is
    normalised together with z (the TensorFlow networks) or alone (NVIDIA's PyTorch networks).
    """

    style_dim: int
    num_layers: int
    label_dim: int = 0
    label_norm: str = 'together'

    @nn.compact
    def __call__(self, z: Array, label: Array | None) -> Array:
        x = z
        if label is not None:
            embedded = Dense(self.label_dim, name='embed')(label)
            parts = (z, embedded) if self.label_norm == 'together' else (pixel_norm(z), pixel_norm(embedded))
            x = jnp.concatenate(parts, axis=-1)
        if label is None or self.label_norm == 'together':
            x = pixel_norm(x)
        for i in range(1, self.num_layers + 1):
            x = leaky_relu(Dense(self.style_dim, math.sqrt(2), name=f'dense{i}')(x))
        return x


class NoiseInput(nn.Module):
    """Adds noise, weighted by a learned strength: x [B h w C], noise 'stored', 'none' or an array [B h w].

    per_channel: a strength for each channel (StyleGAN) or one for all (StyleGAN2).
    """

    per_channel: bool

    @nn.compact
    def __call__(self, x: Array, noise: Noise) -> Array:
        stored = self.param('image', nn.initializers.normal(1.0), x.shape[1:3])
        strength = self.param('strength', nn.initializers.zeros, x.shape[-1:] if self.per_channel else (1,))
        if isinstance(noise, str):
            if noise == 'none':
                return x
            noise = jax.lax.stop_gradient(stored)[None]  # a constant of the network, also where weights are trained
        return x + jnp.broadcast_to(noise[..., None] * strength.reshape(1, 1, 1, -1), x.shape)


def run_layer(remat: bool, layer: nn.Module, x: Array | None, w: Array, noise: Noise) -> Array:
    """layer(x, w, noise); remat: see `remat.run_group`."""
    if isinstance(noise, str):
        return run_group(remat, [layer], lambda layers, x, w: layers[0](x, w, noise), x, w)
    return run_group(remat, [layer], lambda layers, *arrays: layers[0](*arrays), x, w, noise)


def styled_generator(
    module: nn.Module,
    *,
    layer_sizes: Sequence[int],
    num_styles: int,
    latent_dim: int,
    num_classes: int,
    height: int | None,
    transformed: dict[str, bool],
) -> Generator:
    """The pure functions of a style-based network.

    module: has `style_dim`, `to_w(z, label)`, `layers(maps, styles, noise, first, last)` (maps None for first = 1) and
    `to_image(maps, styles)`. layer_sizes: pixels a side of each layer. num_styles: rows of a whole w+.
    height: rows of the image that are kept, from its middle; None for all. transformed: see `winograd.with_transformed_kernels`.
    """
    num_layers, resolution, style_dim = len(layer_sizes), layer_sizes[-1], module.style_dim

    def apply(params: dict, method: str, *arguments):
        return module.apply({'params': params}, *like(params, arguments), method=method)

    def init(key):
        label = jnp.zeros((1, num_classes)) if num_classes else None
        return module.init(key, jnp.zeros((1, latent_dim)), label)['params']

    def to_w(params, z, label):
        _check_rows(z, (latent_dim,), 'z')
        return apply(params, 'to_w', z, _one_hot(label, z.shape[0], num_classes))

    def rows(params, latents, space, count, label):
        """Latents of a space -> style rows [M count W]."""
        _check_space(space)
        if space == 'w+':
            _check_rows(latents, (count, style_dim), space)
            return latents
        w = to_w(params, latents, label) if space == 'z' else latents
        _check_rows(w, (style_dim,), 'w')
        return jnp.broadcast_to(w[:, None], (w.shape[0], count, style_dim))

    def noises(noise, batch):
        """One entry per layer: 'stored', 'none' or [B h w]."""
        if isinstance(noise, str):
            if noise not in ('stored', 'none'):
                raise ValueError(f"noise '{noise}' is given; 'stored', 'none', a key or one array per layer is wanted.")
            return [noise] * num_layers
        if isinstance(noise, jax.Array) and jnp.issubdtype(noise.dtype, jax.dtypes.prng_key):
            keys = [jax.random.fold_in(noise, l) for l in range(1, num_layers + 1)]
            return [jax.random.normal(k, (batch, s, s)) for k, s in zip(keys, layer_sizes, strict=True)]
        if len(noise) != num_layers:
            raise ValueError(f'{len(noise)} noise images are given; one for each of the {num_layers} layers is wanted.')
        return list(noise)

    def features(params, latents, stop, space='z', *, label=None, noise='stored'):
        _check_layer(stop)
        styles = rows(params, latents, space, stop, label)
        return apply(params, 'layers', None, styles, noises(noise, len(styles)), 1, stop)

    def image(params, features, start, tail=None, *, noise='stored'):
        _check_layer(start)
        batch, count = jax.tree.leaves(features)[0].shape[0], num_styles - start
        styles = _tail(tail, batch, count)
        maps = apply(params, 'layers', features, styles, noises(noise, batch), start + 1, num_layers)
        return _crop(apply(params, 'to_image', maps, styles), height)

    def generate(
        params, latents, truncation_psi=None, label=None, *, space='z', truncation_layers=None, noise='stored'
    ):
        styles = rows(params, latents, space, num_styles, label)
        if truncation_psi is not None:
            styles = truncate(styles, params['w_avg'], truncation_psi, truncation_layers)
        noise = noises(noise, len(styles))
        maps = apply(params, 'layers', None, styles, noise, 1, num_layers)
        return _crop(apply(params, 'to_image', maps, styles[:, num_layers:]), height)

    def to_space(params, z, stop, space, label=None):
        _check_space(space)
        if space == 'z':
            return z
        w = to_w(params, z, label)
        return w if space == 'w' else jnp.broadcast_to(w[:, None], (w.shape[0], stop, style_dim))

    def style_of(params, latents, space, label=None):
        return rows(params, latents, space, 1, label)[:, 0] if space != 'w+' else latents[:, -1]

    def average(params, start):
        return jnp.broadcast_to(params['w_avg'], (num_styles - _check_layer(start), style_dim))

    def stored_noise(params):
        return tuple(params[f'layer{l}']['noise']['image'] for l in range(1, num_layers + 1))

    def _tail(tail, batch: int, count: int) -> Array:
        if tail is None and count:
            raise ValueError(
                f'no tail is given; the {count} styles after the cut are wanted, [B, {count}, {style_dim}].'
            )
        if tail is None:
            return jnp.zeros((batch, 0, style_dim))
        if tail.ndim == 2:
            tail = jnp.broadcast_to(tail[:, None], (tail.shape[0], count, tail.shape[1]))
        _check_rows(tail, (count, style_dim), 'tail')
        return tail

    def _check_layer(l: int) -> int:
        if not 1 <= l <= num_layers:
            raise ValueError(f'layer {l} is given, but this generator has the layers 1 to {num_layers}.')
        return l

    return Generator(
        generate=generate,
        features=features,
        image=image,
        num_layers=num_layers,
        resolution=resolution,
        latent_dim=latent_dim,
        init=init,
        image_channels=module.image_channels,
        styles=Styles(to_space, style_of, average, stored_noise, num_classes),
        height=height,
        prepare=lambda params: winograd.with_transformed_kernels(params, transformed),
    )


def truncate(styles: Array, w_avg: Array, psi: float, layers: int | None = None) -> Array:
    """w_avg + (w - w_avg) psi for the first `layers` rows (None: all) of styles [B R W]."""
    average = jnp.broadcast_to(w_avg, styles.shape)
    moved = average + (styles - average) * psi
    return moved if layers is None else jnp.concatenate([moved[:, :layers], styles[:, layers:]], axis=1)


def check_numbers(
    resolution: int,
    latent_dim: int,
    style_dim: int,
    fmaps_base: int,
    fmaps_max: int,
    num_classes: int,
    label_dim: int,
    label_norm: str,
    height: int | None,
) -> None:
    """ValueError for numbers that no StyleGAN or StyleGAN2 has."""
    if resolution not in (8, 16, 32, 64, 128, 256, 512, 1024):
        raise ValueError(f'resolution {resolution} is given; a StyleGAN has 8, 16, 32, ... or 1024.')
    sizes = {'latent_dim': latent_dim, 'style_dim': style_dim, 'fmaps_max': fmaps_max}
    for name, value in (sizes | {'fmaps_base': fmaps_base // resolution}).items():
        if value < 1:
            raise ValueError(f'{name} leaves {value} channels; every layer of a StyleGAN needs at least one.')
    if (num_classes > 0) != (label_dim > 0) or min(num_classes, label_dim) < 0:
        raise ValueError(f'num_classes {num_classes} and label_dim {label_dim} are given; both are 0 or neither is.')
    if label_norm not in ('together', 'alone'):
        raise ValueError(f"label_norm '{label_norm}' is given; 'together' or 'alone' is wanted.")
    if height is not None and (not 1 <= height <= resolution or height % 2):
        raise ValueError(f'height {height} is given; an even number of rows up to {resolution} is wanted.')


def _crop(images: Array, height: int | None) -> Array:
    if height is None:
        return images
    top = (images.shape[1] - height) // 2
    return images[:, top : top + height]


def _check_space(space: str) -> None:
    if space not in SPACES:
        raise ValueError(f"space '{space}' is given; this generator has the spaces 'z', 'w' and 'w+'.")


def _check_rows(x: Array, wanted: tuple[int, ...], name: str) -> None:
    if x.ndim != 1 + len(wanted) or x.shape[1:] != wanted:
        shape = ', '.join(['M', *map(str, wanted)])
        raise ValueError(f"latent codes of shape {list(x.shape)} are given as '{name}'; [{shape}] is wanted.")


def _one_hot(label: Any, batch: int, num_classes: int) -> Array | None:
    """label: None, class numbers (a number, or [B]) or weights of the classes [B K] -> [B K]."""
    if (label is None) != (num_classes == 0):
        have = f'{num_classes} classes and needs a label' if num_classes else 'no classes and takes no label'
        raise ValueError(f'this generator has {have}; give one of them, or use the spaces w and w+.')
    if label is None:
        return None
    label = jnp.asarray(label)
    if label.ndim < 2:
        return jnp.broadcast_to(jax.nn.one_hot(label, num_classes), (batch, num_classes))
    return jnp.broadcast_to(label.astype(jnp.float32), (batch, num_classes))
