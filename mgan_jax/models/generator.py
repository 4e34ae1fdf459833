"""The interface of generators: a NamedTuple of pure functions and a few numbers."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, NoReturn

from jax import Array


def keep_params(params: Any) -> Any:
    """The `prepare` of networks without a faster form of their weights: returns them unchanged."""
    return params


def _not_offered(*arguments: Any, **options: Any) -> NoReturn:
    raise ValueError('this generator offers features and image only; run G1 and G2 one after the other instead.')


class Styles(NamedTuple):
    """The additional functions of a style-based generator. W: size of a style. R: number of style rows after a cut.

    to_space(params, z, stop, space, label=None): z [M D] -> latent codes of a space, the start of an inversion.
    of(params, latents, space, label=None): latent codes of a space -> the style [M W] for the layers after the cut.
    average(params, start): the average style w_avg for every layer after `start`, [R W].
    noise(params): the stored noise images [h w] of layers 1 .. L.
    num_classes: number of classes; a class-conditional network takes a `label` in the space z. 0 without classes.
    """

    to_space: Callable[..., Array]
    of: Callable[..., Array]
    average: Callable[..., Array]
    noise: Callable[..., tuple[Array, ...]]
    num_classes: int = 0


class Generator(NamedTuple):
    """A trained generator cut into G1 and G2. Every function takes the weights `params` as an argument.

    features(params, latents, stop, space='z'): G1, M latent codes -> feature maps [M h w C] after layer stop = 1 .. L.
        The feature maps are an array, or a pytree of arrays for networks that pass on several.
    image(params, features, start, tail=None): G2, feature maps after layer start -> images [B H W C] in about [-1, 1].
        tail: the styles of the layers after `start`, for style-based networks.
    num_layers: L. latent_dim: D. resolution: columns of the image.

    Multi-code inversion needs only these. The rest is optional.

    generate(params, z, truncation_psi=None, label=None): [B D] -> images [B H W C].

    init(key): random weights, for training and tests.

    prepare(params): adds transformed kernels to float32 weights, once before a run. They make CPUs faster and take up
    to 4 times the memory.

    image_channels: 1 or 3. styles: functions of style-based networks. height: rows of the image, None if it is square.
    """

    features: Callable[..., Any]
    image: Callable[..., Array]
    num_layers: int
    resolution: int
    latent_dim: int
    generate: Callable[..., Array] = _not_offered
    init: Callable[..., Any] = _not_offered
    image_channels: int = 3
    styles: Styles | None = None
    height: int | None = None
    prepare: Callable[[Any], Any] = keep_params

    @property
    def image_size(self) -> tuple[int, int]:
        """(H, W) in pixels."""
        return self.height or self.resolution, self.resolution


def conditioned(generator: Generator, label: int) -> Generator:
    """A class-conditional generator with a fixed class for all codes of the space z.

    Raises ValueError for a label that is not a class of the generator.
    """
    styles = generator.styles
    classes = styles.num_classes if styles else 0
    if styles is None or not 0 <= label < classes:
        have = f'has the classes 0 to {classes - 1}' if classes else 'has no classes'
        raise ValueError(f'label {label} is given, but this generator {have}.')
    to_space, of = (partial(function, label=label) for function in (styles.to_space, styles.of))
    return generator._replace(
        features=partial(generator.features, label=label), styles=styles._replace(to_space=to_space, of=of)
    )
