"""PGGAN generators: official TensorFlow networks and the state dicts of the multi-code GAN prior's authors.

The factor of the equalised learning rate, gain / sqrt(fan_in), is folded into the kernels. A fused layer is a transposed
convolution of stride 2 by the sum of the four shifts of the kernel, which is nearest upsampling followed by a convolution
with the kernel flipped in both axes.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from .states import Network, State, Tensors, channel_rule, scaled

_MAX_LAYERS = 18  # 1024 x 1024


class _Layout(NamedTuple):
    """Where a file has what. first(tensors) -> [D 4 4 C]; kernel(tensors, l, C_in) -> [3 3 C_in C_out];
    rgb(tensors, L, C_in) -> [C_in channels], all as stored; bias(state, l), rgb_bias(L): names. known: of what is not needed."""

    first: Callable[[Tensors], np.ndarray]
    kernel: Callable[[Tensors, int, int], np.ndarray]
    rgb: Callable[[Tensors, int, int], np.ndarray]
    bias: Callable[[State, int], str]
    rgb_bias: Callable[[int], str]
    known: str


def recognise(state: State) -> bool:
    return any(layout.bias(state, l) in state for layout in _LAYOUTS for l in (1, 2))


def convert(state: State) -> Network:
    """State dict -> network. ValueError with one sentence that names the tensor if it is not a PGGAN."""
    layout = next(layout for layout in _LAYOUTS if any(layout.bias(state, l) in state for l in (1, 2)))
    tensors = Tensors(state)
    num_layers = _num_layers(state, layout)
    params: dict[str, dict] = {}
    for l in range(1, num_layers + 1):
        if l == 1:
            kernel = layout.first(tensors)
            kernel = scaled(kernel, math.sqrt(2 / (16 * kernel.shape[0])))
        else:
            c_in = params[f'layer{l - 1}']['bias'].size
            kernel = scaled(layout.kernel(tensors, l, c_in), math.sqrt(2 / (9 * c_in)))
        params[f'layer{l}'] = {'kernel': kernel, 'bias': tensors.take(layout.bias(state, l), (kernel.shape[-1],))}
    tensors.ignore(layout.known)
    tensors.finish(f'PGGAN generator of {num_layers} layers')
    _check_grown(tensors)
    c_in = params[f'layer{num_layers}']['bias'].size
    kernel = scaled(layout.rgb(tensors, num_layers, c_in), 1 / math.sqrt(c_in))
    bias = tensors.take(layout.rgb_bias(num_layers), (kernel.shape[1],))
    params['to_rgb'] = {'kernel': kernel, 'bias': bias}
    return Network('pggan', _configuration(params, num_layers), params)


def _num_layers(state: State, layout: _Layout) -> int:
    count = max(l for l in range(1, 100) if layout.bias(state, l) in state)
    if count % 2 or not 4 <= count <= _MAX_LAYERS:
        raise ValueError(f'it has {count} layers; a PGGAN has two for each resolution 4, 8, ..., at least 4 in all.')
    return count


def _check_grown(tensors: Tensors) -> None:
    if 'lod' in tensors.state and (lod := float(tensors.take('lod', ()))) != 0:
        raise ValueError(f'it was saved while the network was growing (lod is {lod:g}); only a grown one (0) is used.')


def _authors_first(tensors: Tensors) -> np.ndarray:
    """A 4x4 convolution [C D 4 4] of the 1x1 latent with padding 3, which flips it."""
    return tensors.take('layer0.conv.weight', (None, None, 4, 4))[:, :, ::-1, ::-1].transpose(1, 2, 3, 0)


def _authors_kernel(tensors: Tensors, l: int, c_in: int) -> np.ndarray:
    """Plain [C_out C_in 3 3], or fused [3 3 C_in C_out] where the layer upsamples."""
    fused = f'layer{l - 1}.weight'
    if fused in tensors.state and l % 2:
        return tensors.take(fused, (3, 3, c_in, None))[::-1, ::-1]
    return tensors.take(f'layer{l - 1}.conv.weight', (None, c_in, 3, 3)).transpose(2, 3, 1, 0)


def _authors_rgb(tensors: Tensors, num_layers: int, c_in: int) -> np.ndarray:
    return tensors.take(f'output{num_layers // 2 - 1}.conv.weight', (None, c_in, 1, 1))[:, :, 0, 0].T


def _tf_name(l: int, fused: bool = False) -> str:
    r = 4 * 2 ** ((l - 1) // 2)
    return f'{r}x{r}/' + (
        {1: 'Dense', 2: 'Conv'}.get(l) or ('Conv1' if l % 2 == 0 else 'Conv0_up' if fused else 'Conv0')
    )


def _tf_bias(state: State, l: int) -> str:
    fused = f'{_tf_name(l, fused=True)}/bias'
    return fused if fused in state else f'{_tf_name(l)}/bias'


def _tf_first(tensors: Tensors) -> np.ndarray:
    """A dense layer [D C*16], whose outputs are [C 4 4]."""
    weight = tensors.take('4x4/Dense/weight', (None, None))
    if weight.shape[1] % 16:
        raise ValueError(
            f"the tensor '4x4/Dense/weight' has {weight.shape[1]} columns, which are no maps of 4x4 pixels."
        )
    return weight.reshape(weight.shape[0], -1, 4, 4).transpose(0, 2, 3, 1)


def _tf_kernel(tensors: Tensors, l: int, c_in: int) -> np.ndarray:
    """Plain [3 3 C_in C_out], or fused [3 3 C_out C_in] where the layer upsamples."""
    fused = f'{_tf_name(l, fused=True)}/weight'
    if l % 2 and fused in tensors.state:
        return tensors.take(fused, (3, 3, None, c_in))[::-1, ::-1].swapaxes(2, 3)
    return tensors.take(f'{_tf_name(l)}/weight', (3, 3, c_in, None))


def _tf_rgb(tensors: Tensors, num_layers: int, c_in: int) -> np.ndarray:
    return tensors.take('ToRGB_lod0/weight', (1, 1, c_in, None))[0, 0]


_LAYOUTS = (
    _Layout(
        first=_authors_first,
        kernel=_authors_kernel,
        rgb=_authors_rgb,
        bias=lambda state, l: f'layer{l - 1}.wscale.bias',
        rgb_bias=lambda num_layers: f'output{num_layers // 2 - 1}.wscale.bias',
        known=r'lod|output\d\.(conv\.weight|wscale\.bias)',
    ),
    _Layout(
        first=_tf_first,
        kernel=_tf_kernel,
        rgb=_tf_rgb,
        bias=_tf_bias,
        rgb_bias=lambda num_layers: 'ToRGB_lod0/bias',
        known=r'lod|ToRGB_lod\d/(weight|bias)',
    ),
)


def _configuration(params: dict, num_layers: int) -> dict:
    channels = [params[f'layer{l}']['bias'].size for l in range(1, num_layers + 1)]
    resolutions = [4 * 2 ** ((l - 1) // 2) for l in range(1, num_layers + 1)]
    return {
        'resolution': resolutions[-1],
        'latent_dim': params['layer1']['kernel'].shape[0],
        **channel_rule(channels, resolutions),
        'image_channels': params['to_rgb']['bias'].size,
    }
