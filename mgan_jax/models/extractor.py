"""What the rest of the library knows of a perceptual feature extractor."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from jax import Array

from mgan_jax.models.generator import unchanged


class Extractor(NamedTuple):
    """features(params, images, layer): [B H W 3] (or [B H W 1], repeated) in [-1, 1] -> [B h w C].

    A tuple of layers gives the tuple of their feature maps, all from one pass through the network.
    layers: the names that `layer` may take, from shallow to deep.
    init(key): random weights, for training and tests.
    attributes(params, images): [B H W 3] -> [B A] in [0, 1], what `attribute_names` name, if it was trained to tell any.
    prepare(params): as that of a generator.
    stages: the layers before each pooling and the last one, or what stands for them: those that LPIPS compares.
    """

    features: Callable
    layers: tuple[str, ...]
    init: Callable
    attributes: Callable
    attribute_names: tuple[str, ...] = ()
    stages: tuple[str, ...] = ()
    prepare: Callable = unchanged


def one_or_several_layers(layers: Sequence[str], compute: Callable) -> Callable:
    """`Extractor.features` from compute(params, images, names) -> a tuple of feature maps, one for each name.

    The names it asks for are checked: ValueError for one that is not among `layers`.
    """

    def features(params: dict, images: Array, layer: str | Sequence[str]) -> Any:
        names = (layer,) if isinstance(layer, str) else tuple(layer)
        if not names:
            raise ValueError(f'no layer is given; this extractor has {", ".join(layers)}.')
        for name in names:
            if name not in layers:
                raise ValueError(f"layer '{name}' is given; this extractor has {', '.join(layers)}.")
        maps = compute(params, images, names)
        return maps[0] if isinstance(layer, str) else maps

    return features


def no_attributes(params: dict, images: Array) -> Array:
    """`Extractor.attributes` of a network without a head for them."""
    raise ValueError('this extractor was not trained to tell attributes; it has only features.')


def require_size(images: Array, least: int, place: str) -> None:
    """ValueError if images [B H W C] have less than `least` pixels a side. place: what in the network needs them."""
    if min(images.shape[1:3]) < least:
        size = 'x'.join(map(str, images.shape[1:3]))
        raise ValueError(f'images of {size} pixels are too small for {place}: it needs {least} pixels a side.')
