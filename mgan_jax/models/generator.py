"""What the rest of the library knows of a generator: pure functions and a few numbers."""

from collections.abc import Callable
from typing import NamedTuple


class Styles(NamedTuple):
    """What a generator with styles offers beyond one without. W: size of a style, R: style rows of the layers after a cut.

    to_space(params, z, stop, space, label=None): z [M D] -> latents of the space, from which an inversion starts.
    of(params, latents, space, label=None): the style [M W] that latents of a space mean for the layers after the cut.
    average(params, start): [R W], the average style w_avg for every layer after `start`.
    noise(params): the stored noise images [h w] of layers 1 .. L.
    num_classes: of a class-conditional network, which takes a `label` in the space z; 0 without.
    """

    to_space: Callable
    of: Callable
    average: Callable
    noise: Callable
    num_classes: int = 0


class Generator(NamedTuple):
    """A trained generator cut into G1 and G2. `params` are arguments of every function, never captured.

    generate(params, z, truncation_psi=None, label=None): [B D] -> images [B H W C] in about [-1, 1].
    features(params, latents, stop, space='z'): G1, the feature maps [M h w C] after layer `stop` = 1 .. num_layers of
        M latent codes; an array, or a pytree of arrays where a network carries more than one.
    image(params, features, start, tail=None): G2, feature maps after layer `start` -> images [B H W C]; `tail` holds
        the styles of the remaining layers of networks that have styles.

    init(key): random weights, for training and tests.
    styles: of networks that have them, None otherwise. height: rows of the image, None for as many as columns.

    Anything with `features`, `image` and `latent_dim` takes part in multi-code inversion.
    """

    generate: Callable
    features: Callable
    image: Callable
    num_layers: int
    resolution: int
    latent_dim: int
    init: Callable
    image_channels: int = 3
    styles: Styles | None = None
    height: int | None = None
