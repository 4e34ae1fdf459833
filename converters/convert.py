"""Converts a weight file: reads it, finds the network in it, writes the model directory and checks what was written."""

import hashlib
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from mgan_jax import models
from mgan_jax.storage import atomic

from . import alexnet, formats, lpips, pggan, states, stylegan, stylegan2, vgg
from .states import Network, State
from .unpickling import quote


class Mapping(NamedTuple):
    """From the names and arrays of a file to a network.

    recognise(state): whether a state dict is of this architecture. convert(state) -> `Network`; it raises ValueError
    with one sentence if the state dict has missing, wrong or unknown tensors.
    """

    recognise: Callable[[State], bool]
    convert: Callable[[State], Network]


MAPPINGS = {
    'pggan': Mapping(pggan.recognise_pggan, pggan.convert_pggan),
    'stylegan': Mapping(stylegan.recognise_stylegan, stylegan.convert_stylegan),
    'stylegan2': Mapping(stylegan2.recognise_stylegan2, stylegan2.convert_stylegan2),
    'vgg': Mapping(vgg.recognise_vgg, vgg.convert_vgg),
    'alexnet': Mapping(alexnet.recognise_alexnet, alexnet.convert_alexnet),
    'lpips': Mapping(lpips.recognise_lpips, lpips.convert_lpips),
}
_KNOWN = 'a PGGAN, StyleGAN or StyleGAN2 generator, VGG-16, VGG-19, AlexNet or heads of LPIPS'
_AVERAGES = ('Gs', 'G_ema', 'g_ema')  # names of a generator's moving average, which is preferred


class Report(NamedTuple):
    """What was found and written. sample: the mean output of the network for a fixed input."""

    format: str
    architecture: str
    configuration: dict[str, Any]
    num_parameters: int
    sha256: str
    sample: float = math.nan


def convert(
    source: str | os.PathLike[str],
    destination: str | os.PathLike[str],
    network: str | None = None,
    architecture: str | None = None,
    overwrite: bool = False,
    height: int | None = None,
) -> Report:
    """Converts the file `source` to the model directory `destination`, loads it and checks it.

    network: its name in a file that holds several. architecture: a key of `MAPPINGS`; other networks are refused.
    overwrite: replaces an existing model directory. height: rows of the images of a non-square StyleGAN or StyleGAN2.
    Raises ValueError with one sentence if the file cannot be used; `destination` is unchanged then.
    """
    _check_destination(Path(source), Path(destination), overwrite)
    content = formats.read_weight_file(Path(source))
    found = find_network(content.value, network, architecture)
    if height is not None:
        found = _cropped(found, height)
    report = Report(
        content.format,
        found.architecture,
        found.configuration,
        sum(array.size for array in jax.tree.leaves(found.params)),
        content.sha256,
    )
    origin = {'file': Path(source).name, 'sha256': content.sha256, 'format': content.format}
    del content  # it is large, and so are the written and the loaded copy
    digest, sample = (
        _digest(found.params),
        _sample(models.build_model(found.architecture, found.configuration), found.params),
    )
    with atomic.create_folder(destination, replace=overwrite) as folder:
        models.write_model(folder, *found, origin)
        del found
        _check(folder, digest, sample)
    return report._replace(sample=sample)


def _cropped(found: Network, height: int) -> Network:
    """A network with images of the middle `height` rows. Files of non-square networks do not contain this number."""
    if found.architecture not in ('stylegan', 'stylegan2'):
        raise ValueError(f'--height is for StyleGAN and StyleGAN2, and it holds a {found.architecture}; leave it out.')
    side = found.configuration['resolution']
    if not 1 <= height <= side or height % 2:
        raise ValueError(f'--height {height} is given; an even number up to the {side} rows of the network is wanted.')
    return found._replace(configuration=found.configuration | {'height': height})


