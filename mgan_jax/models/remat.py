"""Rematerialisation: the backward pass stores the inputs of groups of layers and computes their other values again."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
from flax import linen as nn
from jax import Array


def run_group(
    remat: bool, layers: Sequence[nn.Module], run: Callable[..., Any], *arrays: Any, each: bool = False
) -> Any:
    """run(layers, *arrays), which calls the bound layers. Every array has the images on its first axis.

    remat: the backward pass stores only `arrays` and computes the rest again. each: during this second computation it
    stores only the input of each layer, and computes the rest a third time.
    """
    if not remat or layers[0].is_initializing():
        return run(layers, *arrays)
    modules, variables = zip(*[layer.unbind() for layer in layers], strict=True)
    applies = [rematerialise(module.apply) if each else module.apply for module in modules]

    def bound(variables: Any, *arrays: Any) -> Any:
        return run([partial(apply, own) for apply, own in zip(applies, variables, strict=True)], *arrays)

    return rematerialise(bound)(variables, *arrays)


def run_chain(remat: bool, layers: Sequence[nn.Module], x: Array) -> Array:
    """Applies layers one after the other, in groups of two: with `remat`, one feature map per two layers is stored."""

    def run(layers: Sequence[Callable[..., Array]], x: Array) -> Array:
        for layer in layers:
            x = layer(x)
        return x

    for i in range(0, len(layers), 2):
        x = run_group(remat, layers[i : i + 2], run, x, each=True)
    return x


def rematerialise(function: Callable[..., Any]) -> Callable[..., Any]:
    """Returns function(weights, *arrays) with a backward pass that first computes the function again.

    `jax.checkpoint` does this too, but XLA:CPU drops its barriers and may compute everything again early, which takes
    more memory instead of less. Here the second computation depends on the incoming gradient and has to wait for it.
    """

    @jax.custom_vjp
    def once(weights: Any, *arrays: Any) -> Any:
        return function(weights, *arrays)

    def forward(weights: Any, *arrays: Any) -> tuple[Any, Any]:
        return function(weights, *arrays), (weights, arrays)

    def backward(stored: tuple[Any, Any], gradient: Any) -> Any:
        weights, arrays = stored
        return jax.vjp(function, weights, *_after(gradient, arrays))[1](gradient)

    once.defvjp(forward, backward)
    return once


def _after(gradient: Any, arrays: Any) -> Any:
    """Makes `arrays` depend on `gradient`: adds 0 times one gradient of the same image, which may be NaN."""
    first = jax.tree.leaves(gradient)[0]
    zero: Array = 0 * first.reshape(first.shape[0], -1)[:, 0]  # [M]

    def wait(x: Array) -> Array:
        return x + zero.reshape(-1, *[1] * (x.ndim - 1)).astype(x.dtype)

    return jax.tree.map(wait, arrays)
