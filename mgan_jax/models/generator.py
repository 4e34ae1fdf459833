"""What the rest of the library knows of a generator: pure functions and a few numbers."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple


def unchanged(params: Any) -> Any:
    """`prepare` of a network that has nothing to gain."""
    return params


def _not_offered(*arguments, **options):
    raise ValueError('this generator offers features and image only; run G1 and G2 one after the other instead.')


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

    features(params, latents, stop, space='z'): G1, the feature maps [M h w C] after layer `stop` = 1 .. num_layers of
        M latent codes; an array, or a pytree of arrays where a network carries more than one.
    image(params, features, start, tail=None): G2, feature maps after layer `start` -> images [B H W C] in about [-1, 1];
        `tail` holds the styles of the remaining layers of networks that have styles.
    num_layers, latent_dim: L and D. resolution: columns of the image.

    Anything that offers these takes part in multi-code inversion. The rest is optional:
    generate(params, z, truncation_psi=None, label=None): [B D] -> images [B H W C].
    init(key): random weights, for training and tests.
    prepare(params): the same weights with what makes CPUs quicker beside them (transformed kernels, up to 4 times the memory),
        for float32; made once, before a run.
    image_channels: 1 or 3. styles: of networks that have them. height: rows of the image, None for as many as columns.
    """

    features: Callable
    image: Callable
    num_layers: int
    resolution: int
    latent_dim: int
    generate: Callable = _not_offered
    init: Callable = _not_offered
    image_channels: int = 3
    styles: Styles | None = None
    height: int | None = None
    prepare: Callable = unchanged

    @property
    def image_size(self) -> tuple[int, int]:
        """(H, W) in pixels."""
        return self.height or self.resolution, self.resolution


def conditioned(generator: Generator, label: int) -> Generator:
    """A class-conditional generator whose codes in the space z all have one class."""
    styles = generator.styles
    classes = styles.num_classes if styles else 0
    if styles is None or not 0 <= label < classes:
        have = f'has the classes 0 to {classes - 1}' if classes else 'has no classes'
        raise ValueError(f'label {label} is given, but this generator {have}.')
    to_space, of = (partial(function, label=label) for function in (styles.to_space, styles.of))
    return generator._replace(
        features=partial(generator.features, label=label), styles=styles._replace(to_space=to_space, of=of)
    )
