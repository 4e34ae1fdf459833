"""The convolutions of torchvision's AlexNet (Krizhevsky 2014, arXiv 1404.5997), channels last.

Only the layers up to the deepest requested one are evaluated.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
from flax import linen as nn
from jax import Array

from mgan_jax.models.convolutions.plain import add_bias, conv
from mgan_jax.models.extractor import Extractor, make_features_function, refuse_attributes, require_image_size
from mgan_jax.models.precision import cast_like
from mgan_jax.models.remat import run_group
from mgan_jax.models.vgg import Pixelwise


class _Shape(NamedTuple):
    """A convolution. side: of its kernel. pooled: a 3x3 max pooling of stride 2 precedes it.

    least: the smallest image size, in pixels a side, for which its output is not empty.
    """

    side: int
    stride: int
    padding: int
    pooled: bool
    least: int


SHAPES = (
    _Shape(11, 4, 2, False, 7),
    _Shape(5, 1, 2, True, 15),
    _Shape(3, 1, 1, True, 31),
    _Shape(3, 1, 1, False, 31),
    _Shape(3, 1, 1, False, 31),
)
LAYERS = tuple(f'relu{i}' for i in range(1, len(SHAPES) + 1))


class _Conv(nn.Module):
    """Convolution with zero padding, bias, ReLU: [B H W C_in] -> [B h w C]."""

    shape: _Shape
    channels: int

    @nn.compact
    def __call__(self, x: Array) -> Array:
        side, stride, padding, *_ = self.shape
        kernel = self.param('kernel', nn.initializers.he_normal(), (side, side, x.shape[-1], self.channels))
        bias = self.param('bias', nn.initializers.zeros, (self.channels,))
        return nn.relu(add_bias(conv(x, kernel, 2 * ((padding, padding),), stride), bias))


class AlexNet(nn.Module):
    """Five convolutions; layers are named relu1 to relu5."""

    channels: tuple[int, ...]
    remat: bool = False

    def setup(self) -> None:
        self.input = Pixelwise(3)
        for i, (shape, channels) in enumerate(zip(SHAPES, self.channels, strict=True), 1):
            setattr(self, f'conv{i}', _Conv(shape, channels))

    def __call__(self, images: Array, names: Sequence[str] = LAYERS) -> tuple[Array, ...]:
        x = self.input(jnp.broadcast_to((images + 1) / 2, (*images.shape[:-1], 3)))
        wanted = LAYERS[: max(map(LAYERS.index, names)) + 1]
        convs = [getattr(self, name.replace('relu', 'conv')) for name in wanted]
        maps = dict(zip(wanted, run_group(self.remat, convs, _maps, x), strict=True))
        return tuple(maps[name] for name in names)


def _maps(convs: Sequence[Callable[[Array], Array]], x: Array) -> tuple[Array, ...]:
    """The feature maps after each convolution."""
    maps = []
    for layer, shape in zip(convs, SHAPES, strict=False):
        if shape.pooled:
            x = nn.max_pool(x, (3, 3), strides=(2, 2))
        x = layer(x)
        maps.append(x)
    return tuple(maps)


def build_alexnet(channels: Sequence[int] = (64, 192, 384, 256, 256), remat: bool = False) -> Extractor:
    """The extractor as pure functions, with layers relu1 to relu5.

    channels: of each convolution. remat: the backward pass stores the images only and computes the feature maps again.
    Raises ValueError for other than 5 numbers of channels.
    """
    if len(channels) != len(SHAPES):
        raise ValueError(f'{len(channels)} channel numbers are given; an AlexNet has {len(SHAPES)} convolutions.')
    module = AlexNet(tuple(channels), remat)

    def init(key: Array) -> Any:
        return module.init(key, jnp.zeros((1, SHAPES[-1].least, SHAPES[-1].least, 3)))['params']

    def compute(params: Any, images: Array, names: tuple[str, ...]) -> Any:
        deepest = max(names, key=LAYERS.index)
        require_image_size(images, SHAPES[LAYERS.index(deepest)].least, deepest)
        return module.apply({'params': params}, cast_like(params, images), names)

    return Extractor(make_features_function(LAYERS, compute), LAYERS, init, refuse_attributes, stages=LAYERS)
