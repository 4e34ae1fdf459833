"""Semantic editing of inversions: codes moved along the normal of a boundary (Shen et al. 2020, arXiv 1907.10786), morphing
from one inversion to another, and style mixing. Pure functions of `composition.Codes`; S: strengths or shares.

Strengths have the unit of the space. In 'z' that is the root mean square of a code's own numbers, 1 for z ~ N(0, I): what
PixelNorm makes of a code has the length sqrt(D) whatever its length was, so codes of different lengths are moved alike, and
where nothing normalises z the code keeps its scale. In 'w' and 'w+' it is that of the styles themselves.
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

LEFT = 1e-3  # of a unit normal, at least, when others are projected out of it


def condition_boundary(normal: Any, others: Any) -> np.ndarray:
    """The part of `normal` [D] that is orthogonal to all of `others` [K D], as a unit vector [D] float32: a move along it
    leaves every code on the same side of, and as far from, their boundaries.

    The others need not be orthogonal to each other; to project them out one by one would bring the first ones back.
    ValueError if nothing is left.
    """
    n, span = np.asarray(normal, np.float64), np.asarray(others, np.float64).reshape(-1, np.shape(normal)[-1])
    n = n / np.linalg.norm(n)
    weights = np.linalg.lstsq(span.T, n, rcond=None)[0] if len(span) else np.zeros(0)
    rest = n - weights @ span  # n - sum_k w_k m_k, orthogonal to every m_k
    length = np.linalg.norm(rest)
    if length < LEFT:
        raise ValueError('nothing is left of a boundary without what it shares with those that it is conditioned on.')
    return (rest / length).astype(np.float32)


def move_codes(
    codes: Codes, normal: Any, strength: Any, *, space: str = 'z', layers: tuple[int, int] | None = None
) -> Codes:
    """All N codes of each image moved, z_n + strength n, by the same way: the codes add up to one image.

    normal: [D], a unit vector for strengths to have their unit. strength: a number, or [S] for codes whose leaves are
    [S B ...]. In 'w' and 'w+' the styles after the composing layer, the tail, move along. layers: the first and the last
    layer whose styles move in 'w+', counted from 1; None for all. ValueError for shapes or layers that do not fit.
    """
    n, amount = jnp.asarray(normal, jnp.float32), jnp.asarray(strength, jnp.float32)
    _require_fit(codes, n, space, layers)
    if amount.ndim:
        return jax.vmap(lambda s: move_codes(codes, n, s, space=space, layers=layers))(amount)
    latents, tail = codes.latents, codes.tail
    if space == 'z':
        unit = jnp.sqrt(jnp.mean(jnp.square(latents), axis=-1, keepdims=True))
        return codes._replace(latents=latents + amount * unit * _like(n, latents))
    rows = latents.shape[-2] if space == 'w+' else 0
    latents = latents + amount * (_moved_rows(latents, 1, layers) if rows else 1) * _like(n, latents)
    if tail is not None:
        tail = tail + amount * _moved_rows(tail, 1 + rows, layers) * _like(n, tail)
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
    """The images of moved codes: strengths [S] -> [S B H W C]. One strength after another, in the memory of one."""

    def render(strength: Array) -> Array:
        moved = move_codes(codes, normal, strength, space=space, layers=layers)
        return composition.compose(generator, params, moved, layer=layer, space=space)

    return jax.lax.map(render, jnp.asarray(strengths, jnp.float32))


def match_codes(first: Codes, second: Codes, *, space: str = 'z') -> Codes:
    """`second` with its N codes in the order that fits those of `first`, image by image, so that a morph moves them least.

    The codes of an inversion have no order. The assignment of least total squared distance between the codes, directions
    of them in 'z'. NumPy arrays; ValueError if there are not as many codes of the same shape.
    """
    _require_alike(first, second)
    a, b = (np.asarray(_directed(codes.latents, space), np.float64) for codes in (first, second))
    flat = [leaf.reshape(*leaf.shape[:2], -1) for leaf in (a, b)]
    distances = [
        np.square(x[:, None] - y[None]).sum(axis=-1) for x, y in zip(*flat, strict=True)
    ]  # [N N] of each image
    order = np.stack([linear_sum_assignment(distance)[1] for distance in distances])  # [B N]

    def ordered(leaf: Any) -> np.ndarray:
        return np.stack([row[chosen] for row, chosen in zip(np.asarray(leaf), order, strict=True)])

    latents, alpha = jax.tree.map(ordered, (second.latents, second.alpha))
    return second._replace(latents=latents, alpha=alpha)


def morph_codes(first: Codes, second: Codes, share: Any, *, space: str = 'z') -> Codes:
    """From `first` at 0 to `second` at 1, code n to code n: see `match_codes`. share: a number, or [S] for leaves [S B ...].

    Channel importances, styles and noise images change evenly; codes in 'z' turn evenly from one direction to the other, as
    their length changes (Shoemake 1985): between, PixelNorm leaves a straight line too little of its way at both ends.
    ValueError if the two are not of the same shape.
    """
    _require_alike(first, second)
    amount = jnp.asarray(share, jnp.float32)
    if amount.ndim:
        return jax.vmap(lambda t: morph_codes(first, second, t, space=space))(amount)
    between = jax.tree.map(lambda x, y: (1 - amount) * x + amount * y, first, second)
    return between._replace(latents=_turned(first.latents, second.latents, amount)) if space == 'z' else between


def mix_styles(first: Codes, second: Codes, layer: int, *, composing: int) -> Codes:
    """Styles of the layers 1 .. `layer` of `first` and those of all later ones of `second`, for StyleGAN and StyleGAN2.

    composing: the layer whose features are weighted; the channel importances go with it. A mix before it needs codes in
    'w+', which have a style for each layer; code n of one goes on as code n of the other then: see `match_codes`. ValueError
    where styles cannot be mixed.
    """
    _require_alike(first, second)
    if first.tail is None:
        raise ValueError(
            'these inversions have no styles of their own after the composing layer, which mixing exchanges.'
        )
    lowest, last = 1 if first.latents.ndim == 4 else composing, composing + first.tail.shape[-2] - 1
    if not lowest <= layer <= last:
        raise ValueError(
            f'styles are to be mixed after layer {layer}; {lowest} to {last} are possible with these inversions.'
        )
    early = jnp.arange(1, last + 2) <= layer
    tail = jnp.where(early[None, composing:, None], first.tail, second.tail)
    noise = first.noise and (*first.noise[:layer], *second.noise[layer:])
    if layer >= composing:
        return Codes(first.latents, first.alpha, tail, noise)
    return Codes(
        jnp.where(early[None, None, :composing, None], first.latents, second.latents), second.alpha, tail, noise
    )


def _turned(x: Array, y: Array, share: Array) -> Array:
    """From codes x [B N D] to y by the angle between them; straight on where that is 0 or a half turn."""
    lengths = [jnp.linalg.norm(code, axis=-1, keepdims=True) for code in (x, y)]
    a, b = (code / jnp.maximum(length, 1e-12) for code, length in zip((x, y), lengths, strict=True))
    angle = jnp.arccos(jnp.clip(jnp.sum(a * b, axis=-1, keepdims=True), -1, 1))
    sine = jnp.sin(angle)
    bent = (jnp.sin((1 - share) * angle) * a + jnp.sin(share * angle) * b) / jnp.maximum(sine, 1e-3)
    direction = jnp.where(sine < 1e-3, (1 - share) * a + share * b, bent)
    return ((1 - share) * lengths[0] + share * lengths[1]) * direction


def _directed(latents: Any, space: str) -> Any:
    return latents / np.maximum(np.linalg.norm(latents, axis=-1, keepdims=True), 1e-12) if space == 'z' else latents


def _moved_rows(styles: Array, first: int, layers: tuple[int, int] | None) -> Array:
    """Of styles [... R W] of the layers first, first + 1, ...: 1 for those that are moved, [1 ... R 1]."""
    count = styles.shape[-2]
    place = jnp.arange(first, first + count).reshape((1,) * (styles.ndim - 2) + (count, 1))
    return jnp.ones(place.shape) if layers is None else jnp.where((place >= layers[0]) & (place <= layers[1]), 1.0, 0.0)


def _like(n: Array, x: Array) -> Array:
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


def _require_alike(first: Codes, second: Codes) -> None:
    a, b = ([jnp.shape(leaf) for leaf in jax.tree.leaves(codes)] for codes in (first, second))
    if a != b:
        raise ValueError(f'the inversions are of different kinds: the shapes of their codes are {a} and {b}.')
