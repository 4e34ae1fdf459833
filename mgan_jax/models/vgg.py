"""VGG feature extractors (Simonyan and Zisserman 2015, arXiv 1409.1556), channels last.

Only the layers up to the deepest requested one are evaluated. VGG-16, VGG-19, the 'normalised' VGG-19 of style transfer
and the demo extractor are configurations of one network. They differ in the number of convolutions per block, the
channels, the padding, and the weights of the 1x1 convolution that preprocesses the pixels (ImageNet normalisation for
torchvision's weights).
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax.numpy as jnp
from flax import linen as nn
from jax import Array

from mgan_jax.models.convolutions import selection
from mgan_jax.models.convolutions.plain import add_bias, conv
from mgan_jax.models.convolutions.selection import convolve_layer
from mgan_jax.models.extractor import Extractor, make_features_function, refuse_attributes, require_image_size
from mgan_jax.models.precision import cast_like
from mgan_jax.models.remat import run_group


class _Conv(nn.Module):
    """3x3 convolution with zero or reflection padding, bias, ReLU: [B H W C_in] -> [B H W C]."""

    channels: int
    padding: str
    conv: Callable[..., Array] = conv

    @nn.compact
    def __call__(self, x: Array) -> Array:
        initial = nn.initializers.he_normal()
        kernel = self.param('kernel', initial, (3, 3, x.shape[-1], self.channels))
        bias = self.param('bias', nn.initializers.zeros, (self.channels,))
        if self.padding == 'zero':
            return nn.relu(add_bias(convolve_layer(self, x, kernel, self.conv), bias))
        reflected = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), mode='reflect')
        return nn.relu(add_bias(convolve_layer(self, reflected, kernel, self.conv, padding='VALID'), bias))


def _block(convs: Sequence[Callable[[Array], Array]], x: Array, pooled: bool) -> tuple[Array, ...]:
    """The feature maps after each convolution of a block. pooled: 2x2 max pooling precedes them."""
    if pooled:
        x = nn.max_pool(x, (2, 2), strides=(2, 2))
    maps = [x]
    for layer in convs:
        maps.append(layer(maps[-1]))
    return tuple(maps[1:])


class Pixelwise(nn.Module):
    """A 1x1 convolution, or dense layer, on the last axis: [... C_in] -> [... C]."""

    channels: int

    @nn.compact
    def __call__(self, x: Array) -> Array:
        kernel = self.param('kernel', nn.initializers.lecun_normal(), (x.shape[-1], self.channels))
        return add_bias(x @ kernel, self.param('bias', nn.initializers.zeros, (self.channels,)))


class VGG(nn.Module):
    """Blocks of convolutions with 2x2 max pooling between them. Layers are named relu{block}_{number in the block}."""

    depths: tuple[int, ...]
    channels: tuple[int, ...]
    padding: str
    num_attributes: int = 0
    conv: Callable[..., Array] = conv
    remat: bool = False

    def setup(self) -> None:
        self.input = Pixelwise(3)
        for block, (depth, channels) in enumerate(zip(self.depths, self.channels, strict=True), 1):
            for place in range(1, depth + 1):
                setattr(self, f'conv{block}_{place}', _Conv(channels, self.padding, self.conv))
        if self.num_attributes:
            self.head = Pixelwise(self.num_attributes)

    @property
    def layers(self) -> tuple[str, ...]:
        return tuple(f'relu{block}_{i}' for block, depth in enumerate(self.depths, 1) for i in range(1, depth + 1))

    def features(self, images: Array, names: Sequence[str]) -> tuple[Array, ...]:
        x = self.input(jnp.broadcast_to((images + 1) / 2, (*images.shape[:-1], 3)))
        maps: dict[str, Array] = {}
        wanted = self.layers[: max(map(self.layers.index, names)) + 1]
        for block in range(1, int(wanted[-1][4]) + 1):
            own = [name for name in wanted if name[4] == str(block)]
            convs = [getattr(self, name.replace('relu', 'conv')) for name in own]
            found = run_group(self.remat, convs, partial(_block, pooled=block > 1), x)
            maps |= zip(own, found, strict=True)
            x = found[-1]
        return tuple(maps[name] for name in names)

    def attributes(self, images: Array) -> Array:
        (last,) = self.features(images, self.layers[-1:])
        return nn.sigmoid(self.head(last.mean(axis=(1, 2))))

    def __call__(self, images: Array) -> Any:
        return self.attributes(images) if self.num_attributes else self.features(images, self.layers[-1:])


def build_vgg(
    depths: Sequence[int] = (2, 2, 3, 3, 3),
    channels: Sequence[int] = (64, 128, 256, 512, 512),
    padding: str = 'zero',
    attributes: Sequence[str] = (),
    conv: Callable[..., Array] = conv,
    remat: bool = False,
) -> Extractor:
    """The extractor as pure functions. The defaults are VGG-16.

    depths: number of convolutions of each block, (2, 2, 4, 4, 4) for VGG-19. channels: of each block. padding: 'zero'
    or 'reflect'. attributes: names that a head on the last layer predicts. conv: the convolution function;
    `trainable_conv` to train the weights. remat: the backward pass stores only the inputs of blocks. Raises ValueError
    for another padding and for different numbers of depths and channels.
    """
    if padding not in ('zero', 'reflect'):
        raise ValueError(f"padding '{padding}' is given; 'zero' or 'reflect' is wanted.")
    if len(depths) != len(channels) or not depths:
        raise ValueError(f'{len(depths)} depths and {len(channels)} channel numbers are given; one of each per block.')
    module = VGG(tuple(depths), tuple(channels), padding, len(attributes), conv, remat)

    def init(key: Array) -> Any:
        side = 2 ** (len(depths) + 1)
        return module.init(key, jnp.zeros((1, side, side, 3)))['params']

    def compute(params: Any, images: Array, names: tuple[str, ...]) -> Any:
        check_size(images, max(int(name[4]) for name in names))
        return module.apply({'params': params}, cast_like(params, images), names, method='features')

    def predict_attributes(params: Any, images: Array) -> Any:
        check_size(images, len(depths))
        return module.apply({'params': params}, cast_like(params, images), method='attributes')

    def prepare(params: Any) -> Any:
        names = [name.replace('relu', 'conv') for name in module.layers]
        return selection.add_transformed_kernels(params, dict.fromkeys(names, False))

    def check_size(images: Array, block: int) -> None:
        require_image_size(images, 2 ** (block - 1) * (1 if padding == 'zero' else 2), f'block {block}')

    return Extractor(
        make_features_function(module.layers, compute),
        module.layers,
        init,
        predict_attributes if attributes else refuse_attributes,
        tuple(attributes),
        tuple(f'relu{block}_{depth}' for block, depth in enumerate(depths, 1)),
        prepare,
    )
