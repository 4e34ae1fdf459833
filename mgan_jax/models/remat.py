"""Rematerialisation: a backward pass that keeps what goes into a few layers and computes the rest of them again."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
from flax import linen as nn
from jax import Array


def run_group(remat: bool, layers: Sequence[nn.Module], run: Callable, *arrays: Any, each: bool = False) -> Any:
    """run(layers, *arrays), which calls the bound layers; every array has images on its first axis.

    remat: the backward pass keeps the arrays alone and computes the rest again. each: while it does, it keeps only what
    goes into each layer, for which everything else is computed once more.
    """
    if not remat or layers[0].is_initializing():
        return run(layers, *arrays)
    modules, variables = zip(*[layer.unbind() for layer in layers], strict=True)
    applies = [rematerialised(module.apply) if each else module.apply for module in modules]

    def bound(variables, *arrays):
        return run([partial(apply, own) for apply, own in zip(applies, variables, strict=True)], *arrays)

    return rematerialised(bound)(variables, *arrays)


def run_chain(remat: bool, layers: Sequence[nn.Module], x: Array) -> Array:
    """One layer after the other, two in a group: half as many feature maps are kept as there are layers."""

    def run(layers, x):
        for layer in layers:
            x = layer(x)
        return x

    for i in range(0, len(layers), 2):
        x = run_group(remat, layers[i : i + 2], run, x, each=True)
    return x


def rematerialised(function: Callable) -> Callable:
    """function(weights, *arrays), whose backward pass starts by computing it again.

    `jax.checkpoint` does that too, but XLA drops its barriers on CPUs and may compute everything again at once, early, so
    that more is kept instead of less. Here the inputs depend on the slope that comes in, and have to wait for it.
    """

    @jax.custom_vjp
    def once(weights, *arrays):
        return function(weights, *arrays)

    def forward(weights, *arrays):
        return function(weights, *arrays), (weights, arrays)

    def backward(kept, slope):
        weights, arrays = kept
        return jax.vjp(function, weights, *_after(slope, arrays))[1](slope)

    once.defvjp(forward, backward)
    return once


def _after(slope: Any, arrays: Any) -> Any:
    """`arrays`, not before `slope` is there: plus each image's first slope times 0, which no compiler may leave out."""
    first = jax.tree.leaves(slope)[0]
    nothing = 0 * first.reshape(first.shape[0], -1)[:, 0]  # [M]

    def wait(x: Array) -> Array:
        return x + nothing.reshape(-1, *[1] * (x.ndim - 1)).astype(x.dtype)

    return jax.tree.map(wait, arrays)
