"""Whitened gradient steps: an optax transformation for leaves that have the N codes on the first axis.

The feature maps of the N codes are weighted and added, so their gradients G [N X] are correlated. Adam scales each
coordinate by itself, which does not improve the conditioning across codes. This transformation divides G by the root of
its second moment between codes, an N x N matrix, and by the root mean square of each column. It is Shampoo (Gupta,
Koren and Singer 2018, arXiv 1802.09568) with a full matrix for the codes and a diagonal matrix for the columns.
"""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array

FLOOR = 1e-3  # added to second moments, relative to their largest or sum: limits directions without gradient
ROUNDS = 14  # of Newton's iteration, enough for eigenvalues of FLOOR: a round multiplies small ones by 1.5^2
TINY = 1e-30  # added to sums of squares, so that a zero gradient gives a zero step


class Moments(NamedTuple):
    """Decaying means for one leaf. mean [N X]: of the gradients G. codes [N N]: of G G^T. columns [1 X]: of the sums of
    squares of each column of G."""

    mean: Array
    codes: Array
    columns: Array


def whiten(learning_rate: optax.ScalarOrSchedule, b1: float = 0.8, b2: float = 0.9) -> optax.GradientTransformation:
    """Gradient descent by whitened steps. The root mean square of a step is `learning_rate`.

    learning_rate should decay, because steps do not shrink near a minimum. b1, b2: see `scale_by_whitening`.
    """
    return optax.chain(scale_by_whitening(b1, b2), optax.scale_by_learning_rate(learning_rate))


def scale_by_whitening(b1: float = 0.8, b2: float = 0.9) -> optax.GradientTransformation:
    """U = (L + floor)^-1/2 M (R + floor)^-1/2, scaled to a root mean square of 1 in each leaf [N ...].

    M: decaying mean of G (decay b1). L, R: decaying means of G G^T and of the squared columns of G (decay b2). U does
    not depend on the scale of the gradients. `init` raises ValueError for leaves of fewer than 2 axes.
    """

    def init(params: Any) -> Any:
        return jax.tree.map(_zero_moments, params)

    def update(gradients: Any, moments: Any, params: Any = None) -> tuple[Any, Any]:
        del params
        new = jax.tree.map(lambda gradient, old: _average(gradient, old, b1, b2), gradients, moments)
        return jax.tree.map(lambda gradient, own: _whiten(own).reshape(gradient.shape), gradients, new), new

    return optax.GradientTransformation(init, update)


def _zero_moments(leaf: Array) -> Moments:
    if leaf.ndim < 2:
        raise ValueError(
            f'a leaf of shape {list(leaf.shape)} is given; whitening wants [N, ...], with the codes first.'
        )
    mean = jnp.zeros((leaf.shape[0], math.prod(leaf.shape[1:])), leaf.dtype)
    return Moments(mean, jnp.zeros((len(mean), len(mean)), leaf.dtype), jnp.zeros((1, mean.shape[1]), leaf.dtype))


def _average(gradient: Array, old: Moments, b1: float, b2: float) -> Moments:
    gradient = gradient.reshape(old.mean.shape)
    return Moments(
        mean=b1 * old.mean + (1 - b1) * gradient,
        codes=b2 * old.codes + (1 - b2) * _product(gradient, gradient.T),
        columns=b2 * old.columns + (1 - b2) * jnp.sum(jnp.square(gradient), axis=0, keepdims=True),
    )


def _whiten(moments: Moments) -> Array:
    columns = moments.columns + FLOOR * jnp.max(moments.columns) + TINY
    step = _product(_inverse_root(moments.codes), _unit(moments.mean * jax.lax.rsqrt(columns)))
    return _unit(step)


def _unit(x: Array) -> Array:
    """Scales x to a root mean square of 1."""
    return x * jax.lax.rsqrt(jnp.mean(jnp.square(x)) + TINY)


def _inverse_root(a: Array) -> Array:
    """(A / tr A + floor)^-1/2 of a positive semidefinite matrix [N N], up to a factor.

    Newton's iteration computes the root and its inverse together (Denman and Beavers, in Schulz's form). It needs only
    matrix products, which are fast on every device, and whose bits for an image do not depend on the rest of the batch.
    """
    one = jnp.eye(len(a), dtype=a.dtype)
    trace = jnp.trace(a) + TINY
    root = (a / trace + FLOOR * one) / (1 + len(a) * FLOOR)

    def iterate(_: int, pair: tuple[Array, Array]) -> tuple[Array, Array]:
        root, inverse = pair
        factor = 1.5 * one - 0.5 * _product(inverse, root)
        return _product(root, factor), _product(factor, inverse)

    inverse: Array = jax.lax.fori_loop(0, ROUNDS, iterate, (root, one))[1]
    return inverse


def _product(x: Array, y: Array) -> Array:
    product: Array = jnp.matmul(x, y, precision='highest')
    return product
