"""The interface of feature extractors for perceptual distances: a NamedTuple of pure functions and names."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, NoReturn

from jax import Array

from mgan_jax.models.generator import keep_params


class Extractor(NamedTuple):
    """features(params, images, layer): images [B H W C] in [-1, 1], C = 3 or 1 (repeated) -> feature maps [B h w C].

    layer: a name, or a tuple of names, which gives the tuple of their feature maps from one pass through the network.
    layers: the names that `layer` may take, from shallow to deep.
    init(key): random weights, for training and tests.
    attributes(params, images): [B H W 3] -> [B A] in [0, 1], the attributes that it was trained to predict, if any.
    attribute_names: the names of the A attributes.
    stages: the layers that LPIPS compares: the last one before each pooling, and the last one of the network.
    prepare(params): as `Generator.prepare`.
    """

    features: Callable[..., Any]
    layers: tuple[str, ...]
    init: Callable[..., Any]
    attributes: Callable[..., Array]
    attribute_names: tuple[str, ...] = ()
    stages: tuple[str, ...] = ()
    prepare: Callable[[Any], Any] = keep_params


def make_features_function(layers: Sequence[str], compute: Callable[..., tuple[Array, ...]]) -> Callable[..., Any]:
    """Makes `Extractor.features` from compute(params, images, names) -> a tuple with a feature map for each name.

    `Extractor.features` raises ValueError for a name that is not in `layers`, and for no name.
    """

    def features(params: dict[str, Any], images: Array, layer: str | Sequence[str]) -> Any:
        names = (layer,) if isinstance(layer, str) else tuple(layer)
        if not names:
            raise ValueError(f'no layer is given; this extractor has {", ".join(layers)}.')
        for name in names:
            if name not in layers:
                raise ValueError(f"layer '{name}' is given; this extractor has {', '.join(layers)}.")
        maps = compute(params, images, names)
        return maps[0] if isinstance(layer, str) else maps

    return features


def refuse_attributes(params: dict[str, Any], images: Array) -> NoReturn:
    """`Extractor.attributes` of networks without attributes: raises ValueError."""
    raise ValueError('this extractor was not trained to tell attributes; it has only features.')


def require_image_size(images: Array, least: int, place: str) -> None:
    """Raises ValueError for images [B H W C] with a side below `least` pixels. place: the part that needs them."""
    if min(images.shape[1:3]) < least:
        size = 'x'.join(map(str, images.shape[1:3]))
        raise ValueError(f'images of {size} pixels are too small for {place}: it needs {least} pixels a side.')
