"""Convolutions and filters that change the resolution by 2, computed by phases at the low resolution. Channels last.

An upsampled image repeats pixels or contains zeros. Each phase of the output (even or odd rows, even or odd columns)
then needs only a part of the kernel, and products with repeated pixels or zeros are saved. Kernels: [3 3 C_in C_out].
"""

from collections.abc import Callable

import jax.numpy as jnp
from jax import Array, lax

from mgan_jax.models.convolutions.plain import conv


def upsample_conv(x: Array, kernel: Array, conv: Callable[..., Array] = conv) -> Array:
    """Nearest x2 upsampling, then a 3x3 convolution: [B H W C_in] -> [B 2H 2W C_out].

    The upsampled image repeats every pixel, so an output pixel depends on 2x2 input pixels only. The four phases are
    four 2x2 convolutions of the input, with 4/9 of the multiplications.
    """
    rows = _phase_kernels(kernel, axis=0)
    phases = [[(_phase_kernels(row, axis=1)[j], i, j) for j in (0, 1)] for i, row in enumerate(rows)]
    out = [[conv(x, k, ((1 - i, i), (1 - j, j))) for k, i, j in row] for row in phases]
    b, h, w, c = out[0][0].shape
    stacked = jnp.stack([jnp.stack(row, axis=3) for row in out], axis=2)  # [B H 2 W 2 C]
    return stacked.reshape(b, 2 * h, 2 * w, c)


def _phase_kernels(kernel: Array, axis: int) -> tuple[Array, Array]:
    """Three taps on repeated pixels are two taps on input pixels: (a, b, c) -> (a, b + c) and (a + b, c)."""
    a, b, c = jnp.split(kernel, 3, axis=axis)
    return jnp.concatenate([a, b + c], axis), jnp.concatenate([a + b, c], axis)


def conv_downsample(x: Array, kernel: Array, conv: Callable[..., Array] = conv) -> Array:
    """3x3 convolution, then 2x2 averaging: [B 2h 2w C_in] -> [B h w C_out].

    Together they are one 4x4 convolution of stride 2. With 2x2 blocks of pixels stored as channels, it is a 2x2
    convolution.
    """
    shifted = [jnp.pad(kernel, ((i, 1 - i), (j, 1 - j), (0, 0), (0, 0))) for i in (0, 1) for j in (0, 1)]
    taps = jnp.mean(jnp.stack(shifted), axis=0)  # [4 4 C_in C_out]
    c_in, c_out = kernel.shape[2:]
    taps = taps.reshape(2, 2, 2, 2, c_in, c_out).transpose(0, 2, 1, 3, 4, 5).reshape(2, 2, 4 * c_in, c_out)
    blocks = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    b, h, w, c = blocks.shape
    blocks = blocks.reshape(b, h // 2, 2, w // 2, 2, c).transpose(0, 1, 3, 2, 4, 5).reshape(b, h // 2, w // 2, 4 * c)
    return conv(blocks, taps, 'VALID')


def transposed_conv(x: Array, kernel: Array, conv: Callable[..., Array] = conv) -> Array:
    """Transposed 3x3 convolution of stride 2: [B H W C_in] -> [B 2H+1 2W+1 C_out].

    It inserts zeros between the pixels and applies a full 3x3 convolution. Even output rows use the first and last tap
    on two input rows, odd output rows the middle tap on one; the same holds for columns. The four phases are four small
    convolutions, with 9 multiplications per input pixel instead of 36.
    """
    taps, pads = (slice(0, None, 2), slice(1, 2)), ((1, 1), (0, 0))
    phases = [[conv(x, kernel[taps[i], taps[j]], (pads[i], pads[j])) for j in (0, 1)] for i in (0, 1)]
    b, h, w, c = phases[0][0].shape
    grown = [[jnp.pad(p, ((0, 0), (0, h - p.shape[1]), (0, w - p.shape[2]), (0, 0))) for p in row] for row in phases]
    stacked = jnp.stack([jnp.stack(row, axis=3) for row in grown], axis=2)  # [B h 2 w 2 C]
    return stacked.reshape(b, 2 * h, 2 * w, c)[:, :-1, :-1]


def upsample_smooth(x: Array) -> Array:
    """x2 upsampling with zeros between the pixels and the filter [1 3 3 1]/4 on each axis: [B H W C] -> [B 2H 2W C]."""
    for axis in (1, 2):
        before, after = _shifted(x, axis, (1, 0)), _shifted(x, axis, (0, 1))
        pair = jnp.stack([0.25 * before + 0.75 * x, 0.75 * x + 0.25 * after], axis=axis + 1)
        x = pair.reshape(*x.shape[:axis], 2 * x.shape[axis], *x.shape[axis + 1 :])
    return x


def _shifted(x: Array, axis: int, pad: tuple[int, int]) -> Array:
    """x shifted along an axis by zeros before and after (`pad`), at its own size."""
    padded = jnp.pad(x, [pad if i == axis else (0, 0) for i in range(x.ndim)])
    return lax.slice_in_dim(padded, pad[1], pad[1] + x.shape[axis], axis=axis)
