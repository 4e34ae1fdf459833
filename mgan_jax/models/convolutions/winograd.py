"""Convolutions with fewer multiplications (Winograd 1980; Lavin and Gray 2015, arXiv 1509.09308), channels last ([B H W C]).

A 3x3 convolution multiplies 9 numbers for an output pixel; on tiles of 4x4 pixels that are transformed first, 2.25 are enough:

    y = A^T [ (G k G^T) (.) (B^T x B) ] A        x: a tile of 6x6 pixels, k: the kernel, y: 4x4 pixels

and (.) is one matrix product over the channels for each of the 36 places, which is what processors are best at. The transformed
kernel is 4 times as large, so it is made once, by `transform_kernel`, and then passed as an argument. Nearest x2 upsampling and
a convolution need 25 products for 2x2 pixels of the small image: 6.25 for a pixel instead of 36.

The slope with respect to the image is computed in the same way from the same transformed kernel; there is none with respect
to the kernel, which is a constant of an inversion. Float32 rounding (rms) is 6 to 8 times that of
the plain convolution, with upsampling 1 to 2 times.
"""

import functools
import operator
from collections.abc import Callable, Mapping, Sequence

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import Array, lax

from mgan_jax.models.convolutions.phases import upsample_conv

Matrix = Sequence[Sequence[float]]
_LEAST_CHANNELS = {False: 96, True: 128}  # by whether a layer upsamples

# The convolution, by its values at 0, 1, -1, 2, -2 and infinity.
_G: Matrix = (
    (1 / 4, 0, 0),
    (-1 / 6,) * 3,
    (-1 / 6, 1 / 6, -1 / 6),
    (1 / 24, 1 / 12, 1 / 6),
    (1 / 24, -1 / 12, 1 / 6),
    (0, 0, 1),
)
_B: Matrix = (
    (4, 0, -5, 0, 1, 0),
    (0, -4, -4, 1, 1, 0),
    (0, 4, -4, -1, 1, 0),
    (0, -2, -1, 2, 1, 0),
    (0, 2, -1, -2, 1, 0),
    (0, 4, 0, -5, 0, 1),
)
_A: Matrix = ((1, 1, 1, 1, 1, 0), (0, 1, -1, 2, -2, 0), (0, 1, 1, 4, 4, 0), (0, 1, -1, 8, -8, 1))
# Its slope is a convolution with the flipped kernel, whose value at 1/p is that of the kernel at p, but for a factor: so it
# is computed by the values at infinity, 1, -1, 1/2, -1/2 and 0.
_SLOPE_B: Matrix = (
    (0, 1, 0, -5, 0, 4),
    (0, 1, 1, -4, -4, 0),
    (0, -1, 1, 4, -4, 0),
    (0, 1, 2, -1, -2, 0),
    (0, -1, 2, 1, -2, 0),
    (1, 0, -5, 0, 4, 0),
)
_SLOPE_A: Matrix = ((0, 1, 1, 8, 8, 1), (0, 1, -1, 4, -4, 0), (0, 1, 1, 2, 2, 0), (1, 1, -1, 1, -1, 0))

# Upsampling: of three small pixels x and the taps a, b, c of a kernel, the pixels of the large image around the middle one
# and left of the last one, a x0 + (b + c) x1, (a + b) x1 + c x2 and so on, are sums of five products.
_UP_G: Matrix = ((1, 0, 0), (1, 1, 0), (1, 1, 1), (0, 1, 1), (0, 0, 1))
_UP_B: Matrix = ((1, -1, 0), (1, -1, 0), (0, 1, 0), (0, -1, 1), (0, -1, 1))
_UP_A: Matrix = ((0, 1, 1, 0, 0), (1, 0, 1, 0, 0), (0, 0, 1, 0, 1), (0, 0, 1, 1, 0))
_UP_SLOPE_B: Matrix = (
    (0, 0, 0, -1, 0, 1),
    (0, 0, -1, 0, 1, 0),
    (0, 0, 1, 1, 0, 0),
    (0, 1, 0, -1, 0, 0),
    (1, 0, -1, 0, 0, 0),
)
_UP_SLOPE_A: Matrix = ((0, 0, 1, 1, 1), (1, 1, 1, 0, 0))


def transform_kernel(kernel: Array, upsample: bool) -> Array:
    """G k G^T: [3 3 C_in C_out] -> [6 6 C_in C_out] for `winograd_conv`, or [5 5 C_in C_out] for `winograd_upsample_conv`."""
    return _on_both_axes(_UP_G if upsample else _G, kernel)


def with_transformed_kernels(params: dict, layers: Mapping[str, bool]) -> dict:
    """The weights of a network with transformed kernels beside the plain ones, in the layers where that is quicker on CPUs.

    layers: names of 3x3 convolutions that make at least 8x8 pixels, and whether they upsample. Few channels, as fewer pixels,
    leave too little to multiply for what the transforms cost. params: NumPy's arrays or JAX's, and so is what comes back.
    """

    def beside(layer: dict, upsample: bool) -> dict:
        c_in, c_out = layer['kernel'].shape[2:]
        pays = c_in * c_out >= _LEAST_CHANNELS[upsample] ** 2
        return layer | {'transformed': transform_kernel(layer['kernel'], upsample)} if pays else layer

    return params | {name: beside(params[name], upsample) for name, upsample in layers.items()}


