"""Convolutions at one resolution, biases and filters. Channels last ([B H W C]), kernels [k k C_in C_out]."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import Array, lax

Padding = str | Sequence[tuple[int, int]]  # 'SAME', 'VALID' or zeros before and after each axis
_LAYOUT = ('NHWC', 'HWIO', 'NHWC')


def conv(x: Array, kernel: Array, padding: Padding = 'SAME', stride: int = 1) -> Array:
    """Convolution with zero padding: [B H W C_in], [k k C_in C_out] -> [B H/stride W/stride C_out]."""
    return lax.conv_general_dilated(_finished(x), kernel, (stride, stride), padding, dimension_numbers=_LAYOUT)


def _finished(x: Array) -> Array:
    """x, not fused with the next operation if it is bfloat16 on a CPU.

    XLA:CPU of jaxlib 0.11 and 0.12 fuses successive bfloat16 convolutions. The fusion reads memory that it has not
    written (NaN in the features of a VGG).
    """
    on_cpu = x.dtype == jnp.bfloat16 and jax.default_backend() == 'cpu'
    if not on_cpu:
        return x
    separate: Array = lax.optimization_barrier(x)
    return separate


def add_bias(x: Array, bias: Array) -> Array:
    """Adds a bias per channel: [... C] + [C]."""
    return x + jnp.broadcast_to(bias, x.shape)


def blur_maps(x: Array, taps: Sequence[float]) -> Array:
    """Filters both axes with the k `taps`, after zero padding by one pixel: [B H W C] -> [B H+3-k W+3-k C]."""
    x = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    h, w = (size + 1 - len(taps) for size in x.shape[1:3])
    rows = jnp.stack([x[:, i : i + h] * t for i, t in enumerate(taps)]).sum(axis=0)
    return jnp.stack([rows[:, :, i : i + w] * t for i, t in enumerate(taps)]).sum(axis=0)


def trainable_conv(x: Array, kernel: Array, padding: Padding = 'SAME') -> Array:
    """Equal to `conv`, with kernel gradients that are fast on CPUs, for training.

    XLA:CPU computes a kernel gradient as a convolution with an image-sized kernel: 5 to 10 GFLOP/s at 32 and 64 pixels.
    The matrix products used here reach 65. Forward-mode differentiation is not possible.
    """
    if padding == 'SAME':
        padding = tuple(((k - 1) // 2, k // 2) for k in kernel.shape[:2])
    if padding != 'VALID':
        x = jnp.pad(x, ((0, 0), *padding, (0, 0)))
    return _valid_conv(x, kernel)


@jax.custom_vjp
def _valid_conv(x: Array, kernel: Array) -> Array:
    return conv(x, kernel, 'VALID')


def _valid_conv_forward(x: Array, kernel: Array) -> tuple[Array, tuple[Array, Array]]:
    return _valid_conv(x, kernel), (x, kernel)


def _valid_conv_backward(residuals: tuple[Array, Array], gradient: Array) -> tuple[Array, Array]:
    x, kernel = residuals
    rows, columns = kernel.shape[:2]
    margin = jnp.pad(gradient, ((0, 0), (rows - 1, rows - 1), (columns - 1, columns - 1), (0, 0)))
    return _valid_conv(margin, kernel[::-1, ::-1].swapaxes(2, 3)), _kernel_gradient(x, gradient, rows, columns)


_valid_conv.defvjp(_valid_conv_forward, _valid_conv_backward)


def _kernel_gradient(x: Array, gradient: Array, rows: int, columns: int) -> Array:
    """sum_bhw x[b, h + i, w + j, c] gradient[b, h, w, d] for every tap i, j: [rows columns C_in C_out]."""
    if gradient.shape[1] < 32:
        return _tap_products(rows, columns, x, gradient)
    each: Array = lax.map(lambda pair: _tap_products(rows, columns, *pair), (x[:, None], gradient[:, None]))
    return each.sum(axis=0)


def _tap_products(rows: int, columns: int, x: Array, gradient: Array) -> Array:
    """All taps as one matrix product: x is shifted by rows, the gradient by columns."""
    (h, w, d), width, c = gradient.shape[1:], x.shape[2], x.shape[3]
    high = jnp.concatenate([x[:, i : i + h] for i in range(rows)], axis=-1)  # [b h width rows*c]
    shifted = [jnp.pad(gradient, ((0, 0), (0, 0), (j, width - w - j), (0, 0))) for j in range(columns)]
    product = high.reshape(-1, rows * c).T @ jnp.concatenate(shifted, axis=-1).reshape(-1, columns * d)
    return product.reshape(rows, c, columns, d).transpose(0, 2, 1, 3)
