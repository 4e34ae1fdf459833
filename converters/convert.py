"""One conversion: the foreign file, the network in it, the model directory, the check of what was written."""

import hashlib
import math
import os
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from mgan_jax import models
from mgan_jax.storage import atomic

from . import alexnet, formats, lpips, pggan, states, stylegan, stylegan2, vgg
from .states import Network, State
from .unpickling import quote

MAPPINGS: dict[str, ModuleType] = {  # each has recognise(state) and convert(state)
    'pggan': pggan,
    'stylegan': stylegan,
    'stylegan2': stylegan2,
    'vgg': vgg,
    'alexnet': alexnet,
    'lpips': lpips,
}
_KNOWN = 'a PGGAN, StyleGAN or StyleGAN2 generator, VGG-16, VGG-19, AlexNet or heads of LPIPS'
_AVERAGES = ('Gs', 'G_ema', 'g_ema')  # names of the moving average of a generator, which is the one to use


class Report(NamedTuple):
    """What was found and written. sample: the mean of what the network makes of a fixed input."""

    format: str
    architecture: str
    configuration: dict
    num_parameters: int
    sha256: str
    sample: float = math.nan


def convert(
    source: str | os.PathLike,
    destination: str | os.PathLike,
    network: str | None = None,
    architecture: str | None = None,
    overwrite: bool = False,
    height: int | None = None,
) -> Report:
    """Writes the network of the file `source` as the model directory `destination`, loads it back and checks it.

    ValueError with one sentence if the file cannot be used; then `destination` is as it was.
    """
    _check_destination(Path(source), Path(destination), overwrite)
    content = formats.read(Path(source))
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
    del content  # large, and so are what is written and what is loaded next
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
    """A network whose images are the middle `height` rows: files of non-square networks do not say it."""
    if found.architecture not in ('stylegan', 'stylegan2'):
        raise ValueError(f'--height is for StyleGAN and StyleGAN2, and it holds a {found.architecture}; leave it out.')
    side = found.configuration['resolution']
    if not 1 <= height <= side or height % 2:
        raise ValueError(f'--height {height} is given; an even number up to the {side} rows of the network is wanted.')
    return found._replace(configuration=found.configuration | {'height': height})


def _check_destination(source: Path, destination: Path, overwrite: bool) -> None:
    """Only a model directory is ever replaced, and only if asked, so that a slip costs nobody their files."""
    if not os.path.lexists(destination):
        return
    if not overwrite:
        raise ValueError(f'the destination {destination} exists; name another or add --overwrite.')
    if not models.is_model_directory(destination):
        raise ValueError(f'the destination {destination} exists and is not a model directory; name another.')
    if source.resolve().is_relative_to(destination.resolve()):
        raise ValueError(f'it lies in the destination {destination}, which would be replaced; name another.')


def _check(directory: Path, digest: str, sample: float) -> None:
    """Loads a model directory and compares it, and what it makes of a fixed input, with what was to be written."""
    model, params = models.load(directory)
    if _digest(params) != digest or _sample(model, params) != sample:
        raise ValueError('what was written differs from what was read when it is loaded; the disk may be failing.')


def _sample(model: models.Model, params: dict) -> float:
    """The mean of what a network makes of a fixed input. ValueError if that is not finite."""
    output = jax.jit(lambda params: _output(model, params))(params)
    if not jnp.isfinite(output).all():
        raise ValueError('the network makes NaN or infinite numbers of an ordinary input; its weights are not usable.')
    return float(output.mean())


def _output(model: models.Model, params: dict) -> jax.Array:
    match model:
        case models.Generator():
            return _output_of_generator(model, params)
        case models.Extractor():
            return model.features(params, jnp.zeros((1, 32, 32, 3)), model.layers[-1])
        case models.Lpips():
            maps = [jnp.ones((1, 1, 1, channels)) for channels in model.channels]
            return model.distance(params, maps, [0 * x for x in maps])
        case models.Encoder():
            raise ValueError('it holds an encoder, which is trained for a generator and never converted.')


def _output_of_generator(model: models.Generator, params: dict) -> jax.Array:
    """An image; of large ones the feature maps of 32 pixels a side, since images would need many times the weights' memory."""
    z = jax.random.normal(jax.random.key(0), (1, model.latent_dim))
    label = {'label': 0} if model.styles and model.styles.num_classes else {}
    halvings = max(0, (model.resolution // 32).bit_length() - 1)
    if not halvings:
        return model.generate(params, z, **label)
    maps = model.features(params, z, model.num_layers - 2 * halvings, **label)
    return jax.tree.leaves(maps)[0]


def _digest(params: dict) -> str:
    """A checksum of all names, shapes and numbers."""
    total = hashlib.sha256()
    for path, leaf in jax.tree.flatten_with_path(params)[0]:
        array = np.ascontiguousarray(leaf)
        total.update(f'{jax.tree_util.keystr(path)} {array.dtype} {array.shape}'.encode())
        total.update(array.data)
    return total.hexdigest()


def find_network(content: object, network: str | None = None, architecture: str | None = None) -> Network:
    """The one network of a file's content that is known, or the one that is asked for.

    network: its name in a file that holds several; architecture: a key of `MAPPINGS`. ValueError with one sentence if
    there is none or the choice is open.
    """
    found = states.networks(content)
    if network is not None:
        found = {network: _named(found, network)}
    known = {name: mapping for name, state in found.items() for mapping in _mappings(state, architecture)}
    if not known:
        wanted = f'a network of architecture {architecture}' if architecture else _KNOWN
        raise ValueError(f'it holds {states.describe(next(iter(found.values())))}; {wanted} is expected.')
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


def _mappings(state: State, architecture: str | None) -> list[ModuleType]:
    names = [architecture] if architecture else list(MAPPINGS)
    return [MAPPINGS[name] for name in names if MAPPINGS[name].recognise(state)]
