"""What the weights of StyleGAN and StyleGAN2 have in common: dense layers, the mapping network, noise, the average style."""

import math
from typing import NamedTuple

import numpy as np

from .states import Tensors, scaled

_LEARNING_RATE = 0.01  # the multiplier on weights and biases of the mapping network
_SLOPE = 0.2


class Dense(NamedTuple):
    """Where a dense layer is: its names, and whether the weight is [out in] (torch) or [in out] (TensorFlow)."""

    weight: str
    bias: str
    out_first: bool = True


def dense(
    tensors: Tensors, at: Dense, c_in: int | None, c_out: int | None, scale: float = 1.0, bias_scale: float = 1.0
):
    """{'kernel' [C_in C_out], 'bias' [C_out]}; the kernel is multiplied by scale / sqrt(C_in)."""
    weight = tensors.take(at.weight, (c_out, c_in) if at.out_first else (c_in, c_out))
    kernel = weight.T if at.out_first else weight
    bias = tensors.take(at.bias, (kernel.shape[1],))
    return {'kernel': scaled(kernel, scale / math.sqrt(kernel.shape[0])), 'bias': scaled(bias, bias_scale)}


def mapping(tensors: Tensors, layers: list[Dense], bias_gain: float) -> dict:
    """The dense layers with the gain sqrt 2 and the learning-rate multiplier folded in. bias_gain: of the activation."""
    params: dict[str, dict] = {}
    size = None
    for i, at in enumerate(layers, start=1):
        rate = _LEARNING_RATE
        params[f'dense{i}'] = dense(tensors, at, size, None, math.sqrt(2) * rate, bias_gain * rate)
        size = params[f'dense{i}']['bias'].size
    return params


def noise(tensors: Tensors, name: str | None, size: int) -> np.ndarray:
    """A stored noise image [size size], whatever axes of one stand before; zeros if the network has none."""
    if name is None or name not in tensors.state:
        return np.zeros((size, size), np.float32)
    axes = getattr(tensors.state[name], 'ndim', 2) - 2
    return tensors.take(name, (*[1] * min(axes, 2), size, size)).reshape(size, size)


def average_style(tensors: Tensors, name: str, style_dim: int, params: dict, latent_dim: int) -> np.ndarray:
    """w_avg [W] as stored; where it is not, the mean style of 4096 random latent codes."""
    if name in tensors.state:
        return tensors.take(name, (style_dim,))
    if 'embed' in params:
        raise ValueError(
            f'the average style {name!r} is missing, and it cannot be made up for a class-conditional network.'
        )
    x = np.random.default_rng(0).standard_normal((4096, latent_dim)).astype(np.float32)
    x /= np.sqrt(np.mean(x**2, axis=1, keepdims=True) + 1e-8)
    for i in range(1, len(params) + 1):
        x = x @ params[f'dense{i}']['kernel'] + params[f'dense{i}']['bias']
        x = np.maximum(x, _SLOPE * x)
    return x.mean(axis=0)
