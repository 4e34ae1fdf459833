"""Chooses between the plain and the Winograd convolution of each layer. Channels last ([B H W C])."""

from collections.abc import Callable, Mapping
from typing import Any

from flax import linen as nn
from jax import Array

from mgan_jax.models.convolutions.phases import upsample_conv
from mgan_jax.models.convolutions.winograd import transform_kernel, winograd_conv, winograd_upsample_conv

# The smallest geometric mean of C_in and C_out with a Winograd convolution, by whether the layer upsamples.
_LEAST_CHANNELS = {False: 96, True: 128}


def add_transformed_kernels(params: dict[str, Any], layers: Mapping[str, bool]) -> dict[str, Any]:
    """Adds transformed kernels to a network's weights, in the layers where Winograd convolutions are faster on CPUs.

    layers: {name of a 3x3 convolution: whether it upsamples}, for those with at least 8x8 output pixels. With few pixels
    or channels the transforms cost more than they save. params: NumPy or JAX arrays; the transformed kernels are of the
    same kind. The plain kernels stay.
    """

    def beside(layer: dict[str, Any], upsample: bool) -> dict[str, Any]:
        c_in, c_out = layer['kernel'].shape[2:]
        pays = c_in * c_out >= _LEAST_CHANNELS[upsample] ** 2
        return layer | {'transformed': transform_kernel(layer['kernel'], upsample)} if pays else layer

    return params | {name: beside(params[name], upsample) for name, upsample in layers.items()}


def convolve_layer(
    layer: nn.Module,
    x: Array,
    kernel: Array,
    conv: Callable[..., Array],
    upsample: bool = False,
    padding: str = 'SAME',
) -> Array:
    """The 3x3 convolution of a layer: [B H W C_in] -> [B H W C_out], or [B 2H 2W C_out] after nearest x2 upsampling.

    It uses the layer's transformed kernel if `add_transformed_kernels` has added one, else `kernel` and `conv`.
    padding: 'SAME' or 'VALID', without upsampling only.
    """
    transformed: Array | None = layer.get_variable('params', 'transformed')
    if transformed is None:
        return upsample_conv(x, kernel, conv) if upsample else conv(x, kernel, padding)
    if upsample:
        return winograd_upsample_conv(x, transformed)
    same = winograd_conv(x, transformed)
    return same if padding == 'SAME' else same[:, 1:-1, 1:-1]
