"""The parts that StyleGAN and StyleGAN2 share: mapping network, latent spaces z, w and w+, truncation, noise,
functions.

Each layer has a style row: layer l takes row l, counted from 1. StyleGAN2 has one more row, for the last RGB layer.
"""

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import Array

from mgan_jax.models.convolutions import selection
from mgan_jax.models.convolutions.plain import add_bias
from mgan_jax.models.generator import Generator, Styles
from mgan_jax.models.pggan import leaky_relu, pixel_norm, scaled_normal
from mgan_jax.models.precision import cast_like
from mgan_jax.models.remat import run_group

SPACES = ('z', 'w', 'w+')
Noise = Any  # of one layer: 'stored', 'none' or an array [B h w]


class Dense(nn.Module):
    """A dense layer: [B C_in] -> [B C]. bias: its initial value."""

    channels: int
    gain: float = 1.0
    bias: float = 0.0

    @nn.compact
    def __call__(self, x: Array) -> Array:
        kernel = self.param('kernel', scaled_normal(self.gain), (x.shape[-1], self.channels))
        return add_bias(x @ kernel, self.param('bias', nn.initializers.constant(self.bias), (self.channels,)))


class MappingNetwork(nn.Module):
    """PixelNorm, then dense layers with leaky ReLU: z [B D], label [B K] or None -> w [B W].

    Kernels and biases include the learning-rate multiplier and the gain of the activation. The embedding of the label
    is normalised together with z (TensorFlow networks) or alone (NVIDIA's PyTorch networks).
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
    """Adds noise times a learned strength to x [B h w C]. noise: 'stored', 'none' or an array [B h w].

    per_channel: one strength per channel (StyleGAN), else one for all channels (StyleGAN2).
    """

    per_channel: bool

    @nn.compact
    def __call__(self, x: Array, noise: Noise) -> Array:
        stored = self.param('image', nn.initializers.normal(1.0), x.shape[1:3])
        strength = self.param('strength', nn.initializers.zeros, x.shape[-1:] if self.per_channel else (1,))
        if isinstance(noise, str):
            if noise == 'none':
                return x
            noise = jax.lax.stop_gradient(stored)[None]  # a constant, also during training
        return x + jnp.broadcast_to(noise[..., None] * strength.reshape(1, 1, 1, -1), x.shape)


def run_layer(remat: bool, layer: nn.Module, x: Array | None, w: Array, noise: Noise) -> Array:
    """Returns layer(x, w, noise). remat: see `remat.run_group`."""
    out: Array
    if isinstance(noise, str):
        out = run_group(remat, [layer], lambda layers, x, w: layers[0](x, w, noise), x, w)
    else:
        out = run_group(remat, [layer], lambda layers, *arrays: layers[0](*arrays), x, w, noise)
    return out


def build_styled_generator(
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

    module: has `style_dim`, `image_channels`, `to_w(z, label)`, `layers(maps, styles, noise, first, last)`, with maps
    None for first = 1, and `to_image(maps, styles)`. layer_sizes: pixels a side of each layer. num_styles: rows of a
    whole w+ code. height: number of rows kept from the middle of the image, None for all. transformed: the layers of
    `selection.add_transformed_kernels`.

    The functions take noise: 'stored', 'none', a PRNG key or one array [B h w] per layer. Those of class-conditional
    networks take label: class numbers (one, or [B]) or weights of the classes [B K].
    """
    num_layers, resolution, style_dim = len(layer_sizes), layer_sizes[-1], module.style_dim

    def apply(params: Any, method: str, *arguments: Any) -> Any:
        return module.apply({'params': params}, *cast_like(params, arguments), method=method)

    def init(key: Array) -> Any:
        label = jnp.zeros((1, num_classes)) if num_classes else None
        return module.init(key, jnp.zeros((1, latent_dim)), label)['params']

    def to_w(params: Any, z: Array, label: Any) -> Any:
        _check_rows(z, (latent_dim,), 'z')
        return apply(params, 'to_w', z, _one_hot(label, z.shape[0], num_classes))

    def rows(params: Any, latents: Array, space: str, count: int, label: Any) -> Array:
        """Latent codes of a space -> style rows [M count W]."""
        _check_space(space)
        if space == 'w+':
            _check_rows(latents, (count, style_dim), space)
            return latents
        w = to_w(params, latents, label) if space == 'z' else latents
        _check_rows(w, (style_dim,), 'w')
        return jnp.broadcast_to(w[:, None], (w.shape[0], count, style_dim))

    def noises(noise: Any, batch: int) -> list[Noise]:
        """The noise of each layer."""
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

    def features(
        params: Any, latents: Array, stop: int, space: str = 'z', *, label: Any = None, noise: Any = 'stored'
    ) -> Any:
        _check_layer(stop)
        styles = rows(params, latents, space, stop, label)
        return apply(params, 'layers', None, styles, noises(noise, len(styles)), 1, stop)

    def image(params: Any, features: Any, start: int, tail: Array | None = None, *, noise: Any = 'stored') -> Array:
        _check_layer(start)
        batch, count = jax.tree.leaves(features)[0].shape[0], num_styles - start
        styles = _tail(tail, batch, count)
        maps = apply(params, 'layers', features, styles, noises(noise, batch), start + 1, num_layers)
        return _crop(apply(params, 'to_image', maps, styles), height)

    def generate(
        params: Any,
        latents: Array,
        truncation_psi: float | None = None,
        label: Any = None,
        *,
        space: str = 'z',
        truncation_layers: int | None = None,
        noise: Any = 'stored',
    ) -> Array:
        styles = rows(params, latents, space, num_styles, label)
        if truncation_psi is not None:
            styles = truncate_styles(styles, params['w_avg'], truncation_psi, truncation_layers)
        noise = noises(noise, len(styles))
        maps = apply(params, 'layers', None, styles, noise, 1, num_layers)
        return _crop(apply(params, 'to_image', maps, styles[:, num_layers:]), height)

    def to_space(params: Any, z: Array, stop: int, space: str, label: Any = None) -> Array:
        _check_space(space)
        if space == 'z':
            return z
        w: Array = to_w(params, z, label)
        return w if space == 'w' else jnp.broadcast_to(w[:, None], (w.shape[0], stop, style_dim))

    def style_of(params: Any, latents: Array, space: str, label: Any = None) -> Array:
        return rows(params, latents, space, 1, label)[:, 0] if space != 'w+' else latents[:, -1]

    def average(params: Any, start: int) -> Array:
        return jnp.broadcast_to(params['w_avg'], (num_styles - _check_layer(start), style_dim))

    def stored_noise(params: Any) -> tuple[Array, ...]:
        return tuple(params[f'layer{l}']['noise']['image'] for l in range(1, num_layers + 1))

    def _tail(tail: Array | None, batch: int, count: int) -> Array:
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
        prepare=lambda params: selection.add_transformed_kernels(params, transformed),
    )


def truncate_styles(styles: Array, w_avg: Array, psi: float, layers: int | None = None) -> Array:
    """Truncation w_avg + (w - w_avg) psi of the first `layers` rows (None: all) of styles [B R W]."""
    average = jnp.broadcast_to(w_avg, styles.shape)
    moved = average + (styles - average) * psi
    return moved if layers is None else jnp.concatenate([moved[:, :layers], styles[:, layers:]], axis=1)


def check_configuration(
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
    """Raises ValueError for a configuration that no StyleGAN or StyleGAN2 has."""
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
    """Class numbers (one, or [B]) or weights of the classes [B K] -> weights [B K]; None without classes.

    Raises ValueError for a missing label, or for a label of a network without classes.
    """
    if (label is None) != (num_classes == 0):
        have = f'{num_classes} classes and needs a label' if num_classes else 'no classes and takes no label'
        raise ValueError(f'this generator has {have}; give one of them, or use the spaces w and w+.')
    if label is None:
        return None
    label = jnp.asarray(label)
    if label.ndim < 2:
        return jnp.broadcast_to(jax.nn.one_hot(label, num_classes), (batch, num_classes))
    return jnp.broadcast_to(label.astype(jnp.float32), (batch, num_classes))
