"""Edits of latent codes: moves along a boundary's normal, morphs between two inversions, and style mixing.

Pure functions of `composition.Codes`. In shapes, S counts strengths or interpolation weights, R counts layers with a
style, and W is the size of a style.

A strength has the unit of the space. In 'z' the unit is the root mean square of the code, 1 for z ~ N(0, I), so a code
moves in proportion to its length. A generator that applies PixelNorm ignores the length, and one strength turns all codes
alike. In 'w' and 'w+' the unit is that of the styles.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from scipy.optimize import linear_sum_assignment

from mgan_jax import composition
from mgan_jax.composition import Codes
from mgan_jax.models.generator import Generator

MIN_REMAINDER = 1e-3  # length of a unit normal after conditioning, below which nothing but rounding is left


def condition_boundary(normal: Any, others: Any) -> np.ndarray:
    """Projects the boundaries `others` [K D] out of `normal` [D]; returns a unit vector [D] float32.

    n' = n - sum_k w_k m_k, orthogonal to every m_k. A move along n' does not change the distance of a code to the
    boundaries of `others` (conditional manipulation, Shen et al. 2020, arXiv 1907.10786). All are projected out at once:
    one by one, a later projection brings earlier ones back unless they are orthogonal to each other.

    Raises ValueError if nothing is left.
    """
    n, span = np.asarray(normal, np.float64), np.asarray(others, np.float64).reshape(-1, np.shape(normal)[-1])
    n = n / np.linalg.norm(n)
    weights = np.linalg.lstsq(span.T, n, rcond=None)[0] if len(span) else np.zeros(0)
    remainder = n - weights @ span  # n - sum_k w_k m_k
    length = np.linalg.norm(remainder)
    if length < MIN_REMAINDER:
        raise ValueError('nothing is left of a boundary without what it shares with those that it is conditioned on.')
    return (remainder / length).astype(np.float32)


def move_codes(
    codes: Codes, normal: Any, strength: Any, *, space: str = 'z', layers: tuple[int, int] | None = None
) -> Codes:
    """Moves the latent codes along a normal: z_n + strength n for all N codes of each image (Shen et al. 2020).

    normal: [D], a unit vector. strength: a number, or [S], which returns codes with leaves [S B ...]. In 'w' and 'w+' the
    tail, the styles after the composing layer, moves as well. layers: the first and the last layer whose styles move, from
    1, in 'w+' only; None for all.

    Raises ValueError for a normal or layers that do not fit the codes.
    """
    n, amount = jnp.asarray(normal, jnp.float32), jnp.asarray(strength, jnp.float32)
    _require_fit(codes, n, space, layers)
    if amount.ndim:
        return jax.vmap(lambda s: move_codes(codes, n, s, space=space, layers=layers))(amount)
    latents, tail = codes.latents, codes.tail
    if space == 'z':
        unit = jnp.sqrt(jnp.mean(jnp.square(latents), axis=-1, keepdims=True))
        return codes._replace(latents=latents + amount * unit * _expand(n, latents))
    rows = latents.shape[-2] if space == 'w+' else 0
    latents = latents + amount * (_layer_mask(latents, 1, layers) if rows else 1) * _expand(n, latents)
    if tail is not None:
        tail = tail + amount * _layer_mask(tail, 1 + rows, layers) * _expand(n, tail)
    return codes._replace(latents=latents, tail=tail)


def render_edits(
    generator: Generator,
    params: Any,
    codes: Codes,
    normal: Any,
    strengths: Any,
    *,
    layer: int,
    space: str = 'z',
    layers: tuple[int, int] | None = None,
) -> Array:
    """Renders codes moved by each of the strengths [S]: -> images [S B H W C] in about [-1, 1].

    layer: the composing layer. layers: as in `move_codes`. Strengths are rendered one after another, in the memory of one.
    """

    def render(strength: Array) -> Array:
        moved = move_codes(codes, normal, strength, space=space, layers=layers)
        return composition.compose(generator, params, moved, layer=layer, space=space)

    return jax.lax.map(render, jnp.asarray(strengths, jnp.float32))


def match_codes(first: Codes, second: Codes, *, space: str = 'z') -> Codes:
    """Reorders the N codes of `second`, image by image, to fit those of `first`; returns NumPy arrays.

    The N codes of an inversion have no order. The assignment has the least total squared distance between codes, in 'z'
    between their directions, so a morph moves the codes least.

    Raises ValueError if the codes are of different shapes.
    """
    _require_same_shapes(first, second)
    a, b = (np.asarray(_comparable(codes.latents, space), np.float64) for codes in (first, second))
    flat = [leaf.reshape(*leaf.shape[:2], -1) for leaf in (a, b)]
    distances = [
        np.square(x[:, None] - y[None]).sum(axis=-1) for x, y in zip(*flat, strict=True)
    ]  # [N N] of each image
    order = np.stack([linear_sum_assignment(distance)[1] for distance in distances])  # [B N]

    def reorder(leaf: Any) -> np.ndarray:
        return np.stack([row[indices] for row, indices in zip(np.asarray(leaf), order, strict=True)])

    latents, alpha = jax.tree.map(reorder, (second.latents, second.alpha))
    return second._replace(latents=latents, alpha=alpha)


def morph_codes(first: Codes, second: Codes, t: Any, *, space: str = 'z') -> Codes:
    """Interpolates from `first` at t = 0 to `second` at t = 1, code n with code n; `match_codes` brings them into order.

    t: a number, or [S], which returns codes with leaves [S B ...]. Codes in 'z' take spherical interpolation of their
    directions (Shoemake 1985) and linear interpolation of their lengths: after PixelNorm, a straight line would turn slowly
    at both ends and fast in the middle. Everything else is interpolated linearly.

    Raises ValueError if the codes are of different shapes.
    """
    _require_same_shapes(first, second)
    weight = jnp.asarray(t, jnp.float32)
    if weight.ndim:
        return jax.vmap(lambda w: morph_codes(first, second, w, space=space))(weight)
    between = jax.tree.map(lambda x, y: (1 - weight) * x + weight * y, first, second)
    return between._replace(latents=_slerp(first.latents, second.latents, weight)) if space == 'z' else between


def mix_styles(first: Codes, second: Codes, layer: int, *, composing_layer: int) -> Codes:
    """Takes the styles of layers 1 .. `layer` from `first` and those of later layers from `second` (StyleGAN, StyleGAN2).

    composing_layer: the layer whose feature maps the channel importances weight. The importances are those of the codes
    that give its style. A mix before it needs codes in 'w+', which have a style for each layer, and continues code n of
    `first` with code n of `second`; `match_codes` brings them into order. Noise images go with their layers.

    Raises ValueError for codes of different shapes, codes without a tail, and layers that cannot be mixed.
    """
    _require_same_shapes(first, second)
    if first.tail is None:
        raise ValueError(
            'these inversions have no styles of their own after the composing layer, which mixing exchanges.'
        )
    lowest, last = 1 if first.latents.ndim == 4 else composing_layer, composing_layer + first.tail.shape[-2] - 1
    if not lowest <= layer <= last:
        raise ValueError(
            f'styles are to be mixed after layer {layer}; {lowest} to {last} are possible with these inversions.'
        )
    from_first = jnp.arange(1, last + 2) <= layer
    tail = jnp.where(from_first[None, composing_layer:, None], first.tail, second.tail)
    noise = first.noise and (*first.noise[:layer], *second.noise[layer:])
    if layer >= composing_layer:
        return Codes(first.latents, first.alpha, tail, noise)
    latents = jnp.where(from_first[None, None, :composing_layer, None], first.latents, second.latents)
    return Codes(latents, second.alpha, tail, noise)


def _slerp(x: Array, y: Array, weight: Array) -> Array:
    """Spherical interpolation of codes [B N D]; linear where the angle is 0 or pi, where it is not defined."""
    lengths = [jnp.linalg.norm(code, axis=-1, keepdims=True) for code in (x, y)]
    a, b = (code / jnp.maximum(length, 1e-12) for code, length in zip((x, y), lengths, strict=True))
    angle = jnp.arccos(jnp.clip(jnp.sum(a * b, axis=-1, keepdims=True), -1, 1))
    sine = jnp.sin(angle)
    curved = (jnp.sin((1 - weight) * angle) * a + jnp.sin(weight * angle) * b) / jnp.maximum(sine, 1e-3)
    direction = jnp.where(sine < 1e-3, (1 - weight) * a + weight * b, curved)
    return ((1 - weight) * lengths[0] + weight * lengths[1]) * direction


def _comparable(latents: Any, space: str) -> Any:
    """Codes of length 1 in 'z'; other codes as they are."""
    return latents / np.maximum(np.linalg.norm(latents, axis=-1, keepdims=True), 1e-12) if space == 'z' else latents


def _layer_mask(styles: Array, first: int, layers: tuple[int, int] | None) -> Array:
    """1 for the styles [... R W] of layers first, first + 1, ... that are within `layers`, else 0: [1 ... R 1]."""
    count = styles.shape[-2]
    layer = jnp.arange(first, first + count).reshape((1,) * (styles.ndim - 2) + (count, 1))
    return jnp.ones(layer.shape) if layers is None else jnp.where((layer >= layers[0]) & (layer <= layers[1]), 1.0, 0.0)


def _expand(n: Array, x: Array) -> Array:
    """[D] with as many axes as x [... D]."""
    return n.reshape((1,) * (x.ndim - 1) + n.shape)


def _require_fit(codes: Codes, normal: Array, space: str, layers: tuple[int, int] | None) -> None:
    size = jnp.shape(codes.latents)[-1]
    if normal.shape != (size,):
        raise ValueError(
            f"a boundary of shape {list(normal.shape)} is given for codes of {size} numbers in the space '{space}'."
        )
    if layers is not None and (space != 'w+' or not 1 <= layers[0] <= layers[1]):
        raise ValueError(
            f"the layers {layers} are to be moved in the space '{space}'; a range such as (1, 4) in 'w+' can be."
        )


def _require_same_shapes(first: Codes, second: Codes) -> None:
    a, b = ([jnp.shape(leaf) for leaf in jax.tree.leaves(codes)] for codes in (first, second))
    if a != b:
        raise ValueError(f'the inversions are of different kinds: the shapes of their codes are {a} and {b}.')
