"""StyleGAN generators: official TensorFlow networks and the files of the multi-code GAN prior's authors."""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from . import styles
from .states import Network, State, Tensors, channel_rule, scaled
from .styles import Dense

_FUSED_FROM = 128  # pixels from which `fused_scale='auto'` upsamples by a transposed convolution


class _Layer(NamedTuple):
    kernel: str
    bias: str
    style: Dense
    strength: str
    noise: str
    fused: str = ''  # name of a kernel [3 3 C_in C_out] in fused form


class _Layout(NamedTuple):
    """Where a file has what. layer(l): names; rgb(l): names of the RGB layer, l layers in all. axes: of a stored kernel."""

    dense: Callable[[int], Dense]
    w_avg: str
    const: str
    layer: Callable[[int], _Layer]
    rgb: Callable[[int], Dense]
    axes: tuple[int, int, int, int]
    known: str
    label: str = ''


def _r(l: int) -> int:
    return 4 * 2 ** ((l - 1) // 2)


def _tf_layer(l: int) -> _Layer:
    name = f'synthesis/{_r(l)}x{_r(l)}/' + ({1: 'Const', 2: 'Conv'}.get(l) or ('Conv0_up' if l % 2 else 'Conv1'))
    style = Dense(f'{name}/StyleMod/weight', f'{name}/StyleMod/bias', False)
    return _Layer(f'{name}/weight', f'{name}/bias', style, f'{name}/Noise/weight', f'synthesis/noise{l - 1}')


def _authors_layer(l: int) -> _Layer:
    name = f'synthesis.layer{l - 1}'
    style = Dense(f'{name}.epilogue.style_mod.dense.fc.weight', f'{name}.epilogue.style_mod.dense.wscale.bias')
    noise = f'{name}.epilogue.apply_noise.weight', f'{name}.epilogue.apply_noise.noise'
    return _Layer(f'{name}.conv.weight', f'{name}.epilogue.bias', style, *noise, fused=f'{name}.weight')


_LAYOUTS = {
    'tensorflow': _Layout(
        dense=lambda i: Dense(f'mapping/Dense{i}/weight', f'mapping/Dense{i}/bias', False),
        w_avg='dlatent_avg',
        const='synthesis/4x4/Const/const',
        layer=_tf_layer,
        rgb=lambda l: Dense('synthesis/ToRGB_lod0/weight', 'synthesis/ToRGB_lod0/bias'),
        axes=(0, 1, 2, 3),
        known=r'(synthesis/)?lod|synthesis/ToRGB_lod\d/(weight|bias)',
        label='mapping/LabelConcat/weight',
    ),
    'authors': _Layout(
        dense=lambda i: Dense(f'mapping.dense{i}.fc.weight', f'mapping.dense{i}.wscale.bias'),
        w_avg='truncation.w_avg',
        const='synthesis.layer0.const',
        layer=_authors_layer,
        rgb=lambda l: Dense(f'synthesis.output{l // 2 - 1}.conv.weight', f'synthesis.output{l // 2 - 1}.bias'),
        axes=(2, 3, 1, 0),
        known=r'synthesis\.(lod|layer\d+\.blur\.kernel|output\d\.(bias|conv\.weight))',
        label='mapping.label_weight',
    ),
}


def recognise(state: State) -> bool:
    return any(layout.layer(1).style.weight in state for layout in _LAYOUTS.values())


def convert(state: State) -> Network:
    """State dict -> network. ValueError with one sentence that names the tensor if it is not a StyleGAN."""
    layout = next(layout for layout in _LAYOUTS.values() if layout.layer(1).style.weight in state)
    tensors = Tensors(state)
    _check_grown(state)
    number = next(i for i in range(100) if layout.dense(i).weight not in state)
    if number == 0:
        raise ValueError(f'the tensor {layout.dense(0).weight!r} is missing; the file does not hold the whole network.')
    mapping = styles.mapping(tensors, [layout.dense(i) for i in range(number)], bias_gain=1.0)
    style_dim, latent_dim = mapping[f'dense{number}']['bias'].size, mapping['dense1']['kernel'].shape[0]
    classes = {}
    if layout.label in state:
        kernel = tensors.take(layout.label, (None, None))
        mapping['embed'] = {'kernel': kernel, 'bias': np.zeros(kernel.shape[1], np.float32)}
        classes = {'num_classes': kernel.shape[0], 'label_dim': kernel.shape[1]}
        latent_dim -= kernel.shape[1]
    num_layers = _num_layers(state, layout)
    params: dict = {'mapping': mapping}
    channels: list[int] = []
    for l in range(1, num_layers + 1):
        params[f'layer{l}'] = _layer(tensors, layout, l, channels[-1] if channels else 0, style_dim)
        channels.append(params[f'layer{l}']['bias'].size)
    params['to_rgb'] = _rgb(tensors, layout, num_layers, channels[-1])
    params['w_avg'] = styles.average_style(tensors, layout.w_avg, style_dim, mapping, latent_dim)
    tensors.ignore(layout.known)
    tensors.finish(f'StyleGAN generator of {num_layers} layers')
    resolutions = [_r(l) for l in range(1, num_layers + 1)]
    configuration = {
        'resolution': resolutions[-1],
        'latent_dim': latent_dim,
        'style_dim': style_dim,
        **channel_rule(channels, resolutions),
        'mapping_layers': number,
        'image_channels': params['to_rgb']['bias'].size,
        **classes,
    }
    return Network('stylegan', configuration, params)


def _num_layers(state: State, layout: _Layout) -> int:
    number = next(l for l in range(2, 100) if layout.layer(l).style.weight not in state) - 1
    if number % 2 or not 4 <= number <= 18:
        raise ValueError(f'it has {number} layers; a StyleGAN has 4 (8 pixels), 6, 8, ... or 18 (1024 pixels).')
    return number


def _check_grown(state: State) -> None:
    for name in ('lod', 'synthesis/lod', 'synthesis.lod'):
        value = state.get(name)
        if isinstance(value, np.ndarray) and value.size == 1 and float(value.reshape(())) != 0:
            raise ValueError(f'it was saved while the network was growing ({name} is not 0); only a grown one is used.')


def _layer(tensors: Tensors, layout: _Layout, l: int, c_in: int, style_dim: int) -> dict:
    at = layout.layer(l)
    if l == 1:
        const = tensors.take(layout.const, (1, None, 4, 4))
        params = {'const': np.ascontiguousarray(const[0].transpose(1, 2, 0))}
    else:
        params = {'kernel': _kernel(tensors, layout, at, l, c_in)}
    channels = next(iter(params.values())).shape[-1]
    strength = tensors.take(at.strength, (channels,))
    return {
        **params,
        'bias': tensors.take(at.bias, (channels,)),
        'style': styles.dense(tensors, at.style, style_dim, 2 * channels),
        'noise': {'image': styles.noise(tensors, at.noise, _r(l)), 'strength': strength},
    }


def _kernel(tensors: Tensors, layout: _Layout, at: _Layer, l: int, c_in: int) -> np.ndarray:
    """-> [3 3 C_in C_out]; a fused one, which upsamples by a transposed convolution, is flipped."""
    if at.fused and at.fused in tensors.state and l % 2:
        kernel = tensors.take(at.fused, (3, 3, c_in, None))[::-1, ::-1]
    else:
        shape: list[int | None] = [None] * 4
        for axis, length in zip(layout.axes, (3, 3, c_in, None), strict=True):
            shape[axis] = length
        kernel = tensors.take(at.kernel, tuple(shape)).transpose(layout.axes)
        if not at.fused and l % 2 and _is_fused(tensors.state, _r(l)):
            kernel = kernel[::-1, ::-1]
    return scaled(kernel, math.sqrt(2) / math.sqrt(9 * c_in))


def _is_fused(state: State, resolution: int) -> bool:
    """Whether a TensorFlow network upsamples to `resolution` by a transposed convolution: its `fused_scale` says it."""
    found = state.get('static_kwargs')
    kwargs = found if isinstance(found, dict) else {}
    nested = kwargs.get('synthesis')
    value = (kwargs | (nested if isinstance(nested, dict) else {})).get('fused_scale', 'auto')
    return resolution >= _FUSED_FROM if value == 'auto' else bool(value)


def _rgb(tensors: Tensors, layout: _Layout, num_layers: int, c_in: int) -> dict:
    at = layout.rgb(num_layers)
    shape: list[int | None] = [None] * 4
    for axis, length in zip(layout.axes, (1, 1, c_in, None), strict=True):
        shape[axis] = length
    kernel = tensors.take(at.weight, tuple(shape)).transpose(layout.axes)[0, 0]
    return {'kernel': scaled(kernel, 1 / math.sqrt(c_in)), 'bias': tensors.take(at.bias, (kernel.shape[1],))}
