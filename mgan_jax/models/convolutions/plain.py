"""The convolutions that the networks are made of, channels last ([B H W C]), kernels [3 3 C_in C_out]."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import Array, lax

_LAYOUT = ('NHWC', 'HWIO', 'NHWC')


def conv(x: Array, kernel: Array, padding='SAME', stride: int = 1) -> Array:
    """Plain convolution: [B H W C_in], [k k C_in C_out] -> [B H W C_out], H and W divided by the stride."""
    return lax.conv_general_dilated(_finished(x), kernel, (stride, stride), padding, dimension_numbers=_LAYOUT)


def _finished(x: Array) -> Array:
    """`x`, on CPUs in bfloat16 as a value of its own: XLA:CPU of jaxlib 0.11 and 0.12 otherwise makes one fusion of bfloat16
    convolutions that follow each other, which reads memory that it has not written (NaN in the features of a VGG)."""
    on_cpu = x.dtype == jnp.bfloat16 and jax.default_backend() == 'cpu'
    return lax.optimization_barrier(x) if on_cpu else x


def add_bias(x: Array, bias: Array) -> Array:
    """[... C] + [C]."""
    return x + jnp.broadcast_to(bias, x.shape)


def blur_maps(x: Array, taps: Sequence[float]) -> Array:
    """Separable filter `taps` with one pixel of zeros around: [B H W C] -> [B H+3-k W+3-k C] for k taps."""
    x = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    h, w = (size + 1 - len(taps) for size in x.shape[1:3])
    rows = jnp.stack([x[:, i : i + h] * t for i, t in enumerate(taps)]).sum(axis=0)
    return jnp.stack([rows[:, :, i : i + w] * t for i, t in enumerate(taps)]).sum(axis=0)


def upsample_smooth(x: Array) -> Array:
    """Zeros between the pixels, then the filter [1 3 3 1]/4 along each axis: [B H W C] -> [B 2H 2W C]."""
    for axis in (1, 2):
        before, after = _shifted(x, axis, (1, 0)), _shifted(x, axis, (0, 1))
        pair = jnp.stack([0.25 * before + 0.75 * x, 0.75 * x + 0.25 * after], axis=axis + 1)
        x = pair.reshape(*x.shape[:axis], 2 * x.shape[axis], *x.shape[axis + 1 :])
    return x


def _shifted(x: Array, axis: int, pad: tuple[int, int]) -> Array:
    """`x` moved by one pixel along an axis, zeros coming in."""
    padded = jnp.pad(x, [pad if i == axis else (0, 0) for i in range(x.ndim)])
    return lax.slice_in_dim(padded, pad[1], pad[1] + x.shape[axis], axis=axis)


def trainable_conv(x: Array, kernel: Array, padding='SAME') -> Array:
    """The same values as `conv`, with weight gradients that a CPU computes quickly, as matrix products.

    XLA:CPU turns a weight gradient into a convolution with an image-sized kernel: 5 to 10 GFLOP/s at 32 and 64 pixels
    where these products reach 65. Inversion needs no weight gradients; the price is that there is no forward mode.
    """
    if padding == 'SAME':
        padding = tuple(((k - 1) // 2, k // 2) for k in kernel.shape[:2])
    if padding != 'VALID':
        x = jnp.pad(x, ((0, 0), *padding, (0, 0)))
    return _valid_conv(x, kernel)


@jax.custom_vjp
def _valid_conv(x: Array, kernel: Array) -> Array:
    return conv(x, kernel, 'VALID')


def _valid_conv_forward(x: Array, kernel: Array):
    return _valid_conv(x, kernel), (x, kernel)


def _valid_conv_backward(residuals, slope: Array):
    x, kernel = residuals
    rows, columns = kernel.shape[:2]
    margin = jnp.pad(slope, ((0, 0), (rows - 1, rows - 1), (columns - 1, columns - 1), (0, 0)))
    return _valid_conv(margin, kernel[::-1, ::-1].swapaxes(2, 3)), _weight_gradient(x, slope, rows, columns)


_valid_conv.defvjp(_valid_conv_forward, _valid_conv_backward)


def _weight_gradient(x: Array, slope: Array, rows: int, columns: int) -> Array:
    """sum_bhw x[b, h + i, w + j, c] slope[b, h, w, d] for every tap i, j: [rows columns C_in C_out]."""
    if slope.shape[1] < 32:
        return _tap_products(rows, columns, x, slope)
    return lax.map(lambda pair: _tap_products(rows, columns, *pair), (x[:, None], slope[:, None])).sum(axis=0)


def _tap_products(rows: int, columns: int, x: Array, slope: Array) -> Array:
    """Image rows shifted against x and columns against the slope make all taps one matrix product."""
    (h, w, d), width, c = slope.shape[1:], x.shape[2], x.shape[3]
    high = jnp.concatenate([x[:, i : i + h] for i in range(rows)], axis=-1)  # [b h width rows*c]
    shifted = [jnp.pad(slope, ((0, 0), (0, 0), (j, width - w - j), (0, 0))) for j in range(columns)]
    product = high.reshape(-1, rows * c).T @ jnp.concatenate(shifted, axis=-1).reshape(-1, columns * d)
    return product.reshape(rows, c, columns, d).transpose(0, 2, 1, 3)
