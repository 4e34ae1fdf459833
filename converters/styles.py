"""Weights that StyleGAN and StyleGAN2 have in common: dense layers, the mapping network, noise, the average style."""

import math
from typing import Any, NamedTuple

import numpy as np

from .states import Tensors, scaled

_LEARNING_RATE = 0.01  # the multiplier on weights and biases of the mapping network
_SLOPE = 0.2


class DenseNames(NamedTuple):
    """The names of a dense layer's tensors.

    out_first: the weight is [C_out C_in] (torch), else [C_in C_out] (TensorFlow).
    """

    weight: str
    bias: str
    out_first: bool = True


def convert_dense(
    tensors: Tensors, at: DenseNames, c_in: int | None, c_out: int | None, scale: float = 1.0, bias_scale: float = 1.0
) -> dict[str, np.ndarray]:
    """A dense layer as {'kernel': [C_in C_out], 'bias': [C_out]}. The kernel is multiplied by scale / sqrt(C_in)."""
    weight = tensors.take(at.weight, (c_out, c_in) if at.out_first else (c_in, c_out))
    kernel = weight.T if at.out_first else weight
    bias = tensors.take(at.bias, (kernel.shape[1],))
    return {'kernel': scaled(kernel, scale / math.sqrt(kernel.shape[0])), 'bias': scaled(bias, bias_scale)}


def convert_mapping(tensors: Tensors, layers: list[DenseNames], bias_gain: float) -> dict[str, Any]:
    """The mapping network as {'dense1': dense layer, ...}.

    Kernels include the gain sqrt 2 and the learning-rate multiplier, biases include `bias_gain` and the multiplier.
    """
    params: dict[str, Any] = {}
    size = None
    for i, at in enumerate(layers, start=1):
        rate = _LEARNING_RATE
        params[f'dense{i}'] = convert_dense(tensors, at, size, None, math.sqrt(2) * rate, bias_gain * rate)
        size = params[f'dense{i}']['bias'].size
    return params


def take_noise(tensors: Tensors, name: str | None, size: int) -> np.ndarray:
    """A stored noise image [size size], without leading axes of size 1. Zeros if the file has none."""
    if name is None or name not in tensors.state:
        return np.zeros((size, size), np.float32)
    axes = getattr(tensors.state[name], 'ndim', 2) - 2
    return tensors.take(name, (*[1] * min(axes, 2), size, size)).reshape(size, size)


def take_average_style(
    tensors: Tensors, name: str, style_dim: int, params: dict[str, Any], latent_dim: int
) -> np.ndarray:
    """The stored average style w_avg [W], or the mean style of 4096 random latent codes if it is missing.

    Raises ValueError if it is missing in a class-conditional network.
    """
    if name in tensors.state:
        return tensors.take(name, (style_dim,))
    if 'embed' in params:
        raise ValueError(
            f'the average style {name!r} is missing, and it cannot be made up for a class-conditional network.'
        )
    x: np.ndarray = np.random.default_rng(0).standard_normal((4096, latent_dim)).astype(np.float32)
    x /= np.sqrt(np.mean(x**2, axis=1, keepdims=True) + 1e-8)
    for i in range(1, len(params) + 1):
        x = x @ params[f'dense{i}']['kernel'] + params[f'dense{i}']['bias']
        x = np.maximum(x, _SLOPE * x)
    mean: np.ndarray = x.mean(axis=0)
    return mean
