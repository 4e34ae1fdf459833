"""StyleGAN2 generators with skip connections: official TensorFlow networks, the files of the multi-code GAN prior's
authors, NVIDIA's PyTorch networks (stylegan2-ada and later) and rosinality's.

All store the same numbers under other names. NVIDIA's and rosinality's upsampling kernels are flipped, since they run a true
convolution where TensorFlow runs a correlation, and their style biases hold the 1 that the others leave out.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from . import styles
from .states import Network, State, Tensors, channel_rule, scaled
from .styles import Dense

_FILTER = np.outer((1, 3, 3, 1), (1, 3, 3, 1)) / 64


class _Layer(NamedTuple):
    kernel: str
    bias: str
    style: Dense
    strength: str = ''
    noise: str = ''


class _Layout(NamedTuple):
    """Where a file has what. layer(l), rgb(r): names. axes: of a stored kernel that are rows, columns, inputs, outputs.

    one: what is added to the style biases. flipped: upsampling kernels are stored flipped. leading: axes of one before a
    stored kernel. filters: tensors that are resampling filters or otherwise not needed.
    """

    dense: Callable[[int], Dense]
    w_avg: str
    const: str
    layer: Callable[[int], _Layer]
    rgb: Callable[[int], _Layer]
    axes: tuple[int, int, int, int]
    one: float
    flipped: bool
    leading: int = 0
    label: Dense | None = None
    filters: str = '(?!)'


def _r(l: int) -> int:
    return 4 * 2 ** (l // 2)


def _tf_layer(l: int) -> _Layer:
    name = f'synthesis/{_r(l)}x{_r(l)}/' + ('Conv' if l == 1 else 'Conv1' if l % 2 else 'Conv0_up')
    return _tf_tensors(name)._replace(strength=f'{name}/noise_strength', noise=f'synthesis/noise{l - 1}')


def _tf_tensors(name: str) -> _Layer:
    return _Layer(f'{name}/weight', f'{name}/bias', Dense(f'{name}/mod_weight', f'{name}/mod_bias', False))


def _authors_layer(name: str) -> _Layer:
    style = Dense(f'{name}.style.fc.weight', f'{name}.style.bias')
    return _Layer(f'{name}.weight', f'{name}.bias', style, f'{name}.noise_strength', f'{name}.noise')


def _nvidia_layer(name: str) -> _Layer:
    style = Dense(f'{name}.affine.weight', f'{name}.affine.bias')
    return _Layer(f'{name}.weight', f'{name}.bias', style, f'{name}.noise_strength', f'{name}.noise_const')


def _rosinality_layer(l: int) -> _Layer:
    name = 'conv1' if l == 1 else f'convs.{l - 2}'
    style = Dense(f'{name}.conv.modulation.weight', f'{name}.conv.modulation.bias')
    parts = f'{name}.activate.bias', style, f'{name}.noise.weight', f'noises.noise_{l - 1}'
    return _Layer(f'{name}.conv.weight', *parts)


def _rosinality_rgb(r: int) -> _Layer:
    name = 'to_rgb1' if r == 4 else f'to_rgbs.{r.bit_length() - 4}'
    style = Dense(f'{name}.conv.modulation.weight', f'{name}.conv.modulation.bias')
    return _Layer(f'{name}.conv.weight', f'{name}.bias', style)


_HWIO, _OIHW = (0, 1, 2, 3), (2, 3, 1, 0)
_LAYOUTS = {
    'tensorflow': _Layout(
        dense=lambda i: Dense(f'mapping/Dense{i}/weight', f'mapping/Dense{i}/bias', False),
        w_avg='dlatent_avg',
        const='synthesis/4x4/Const/const',
        layer=_tf_layer,
        rgb=lambda r: _tf_tensors(f'synthesis/{r}x{r}/ToRGB'),
        axes=_HWIO,
        one=1.0,
        flipped=False,
        label=Dense('mapping/LabelConcat/weight', '', False),
        filters='(synthesis/)?lod',
    ),
    'authors': _Layout(
        dense=lambda i: Dense(f'mapping.dense{i}.fc.weight', f'mapping.dense{i}.bias'),
        w_avg='truncation.w_avg',
        const='synthesis.early_layer.const',
        layer=lambda l: _authors_layer(f'synthesis.layer{l - 1}'),
        rgb=lambda r: _authors_layer(f'synthesis.output{r.bit_length() - 3}'),
        axes=_HWIO,
        one=1.0,
        flipped=False,
        label=Dense('mapping.label_weight', '', False),
        filters=r'synthesis\.(layer\d+\.filter|upsample)\.kernel',
    ),
    'nvidia': _Layout(
        dense=lambda i: Dense(f'mapping.fc{i}.weight', f'mapping.fc{i}.bias'),
        w_avg='mapping.w_avg',
        const='synthesis.b4.const',
        layer=lambda l: _nvidia_layer(f'synthesis.b{_r(l)}.conv{l % 2}'),
        rgb=lambda r: _nvidia_layer(f'synthesis.b{r}.torgb'),
        axes=_OIHW,
        one=0.0,
        flipped=True,
        label=Dense('mapping.embed.weight', 'mapping.embed.bias'),
        filters=r'synthesis\.b\d+\.(\w+\.)?resample_filter',
    ),
    'rosinality': _Layout(
        dense=lambda i: Dense(f'style.{i + 1}.weight', f'style.{i + 1}.bias'),
        w_avg='latent_avg',
        const='input.input',
        layer=_rosinality_layer,
        rgb=_rosinality_rgb,
        axes=_OIHW,
        one=0.0,
        flipped=True,
        leading=1,
        filters=r'(convs\.\d+\.conv\.blur|to_rgbs\.\d+\.upsample)\.kernel',
    ),
}


def recognise(state: State) -> bool:
    return any(layout.layer(1).style.weight in state for layout in _LAYOUTS.values())


def convert(state: State) -> Network:
    """State dict -> network. ValueError with one sentence that names the tensor if it is not such a StyleGAN2."""
    layout = next(layout for layout in _LAYOUTS.values() if layout.layer(1).style.weight in state)
    tensors = Tensors(state)
    mapping, latent_dim, classes = _mapping(tensors, layout)
    style_dim = mapping[f'dense{len(mapping) - bool(classes)}']['bias'].size
    num_layers = _num_layers(state, layout)
    params: dict = {'mapping': mapping, 'const': _const(tensors, layout.const)}
    channels = [params['const'].shape[-1]]
    for l in range(1, num_layers + 1):
        params[f'layer{l}'] = _layer(tensors, layout, l, channels[-1], style_dim)
        channels.append(params[f'layer{l}']['bias'].size)
        if l % 2:
            params[f'to_rgb{_r(l)}'] = _rgb(tensors, layout, _r(l), channels[-1], style_dim)
    params['w_avg'] = styles.average_style(tensors, layout.w_avg, style_dim, mapping, latent_dim)
    _check_filters(tensors, layout)
    tensors.finish(f'StyleGAN2 generator of {num_layers} layers')
    resolutions = [4, *map(_r, range(1, num_layers + 1))]
    configuration = {
        'resolution': resolutions[-1],
        'latent_dim': latent_dim,
        'style_dim': style_dim,
        **channel_rule(channels, resolutions),
        'mapping_layers': len(mapping) - bool(classes),
        'image_channels': params['to_rgb4']['bias'].size,
        **classes,
        **_clamp(state),
    }
    return Network('stylegan2', configuration, params)


def _num_layers(state: State, layout: _Layout) -> int:
    number = next(l for l in range(1, 100) if layout.layer(l).kernel not in state) - 1
    if number % 2 == 0 or not 3 <= number <= 17:
        raise ValueError(f'it has {number} layers; a StyleGAN2 has 3 (8 pixels), 5, 7, ... or 17 (1024 pixels).')
    return number


def _mapping(tensors: Tensors, layout: _Layout) -> tuple[dict, int, dict]:
    """-> its parameters, the size of z, and the configuration of a class-conditional network."""
    number = next(i for i in range(100) if layout.dense(i).weight not in tensors.state)
    if number == 0:
        raise ValueError(f'the tensor {layout.dense(0).weight!r} is missing; the file does not hold the whole network.')
    params = styles.mapping(tensors, [layout.dense(i) for i in range(number)], bias_gain=math.sqrt(2))
    width = params['dense1']['kernel'].shape[0]
    if layout.label is None or layout.label.weight not in tensors.state:
        return params, width, {}
    params['embed'] = _embed(tensors, layout.label)
    num_classes, label_dim = params['embed']['kernel'].shape
    norm = 'alone' if layout.label.bias else 'together'
    classes = {'num_classes': num_classes, 'label_dim': label_dim, 'label_norm': norm}
    return params, width - label_dim, classes


def _embed(tensors: Tensors, at: Dense) -> dict:
    """The label's embedding [K E]; TensorFlow's has neither a bias nor an equalised learning rate."""
    if at.bias:
        return styles.dense(tensors, at, None, None)
    kernel = tensors.take(at.weight, (None, None))
    return {'kernel': kernel, 'bias': np.zeros(kernel.shape[1], np.float32)}


def _const(tensors: Tensors, name: str) -> np.ndarray:
    """[1 C 4 4] or [C 4 4] -> [4 4 C]."""
    leading = (1,) if getattr(tensors.state.get(name), 'ndim', 4) == 4 else ()
    const = tensors.take(name, (*leading, None, 4, 4))
    return np.ascontiguousarray(const.reshape(-1, 4, 4).transpose(1, 2, 0))


def _kernel(tensors: Tensors, layout: _Layout, name: str, size: int, c_in: int, c_out: int | None) -> np.ndarray:
    """-> [size size C_in C_out], scaled by 1 / sqrt(fan_in)."""
    shape: list[int | None] = [None] * 4
    for axis, length in zip(layout.axes, (size, size, c_in, c_out), strict=True):
        shape[axis] = length
    weight = tensors.take(name, (*[1] * layout.leading, *shape))
    kernel = weight.reshape(weight.shape[layout.leading :]).transpose(layout.axes)
    return scaled(kernel, 1 / math.sqrt(size * size * c_in))


def _style(tensors: Tensors, layout: _Layout, at: Dense, style_dim: int, channels: int) -> dict:
    params = styles.dense(tensors, at, style_dim, channels)
    return {'kernel': params['kernel'], 'bias': params['bias'] + np.float32(layout.one)}


def _layer(tensors: Tensors, layout: _Layout, l: int, c_in: int, style_dim: int) -> dict:
    at = layout.layer(l)
    kernel = _kernel(tensors, layout, at.kernel, 3, c_in, None)
    if layout.flipped and l % 2 == 0:
        kernel = np.ascontiguousarray(kernel[::-1, ::-1])
    return {
        'kernel': kernel,
        'bias': tensors.take(at.bias, (kernel.shape[-1],)),
        'style': _style(tensors, layout, at.style, style_dim, c_in),
        'noise': {'image': styles.noise(tensors, at.noise, _r(l)), 'strength': _strength(tensors, at)},
    }


def _strength(tensors: Tensors, at: _Layer) -> np.ndarray:
    if at.noise not in tensors.state and at.strength not in tensors.state:
        return np.zeros(1, np.float32)  # a network without noise
    shape = (1,) * getattr(tensors.state.get(at.strength), 'ndim', 0)
    return tensors.take(at.strength, shape[:1]).reshape(1)


def _rgb(tensors: Tensors, layout: _Layout, r: int, c_in: int, style_dim: int) -> dict:
    at = layout.rgb(r)
    kernel = _kernel(tensors, layout, at.kernel, 1, c_in, None)[0, 0]
    channels = kernel.shape[1]
    bias = tensors.take(at.bias, (1, channels, 1, 1) if layout.leading else (channels,)).reshape(channels)
    return {'kernel': kernel, 'bias': bias, 'style': _style(tensors, layout, at.style, style_dim, c_in)}


def _check_filters(tensors: Tensors, layout: _Layout) -> None:
    """Stored resampling filters must be [1 3 3 1]'s, up to their gain, which the network applies itself."""
    for name, value in tensors.state.items():
        if name.endswith('kernel') or name.endswith('resample_filter'):
            kernel = np.asarray(value, np.float32)
            if kernel.size != 16 or not np.allclose(kernel.reshape(4, 4) / kernel.sum(), _FILTER, atol=1e-5):
                raise ValueError(
                    f'its resampling filter {name!r} is not the [1 3 3 1] of StyleGAN2; it cannot be used.'
                )
    tensors.ignore(layout.filters)


def _clamp(state: State) -> dict:
    """NVIDIA's PyTorch networks may limit their activations."""
    attributes = state.get('attributes')
    modules = attributes.values() if isinstance(attributes, dict) else ()
    limits = {float(own['conv_clamp']) for own in modules if own.get('conv_clamp')}
    if len(limits) > 1:
        raise ValueError(f'its layers have different limits of activations {sorted(limits)}; one for all is expected.')
    return {'clamp': limits.pop()} if limits else {}
