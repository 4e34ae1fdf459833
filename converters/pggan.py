"""PGGAN generators from the state dicts of the multi-code GAN prior's authors.

`layer{l-1}` holds layer l, `output{k}` the RGB layer of resolution 4 * 2^k, of which only the last is used. The factor of
the equalised learning rate, gain / sqrt(fan_in), is folded into the kernels.
"""

import math
import re

import numpy as np

from converters.states import Network, State, refuse_left_over, take

_MAX_LAYERS = 18  # 1024 x 1024


def recognise(state: State) -> bool:
    return 'layer0.wscale.bias' in state or 'layer1.wscale.bias' in state


def convert(state: State) -> Network:
    """State dict -> network. ValueError with one sentence that names the tensor if it is not a PGGAN."""
    num_layers = _num_layers(state)
    last_output = num_layers // 2 - 1
    params: dict[str, dict] = {}
    used = {'lod'}
    for l in range(1, num_layers + 1):
        name, kernel = _first_kernel(state) if l == 1 else _kernel(state, l, params[f'layer{l - 1}']['bias'].size)
        bias = take(state, f'layer{l - 1}.wscale.bias', (kernel.shape[-1],))
        params[f'layer{l}'] = {'kernel': kernel, 'bias': bias}
        used |= {name, f'layer{l - 1}.wscale.bias'}
    for k in range(last_output + 1):
        used |= {f'output{k}.conv.weight', f'output{k}.wscale.bias'}
    refuse_left_over(state, used, f'PGGAN generator of {num_layers} layers')
    _check_grown(state)
    params['to_rgb'] = _to_rgb(state, last_output, params[f'layer{num_layers}']['bias'].size)
    return Network('pggan', _configuration(params, num_layers), params)


def _num_layers(state: State) -> int:
    found = [re.match(r'layer(\d{1,2})\.', name) for name in state]
    count = 1 + max(int(match[1]) for match in found if match)
    if count % 2 or not 4 <= count <= _MAX_LAYERS:
        raise ValueError(f'it has {count} layers; a PGGAN has two for each resolution 4, 8, ..., at least 4 in all.')
    return count


def _check_grown(state: State) -> None:
    if 'lod' in state and (lod := float(take(state, 'lod', ()))) != 0:
        raise ValueError(f'it was saved while the network was growing (lod is {lod:g}); only a grown one (0) is used.')


def _first_kernel(state: State) -> tuple[str, np.ndarray]:
    """torch: 4x4 convolution [C D 4 4] of the 1x1 latent with padding 3, which flips it: -> [D 4 4 C]."""
    name = 'layer0.conv.weight'
    weight = take(state, name, (None, None, 4, 4))
    return name, _scaled(weight[:, :, ::-1, ::-1].transpose(1, 2, 3, 0), math.sqrt(2), fan_in=16 * weight.shape[1])


def _kernel(state: State, l: int, c_in: int) -> tuple[str, np.ndarray]:
    """-> [3 3 C_in C_out]. torch: plain [C_out C_in 3 3], or fused [3 3 C_in C_out] where the layer upsamples.

    A fused layer is a transposed convolution of stride 2 by the sum of the four shifts of the kernel, which is nearest
    upsampling followed by a convolution with the kernel flipped in both axes.
    """
    fused = f'layer{l - 1}.weight'
    if fused in state and l % 2:
        return fused, _scaled(take(state, fused, (3, 3, c_in, None))[::-1, ::-1], math.sqrt(2), fan_in=9 * c_in)
    name = f'layer{l - 1}.conv.weight'
    return name, _scaled(take(state, name, (None, c_in, 3, 3)).transpose(2, 3, 1, 0), math.sqrt(2), fan_in=9 * c_in)


def _to_rgb(state: State, k: int, c_in: int) -> dict:
    weight = take(state, f'output{k}.conv.weight', (None, c_in, 1, 1))
    bias = take(state, f'output{k}.wscale.bias', (weight.shape[0],))
    return {'kernel': _scaled(weight[:, :, 0, 0].T, 1.0, fan_in=c_in), 'bias': bias}


def _scaled(weight: np.ndarray, gain: float, fan_in: int) -> np.ndarray:
    """weight * gain / sqrt(fan_in)."""
    return np.multiply(weight, gain / math.sqrt(fan_in), dtype=np.float32, order='C')


def _configuration(params: dict, num_layers: int) -> dict:
    """The numbers of the rule channels(r) = min(fmaps_base // r, fmaps_max), which must give every layer its channels."""
    channels = [params[f'layer{l}']['bias'].size for l in range(1, num_layers + 1)]
    resolutions = [4 * 2 ** ((l - 1) // 2) for l in range(1, num_layers + 1)]
    fmaps_max = channels[0]
    fmaps_base = max(c * r for c, r in zip(channels, resolutions, strict=True))
    if channels != [min(fmaps_base // r, fmaps_max) for r in resolutions]:
        raise ValueError(f'its layers have {channels} channels, which no PGGAN has: they halve with the resolution.')
    return {
        'resolution': resolutions[-1],
        'latent_dim': params['layer1']['kernel'].shape[0],
        'fmaps_base': fmaps_base,
        'fmaps_max': fmaps_max,
        'image_channels': params['to_rgb']['bias'].size,
    }
