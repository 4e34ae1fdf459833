"""AlexNet feature extractor: torchvision's `alexnet` state_dict, whose classifier is left out."""

import numpy as np

from .states import Network, State, refuse_left_over, take
from .vgg import imagenet_input

_CONVOLUTIONS = {0: 11, 3: 5, 6: 3, 8: 3, 10: 3}  # number of the module: side of its kernel


def recognise(state: State) -> bool:
    """By the 11x11 kernels of its first layer: VGGs have the same names and 3x3 kernels."""
    first = state.get('features.0.weight')
    return isinstance(first, np.ndarray) and first.shape[2:] == (11, 11)


def convert(state: State) -> Network:
    """State dict -> network. ValueError with one sentence that names the tensor if it is not such an AlexNet."""
    params, channels, used = {'input': imagenet_input()}, [3], set()
    for i, (number, side) in enumerate(_CONVOLUTIONS.items(), 1):
        name = f'features.{number}'
        weight = take(state, f'{name}.weight', (None, channels[-1], side, side))
        channels.append(weight.shape[0])
        kernel = np.ascontiguousarray(weight.transpose(2, 3, 1, 0))
        params[f'conv{i}'] = {'kernel': kernel, 'bias': take(state, f'{name}.bias', (channels[-1],))}
        used |= {f'{name}.weight', f'{name}.bias'}
    rest = [name for name in state if not name.startswith('classifier.')]
    refuse_left_over(rest, used, 'AlexNet of torchvision')
    return Network('alexnet', {'channels': channels[1:]}, params)