def _check_destination(source: Path, destination: Path, overwrite: bool) -> None:
    """Raises ValueError if `destination` exists, unless it is a model directory and `overwrite` is set."""
    if not os.path.lexists(destination):
        return
    if not overwrite:
        raise ValueError(f'the destination {destination} exists; name another or add --overwrite.')
    if not models.is_model_directory(destination):
        raise ValueError(f'the destination {destination} exists and is not a model directory; name another.')
    if source.resolve().is_relative_to(destination.resolve()):
        raise ValueError(f'it lies in the destination {destination}, which would be replaced; name another.')


def _check(directory: Path, digest: str, sample: float) -> None:
    """Loads a model directory. Raises ValueError if the digest of its weights or its sample differs."""
    model, params = models.load(directory)
    if _digest(params) != digest or _sample(model, params) != sample:
        raise ValueError('what was written differs from what was read when it is loaded; the disk may be failing.')


def _sample(model: models.Model, params: dict[str, Any]) -> float:
    """The mean output of a network for a fixed input. Raises ValueError if the output is not finite."""
    output = jax.jit(lambda params: _output(model, params))(params)
    if not jnp.isfinite(output).all():
        raise ValueError('the network makes NaN or infinite numbers of an ordinary input; its weights are not usable.')
    return float(output.mean())


def _output(model: models.Model, params: dict[str, Any]) -> jax.Array:
    """The output of a network for a fixed input."""
    output: jax.Array
    match model:
        case models.Generator():
            output = _output_of_generator(model, params)
        case models.Extractor():
            output = model.features(params, jnp.zeros((1, 32, 32, 3)), model.layers[-1])
        case models.Lpips():
            maps = [jnp.ones((1, 1, 1, channels)) for channels in model.channels]
            output = model.distance(params, maps, [0 * x for x in maps])
        case models.Encoder():
            raise ValueError('it holds an encoder, which is trained for a generator and never converted.')
    return output


def _output_of_generator(model: models.Generator, params: dict[str, Any]) -> jax.Array:
    """An image, or feature maps of 32 pixels a side, because large images need many times the memory of the weights."""
    z = jax.random.normal(jax.random.key(0), (1, model.latent_dim))
    label = {'label': 0} if model.styles and model.styles.num_classes else {}
    halvings = max(0, (model.resolution // 32).bit_length() - 1)
    if not halvings:
        return model.generate(params, z, **label)
    maps = model.features(params, z, model.num_layers - 2 * halvings, **label)
    features: jax.Array = jax.tree.leaves(maps)[0]
    return features


def _digest(params: dict[str, Any]) -> str:
    """A checksum of all names, shapes and values."""
    total = hashlib.sha256()
    for path, leaf in jax.tree.flatten_with_path(params)[0]:
        array = np.ascontiguousarray(leaf)
        total.update(f'{jax.tree_util.keystr(path)} {array.dtype} {array.shape}'.encode())
        total.update(array.data)
    return total.hexdigest()


def find_network(content: object, network: str | None = None, architecture: str | None = None) -> Network:
    """Finds the network in the content of a file and converts it.

    network: its name in a file that holds several. architecture: a key of `MAPPINGS`.
    Raises ValueError with one sentence if there is no known network or more than one.
    """
    found = states.find_states(content)
    if network is not None:
        found = {network: _named(found, network)}
    known = {name: mapping for name, state in found.items() for mapping in _mappings(state, architecture)}
    if not known:
        wanted = f'a network of architecture {architecture}' if architecture else _KNOWN
        raise ValueError(f'it holds {states.describe_state(next(iter(found.values())))}; {wanted} is expected.')
    best = [name for name in _AVERAGES if name in known] or list(known)
    if len(best) > 1:
        names = ', '.join(map(quote, best))
        raise ValueError(f'it holds several networks: {names}; choose one with --network NAME.')
    return known[best[0]].convert(found[best[0]])


def _named(found: dict[str, State], network: str) -> State:
    if network not in found:
        names = ', '.join(quote(name) for name in found if name) or 'only one, which has no name'
        raise ValueError(f'it holds no network {quote(network)}; it has: {names}.')
    return found[network]


def _mappings(state: State, architecture: str | None) -> list[Mapping]:
    names = [architecture] if architecture else list(MAPPINGS)
    return [MAPPINGS[name] for name in names if MAPPINGS[name].recognise(state)]
