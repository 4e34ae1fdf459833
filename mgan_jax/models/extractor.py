"""What the rest of the library knows of a perceptual feature extractor."""

from collections.abc import Callable
from typing import NamedTuple


class Extractor(NamedTuple):
    """features(params, images, layer): [B H W 3] (or [B H W 1], repeated) in [-1, 1] -> [B h w C].

    layers: the names that `layer` may take, from shallow to deep.
    init(key): random weights, for training and tests.
    attributes(params, images): [B H W 3] -> [B A] in [0, 1], what `attribute_names` name, if it was trained to tell any.
    """

    features: Callable
    layers: tuple[str, ...]
    init: Callable
    attributes: Callable
    attribute_names: tuple[str, ...] = ()
