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


def convolve(x, kernel, bias, stride=1, padding=1) -> np.ndarray:
    """Convolution with zero padding, then ReLU, tap by tap: [B H W C_in], [k k C_in C] -> [B h w C]."""
    side = kernel.shape[0]
    x = np.pad(np.asarray(x, np.float64), ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    height, width = ((size - side) // stride + 1 for size in x.shape[1:3])
    total = np.zeros((len(x), height, width, kernel.shape[3])) + bias
    for i in range(side):
        for j in range(side):
            total += x[:, i:, j:][:, ::stride, ::stride][:, :height, :width] @ kernel[i, j]
    return np.maximum(total, 0)


def max_pool(x, side, stride=2) -> np.ndarray:
    """The largest of side x side pixels, where they fit: [B H W C] -> [B h w C]."""
    windows = np.lib.stride_tricks.sliding_window_view(x, (side, side), axis=(1, 2))
    return windows[:, ::stride, ::stride].max(axis=(4, 5))


def normalised(params, images) -> np.ndarray:
    return (np.asarray(images, np.float64) + 1) / 2 @ params['input']['kernel'] + params['input']['bias']


def alexnet_maps(params, images) -> list[np.ndarray]:
    """relu1 to relu5 of torchvision's AlexNet, parameters channels last."""
    x, maps = normalised(params, images), []
    for number, (stride, padding) in enumerate([(4, 2), (1, 2), (1, 1), (1, 1), (1, 1)], 1):
        x = max_pool(x, 3) if number in (2, 3) else x
        x = convolve(x, **params[f'conv{number}'], stride=stride, padding=padding)
        maps.append(x)
    return maps


def vgg_maps(params, images, depths) -> list[np.ndarray]:
    """The last layer of every block of a VGG with zero padding."""
    x, maps = normalised(params, images), []
    for block, depth in enumerate(depths, 1):
        x = max_pool(x, 2) if block > 1 else x
        for place in range(1, depth + 1):
            x = convolve(x, **params[f'conv{block}_{place}'])
        maps.append(x)
    return maps


def lpips(maps_x, maps_y, heads) -> np.ndarray:
    """LPIPS v0.1 from feature maps [B h w C] and one weight [C] per channel of each: [B]."""
    total = np.zeros(len(maps_x[0]))
    for x, y, weight in zip(maps_x, maps_y, heads, strict=True):
        for b in range(len(x)):
            for u, v in zip(x[b].reshape(-1, len(weight)), y[b].reshape(-1, len(weight)), strict=True):
                u, v = u / (np.sqrt(np.sum(u * u)) + 1e-10), v / (np.sqrt(np.sum(v * v)) + 1e-10)
                total[b] += np.sum(weight * (u - v) ** 2) / (x.shape[1] * x.shape[2])
    return total


def relative_error(x, y) -> float:
    """Largest difference over the largest value."""
    return float(np.max(np.abs(np.asarray(x) - y)) / np.max(np.abs(y)))
