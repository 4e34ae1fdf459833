"""Stored outputs of the networks' original implementations, channels last, and the weights they were made with."""

from pathlib import Path

import numpy as np

DATA = Path(__file__).parent / 'data'
VGG16 = ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512))


def stored(name: str) -> dict[str, np.ndarray]:
    """The arrays of tests/data/NAME.npz, images [B C H W] turned to [B H W C]."""
    with np.load(DATA / f'{name}.npz') as arrays:
        return {key: np.moveaxis(arrays[key], 1, -1) if arrays[key].ndim == 4 else arrays[key] for key in arrays}


def vgg16_params() -> dict:
    """Random VGG-16 weights by the recipe that the stored outputs were made with."""
    rng, c_in, params = np.random.RandomState(16), 3, {'input': imagenet_input()}
    for block, (depth, channels) in enumerate(VGG16, 1):
        for place in range(1, depth + 1):
            kernel = rng.standard_normal((channels, c_in, 3, 3)) * np.sqrt(2 / (9 * c_in))
            bias = rng.standard_normal(channels) * 0.1
            params[f'conv{block}_{place}'] = {
                'kernel': np.float32(kernel.transpose(2, 3, 1, 0)),
                'bias': np.float32(bias),
            }
            c_in = channels
    return params


def imagenet_input() -> dict:
    """ImageNet normalisation of RGB in [0, 1] as a 1x1 convolution."""
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    return {'kernel': np.float32(np.diag(1 / std)), 'bias': np.float32(-mean / std)}


def relative_error(x, y) -> float:
    """Largest difference over the largest value."""
    return float(np.max(np.abs(np.asarray(x) - y)) / np.max(np.abs(y)))
