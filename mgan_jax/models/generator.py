"""What the rest of the library knows of a generator: pure functions and a few numbers."""

from collections.abc import Callable
from typing import NamedTuple


class Generator(NamedTuple):
    """A trained generator cut into G1 and G2. `params` are arguments of every function, never captured.

    generate(params, z, truncation_psi=None, label=None): [B D] -> images [B H W C] in about [-1, 1].
    features(params, latents, stop, space='z'): G1, the feature maps [M h w C] after layer `stop` = 1 .. num_layers of
        M latent codes; an array, or a pytree of arrays where a network carries more than one.
    image(params, features, start, tail=None): G2, feature maps after layer `start` -> images [B H W C]; `tail` holds
        the styles of the remaining layers of networks that have styles.

    init(key): random weights, for training and tests.

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
