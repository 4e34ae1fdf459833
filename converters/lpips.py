"""The heads of LPIPS v0.1: `lin{k}.model.1.weight` [1 C 1 1], a weight for each channel of each stage."""

import re

import numpy as np

from .states import Network, State, refuse_left_over, take
from .unpickling import quote

_NAME = 'lin{}.model.1.weight'
_STAGES: dict[tuple[int, ...], list[str]] = {  # what the heads weigh tells which network they belong to
    (64, 128, 256, 512, 512): ['relu1_2', 'relu2_2', 'relu3_3', 'relu4_3', 'relu5_3'],  # VGG-16
    (64, 192, 384, 256, 256): ['relu1', 'relu2', 'relu3', 'relu4', 'relu5'],  # AlexNet
}
_MAX_HEADS = 16


def recognise(state: State) -> bool:
    return any(re.fullmatch(r'lin\d{1,2}\.model\.1\.weight', name) for name in state)


def convert(state: State) -> Network:
    """State dict -> heads. ValueError with one sentence if they are not those of VGG-16 or AlexNet."""
    count = next((k for k in range(1, _MAX_HEADS) if _NAME.format(k) not in state), _MAX_HEADS)
    heads = [_head(state, _NAME.format(k)) for k in range(count)]
    refuse_left_over(state, {_NAME.format(k) for k in range(count)}, f'set of {count} LPIPS heads')
    channels = [head.size for head in heads]
    if tuple(channels) not in _STAGES:
        raise ValueError(
            f'it holds LPIPS heads for {channels} channels; those for VGG-16 or AlexNet are expected, with '
            f'{" or ".join(str(list(known)) for known in _STAGES)}.'
        )
    layers = _STAGES[tuple(channels)]
    return Network('lpips', {'layers': layers, 'channels': channels}, dict(zip(layers, heads, strict=True)))


def _head(state: State, name: str) -> np.ndarray:
    """Weights [C] that add squares: a negative one would make different images closer than equal ones."""
    weight = take(state, name, (1, None, 1, 1)).reshape(-1)
    if (weight < 0).any():
        raise ValueError(f'the tensor {quote(name)} holds negative weights; those of LPIPS v0.1 have none.')
    return weight
