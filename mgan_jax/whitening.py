"""Steps that take out what codes have in common: an optax transformation for leaves with the N codes on the first axis.

N codes are weighted and added, so their slopes G [N X] resemble each other, and one scale per coordinate (Adam) leaves the
valleys that lie across codes as narrow as they are. Here the slopes are divided by the root of their second moment between
codes, an N x N matrix, and by their root mean square in each column, as in a Shampoo (Gupta, Koren and Singer 2018,
arXiv 1802.09568) with a full matrix on the side of the codes and a diagonal one on the other side.
"""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array

FLOOR = 1e-3  # of a second moment, as a share of the largest or the sum: directions without slope are not blown up
ROUNDS = 14  # of Newton's iteration, enough for eigenvalues of FLOOR: each grows by 1.5^2 a round until it is near 1
TINY = 1e-30  # added to sums of squares, so that no slope gives no step


class Moments(NamedTuple):
    """Decaying means of one leaf's slopes G [N X]: of G, of G G^T [N N], and of the summed squares of each column [1 X]."""

    mean: Array
    codes: Array
    columns: Array


def whiten(learning_rate: optax.ScalarOrSchedule, b1: float = 0.8, b2: float = 0.9) -> optax.GradientTransformation:
    """Whitened steps with a root mean square of `learning_rate`, which should decay: the steps do not shrink by themselves."""
    return optax.chain(scale_by_whitening(b1, b2), optax.scale_by_learning_rate(learning_rate))


def scale_by_whitening(b1: float = 0.8, b2: float = 0.9) -> optax.GradientTransformation:
    """U = (L + floor)^-1/2 M (R + floor)^-1/2, scaled to a root mean square of 1 in each leaf [N ...].

    M, L, R: means of G (decay b1), of G G^T and of the squared columns of G (decay b2). The scale of a slope does not matter,
    a learning rate is the root mean square of the step.
    """

    def init(params) -> Any:
        return jax.tree.map(_no_moments, params)

    def update(slopes, moments, params=None) -> tuple[Any, Any]:
        del params
        new = jax.tree.map(lambda slope, old: _average(slope, old, b1, b2), slopes, moments)
        return jax.tree.map(lambda slope, own: _whiten(own).reshape(slope.shape), slopes, new), new

    return optax.GradientTransformation(init, update)


def _no_moments(leaf: Array) -> Moments:
    if leaf.ndim < 2:
        raise ValueError(
            f'a leaf of shape {list(leaf.shape)} is given; whitening wants [N, ...], with the codes first.'
        )
    mean = jnp.zeros((leaf.shape[0], math.prod(leaf.shape[1:])), leaf.dtype)
    return Moments(mean, jnp.zeros((len(mean), len(mean)), leaf.dtype), jnp.zeros((1, mean.shape[1]), leaf.dtype))


def _average(slope: Array, old: Moments, b1: float, b2: float) -> Moments:
    slope = slope.reshape(old.mean.shape)
    return Moments(
        mean=b1 * old.mean + (1 - b1) * slope,
        codes=b2 * old.codes + (1 - b2) * _product(slope, slope.T),
        columns=b2 * old.columns + (1 - b2) * jnp.sum(jnp.square(slope), axis=0, keepdims=True),
    )


def _whiten(moments: Moments) -> Array:
    columns = moments.columns + FLOOR * jnp.max(moments.columns) + TINY
    step = _product(_inverse_root(moments.codes), _unit(moments.mean * jax.lax.rsqrt(columns)))
    return _unit(step)


def _unit(x: Array) -> Array:
    """Scaled to a root mean square of 1."""
    return x * jax.lax.rsqrt(jnp.mean(jnp.square(x)) + TINY)


def _inverse_root(a: Array) -> Array:
    """(A / tr A + floor)^-1/2 of a symmetric matrix [N N] without negative eigenvalues, up to a factor.

    Newton's iteration for the root and its inverse together (Denman and Beavers, in Schulz's form): products only, which
    every device is quick at and which give an image the same bits whatever stands beside it.
    """
    one = jnp.eye(len(a), dtype=a.dtype)
    trace = jnp.trace(a) + TINY
    root = (a / trace + FLOOR * one) / (1 + len(a) * FLOOR)

    def closer(_, pair):
        root, inverse = pair
        turn = 1.5 * one - 0.5 * _product(inverse, root)
        return _product(root, turn), _product(turn, inverse)

    return jax.lax.fori_loop(0, ROUNDS, closer, (root, one))[1]


def _product(x: Array, y: Array) -> Array:
    return jnp.matmul(x, y, precision='highest')
