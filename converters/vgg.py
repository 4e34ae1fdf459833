"""VGG feature extractors: torchvision's VGG-16 and VGG-19, and the normalised VGG-19 of style transfer.

Both are numbered lists of modules of which only the convolutions have weights, so the numbers tell where the pooling is.
The first parameters, `input`, prepare an RGB image in [0, 1] as a 1x1 convolution.
"""

import itertools
import re
from collections.abc import Callable

import numpy as np

from .states import Network, State, refuse_left_over, take

_MEAN = np.array([0.485, 0.456, 0.406])  # of ImageNet, as torchvision's networks were trained
_STD = np.array([0.229, 0.224, 0.225])
_MAX_CONVOLUTIONS = 16


def recognise(state: State) -> bool:
    return _is_torchvision(state) or _is_normalised(state)


def convert(state: State) -> Network:
    """State dict -> network. ValueError with one sentence that names the tensor if it is not such a VGG."""
    if _is_torchvision(state):
        return _torchvision(state)
    return _normalised(state)


def _is_torchvision(state: State) -> bool:
    first = state.get('features.0.weight')
    return isinstance(first, np.ndarray) and first.shape[2:] == (3, 3) and 'features.0.bias' in state


def _is_normalised(state: State) -> bool:
    preprocessing = state.get('0.weight')
    return isinstance(preprocessing, np.ndarray) and preprocessing.shape == (3, 3, 1, 1) and '2.weight' in state


def _torchvision(state: State) -> Network:
    """A convolution and its ReLU are two modules (`features.0`, `features.2`), a pooling in between a third."""
    if any(name.endswith('.running_mean') for name in state):
        raise ValueError('it is a VGG with batch normalisation (_bn); the plain VGG-16 or VGG-19 is expected.')
    state = {name: value for name, value in state.items() if not name.startswith('classifier.')}
    return _network(state, 'features.{}'.format, 0, 2, imagenet_input(), 'zero')


def imagenet_input() -> dict[str, np.ndarray]:
    """ImageNet normalisation of RGB in [0, 1] as a 1x1 convolution."""
    return {'kernel': np.diag(1 / _STD).astype(np.float32), 'bias': (-_MEAN / _STD).astype(np.float32)}


def _normalised(state: State) -> Network:
    """Module 0 prepares the image; then a padding, a convolution and its ReLU are three modules, a pooling a fourth."""
    weight = take(state, '0.weight', (3, 3, 1, 1))
    preprocessing = {'kernel': np.ascontiguousarray(weight[:, :, 0, 0].T), 'bias': take(state, '0.bias', (3,))}
    rest = {name: value for name, value in state.items() if name not in ('0.weight', '0.bias')}
    return _network(rest, str, 2, 3, preprocessing, 'reflect')


def _network(
    state: State, module: Callable[[int], str], first: int, step: int, preprocessing: dict, padding: str
) -> Network:
    """step: modules from a convolution to the next of its block; one more to the first of the next block."""
    blocks = _blocks(state, module, first, step)
    params, used, channels = {'input': preprocessing}, set(), 3
    for b, block in enumerate(blocks, start=1):
        for c, number in enumerate(block, start=1):
            name = module(number)
            width = None if c == 1 else channels
            weight = take(state, f'{name}.weight', (width, channels, 3, 3))
            channels = weight.shape[0]
            kernel = np.ascontiguousarray(weight.transpose(2, 3, 1, 0))
            params[f'conv{b}_{c}'] = {'kernel': kernel, 'bias': take(state, f'{name}.bias', (channels,))}
            used |= {f'{name}.weight', f'{name}.bias'}
    refuse_left_over(state, used, f'VGG of {sum(map(len, blocks))} convolutions')
    configuration = {
        'depths': [len(block) for block in blocks],
        'channels': [params[f'conv{b}_1']['bias'].size for b in range(1, len(blocks) + 1)],
        'padding': padding,
        'attributes': [],
    }
    return Network('vgg', configuration, params)


def _blocks(state: State, module: Callable[[int], str], first: int, step: int) -> list[list[int]]:
    """The numbers of the convolutions, one list for each block."""
    pattern = re.escape(module(0)).replace('0', r'(\d{1,2})') + r'\.weight'
    numbers = sorted(int(match[1]) for match in (re.fullmatch(pattern, name) for name in state) if match)
    if numbers[0] != first or len(numbers) > _MAX_CONVOLUTIONS:
        raise ValueError(f'it has {len(numbers)} convolutions from {module(numbers[0])} on; a VGG has 1 to 16.')
    blocks = [[first]]
    for before, number in itertools.pairwise(numbers):
        if number - before == step:
            blocks[-1].append(number)
        elif number - before == step + 1:
            blocks.append([number])
        else:
            raise ValueError(f'{module(before)} and {module(number)} are not neighbouring convolutions of a VGG.')
    return blocks