@jax.custom_vjp
def winograd_conv(x: Array, transformed: Array) -> Array:
    """3x3 convolution with zeros around: [B H W C_in], [6 6 C_in C_out] -> [B H W C_out]."""
    return _same(x, transformed, _B, _A)


def _conv_forward(x: Array, transformed: Array):
    return winograd_conv(x, transformed), transformed


def _conv_backward(transformed: Array, slope: Array):
    return _same(slope, transformed.swapaxes(2, 3), _SLOPE_B, _SLOPE_A), None


winograd_conv.defvjp(_conv_forward, _conv_backward)


@jax.custom_vjp
def winograd_upsample_conv(x: Array, transformed: Array) -> Array:
    """Nearest x2 upsampling, then a 3x3 convolution: [B H W C_in], [5 5 C_in C_out] -> [B 2H 2W C_out]."""
    _, h, w, _ = x.shape
    tiles = h // 2 + 1, w // 2 + 1
    padded = _padded(x, 1, 2 * tiles[0] + 1, 2 * tiles[1] + 1)
    return _tiled(padded, transformed, _UP_B, _UP_A, 2, tiles)[:, 1 : 2 * h + 1, 1 : 2 * w + 1]


def _upsample_forward(x: Array, transformed: Array):
    return winograd_upsample_conv(x, transformed), transformed


def _upsample_backward(transformed: Array, slope: Array):
    h, w = slope.shape[1] // 2, slope.shape[2] // 2
    tiles = -(-h // 2), -(-w // 2)
    padded = _padded(slope, 1, 4 * tiles[0] + 2, 4 * tiles[1] + 2)
    return _tiled(padded, transformed.swapaxes(2, 3), _UP_SLOPE_B, _UP_SLOPE_A, 4, tiles)[:, :h, :w], None


winograd_upsample_conv.defvjp(_upsample_forward, _upsample_backward)


def layer_conv(
    layer: nn.Module, x: Array, kernel: Array, conv: Callable, upsample: bool = False, padding: str = 'SAME'
) -> Array:
    """The 3x3 convolution of a layer, after nearest x2 upsampling or not: by its transformed kernel where its weights have
    one (see `winograd.with_transformed_kernels`), else by the plain kernel and `conv`. padding: of the convolution without upsampling."""
    transformed: Array | None = layer.get_variable('params', 'transformed')
    if transformed is None:
        return upsample_conv(x, kernel, conv) if upsample else conv(x, kernel, padding)
    if upsample:
        return winograd_upsample_conv(x, transformed)
    same = winograd_conv(x, transformed)
    return same if padding == 'SAME' else same[:, 1:-1, 1:-1]


def _same(x: Array, transformed: Array, b: Matrix, a: Matrix) -> Array:
    _, h, w, _ = x.shape
    tiles = -(-h // 4), -(-w // 4)
    padded = _padded(x, 1, 4 * tiles[0] + 2, 4 * tiles[1] + 2)
    return _tiled(padded, transformed, b, a, 4, tiles)[:, :h, :w]


def _tiled(x: Array, transformed: Array, b: Matrix, a: Matrix, step: int, tiles: tuple[int, int]) -> Array:
    """A^T [transformed (.) (B^T x B)] A for all tiles, which begin every `step` pixels of x, side by side."""
    down, along = tiles
    rows = _combine(b, _taps(x, 1, step, down, len(b[0])))  # [6 B down W C]
    places = _combine(b, _taps(rows, 3, step, along, len(b[0])))  # [6 6 B down along C]
    flat = places.reshape(*places.shape[:2], -1, x.shape[-1])
    products = lax.dot_general(flat, transformed, (((3,), (2,)), ((0, 1), (0, 1))))  # [6 6 tiles C]
    pixels = _on_both_axes(a, products).reshape(len(a), len(a), len(x), down, along, -1)
    return pixels.transpose(2, 3, 0, 4, 1, 5).reshape(len(x), down * len(a), along * len(a), -1)


def _taps(x: Array, axis: int, step: int, count: int, size: int) -> list[Array]:
    """The pixels 0, 1, .. size - 1 of every tile."""
    return [lax.slice_in_dim(x, i, i + (count - 1) * step + 1, step, axis) for i in range(size)]


def _on_both_axes(matrix: Matrix, x: Array) -> Array:
    """M x M^T: [n n ...] -> [m m ...] with the two axes exchanged: (row, column) becomes (column, row)."""
    rows = _combine(matrix, list(x))  # [m n ...]
    return _combine(matrix, list(rows.swapaxes(0, 1)))


def _combine(matrix: Matrix, parts: Sequence[Array]) -> Array:
    """Matrix times a column of arrays, without the zeros."""
    products = ([_times(c, part) for c, part in zip(row, parts, strict=True) if c] for row in matrix)
    stack = parts[0].__array_namespace__().stack  # NumPy's for NumPy arrays: kernels are transformed without compiling
    return stack([functools.reduce(operator.add, row) for row in products])


def _times(factor: float, x: Array) -> Array:
    return x if factor == 1 else factor * x


def _padded(x: Array, before: int, rows: int, columns: int) -> Array:
    """Zeros around, `before` above and to the left, so that [rows columns] pixels are there."""
    sizes = [(before, rows - before - x.shape[1]), (before, columns - before - x.shape[2])]
    return jnp.pad(x, [(0, 0), *sizes, (0, 0)])
