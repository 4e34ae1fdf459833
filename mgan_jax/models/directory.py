"""Model directories: `model.json` describes the network, `params/` is an Orbax checkpoint of float32 arrays."""

import functools
import inspect
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

from mgan_jax.models import alexnet, encoder, lpips, pggan, stylegan, stylegan2, vgg
from mgan_jax.models.encoder import Encoder
from mgan_jax.models.extractor import Extractor
from mgan_jax.models.generator import Generator
from mgan_jax.models.lpips import Lpips
from mgan_jax.models.orbax import local_context, ocp
from mgan_jax.storage import atomic, remote

Model = Generator | Extractor | Lpips | Encoder
FORMAT_VERSION = 1
BUILDERS: dict[str, Callable[..., Any]] = {
    'pggan': pggan.build_pggan,
    'stylegan': stylegan.build_stylegan,
    'stylegan2': stylegan2.build_stylegan2,
    'vgg': vgg.build_vgg,
    'alexnet': alexnet.build_alexnet,
    'lpips': lpips.build_lpips,
    'encoder': encoder.build_encoder,
}
OPTIONS = ('conv', 'remat')  # arguments of builders that change how a network computes, but not its function
_DEMO = Path(__file__).parent.parent / 'demo'
EMBEDDED = {'demo': _DEMO / 'generator', 'demo-extractor': _DEMO / 'extractor', 'demo-encoder': _DEMO / 'encoder'}


def load(name: str | os.PathLike[str], **options: Any) -> tuple[Model, dict[str, Any]]:
    """Loads a model and its weights.

    name: a model directory, its URL, or an embedded model: 'demo', 'demo-extractor' or 'demo-encoder'. A URL is
    downloaded once per process. options: arguments of the network's builder that do not change its function:
    `remat=True`, `conv=trainable_conv`.

    Raises ValueError with one sentence if there is no such directory or its content does not fit its `model.json`.
    """
    if remote.is_remote(name):
        return _load_url(os.fspath(name), options)
    directory = Path(EMBEDDED.get(os.fspath(name), name)).absolute()
    description = _read_description(directory)
    try:
        architecture, configuration = description['architecture'], description['configuration']
        model = build_model(architecture, configuration)
        wanted = jax.eval_shape(model.init, jax.random.key(0))
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f'{directory}/model.json describes no network of this library ({error}).') from error
    if options:
        _check_options(directory, architecture, options)
        model = build_model(architecture, configuration | options)
    try:
        with local_context():
            params = ocp.load(directory / 'params')
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f'{directory}/params cannot be read; convert the model again.') from error
    _check_params(directory, params, wanted)
    leaves, structure = jax.tree.flatten(params)
    del params
    for i, leaf in enumerate(leaves):  # one by one, so that memory never holds two copies of all leaves
        leaves[i] = jax.device_put(leaf)
    return model, jax.tree.unflatten(structure, leaves)


def _load_url(url: str, options: dict[str, Any]) -> tuple[Model, dict[str, Any]]:
    try:
        directory = _fetch(url)
    except OSError as error:
        raise ValueError(
            f'there is no model directory that can be read at {error.filename}: {error.strerror}.'
        ) from error
    try:
        return load(directory, **options)
    except ValueError as error:
        raise ValueError(str(error).replace(str(directory), url)) from error


_fetch = functools.cache(remote.fetch_folder)


def build_model(architecture: str, configuration: dict[str, Any]) -> Model:
    """Builds a network. architecture: a key of BUILDERS. configuration: the arguments of its builder."""
    model: Model = BUILDERS[architecture](**configuration)
    return model


def save(
    directory: str | os.PathLike[str],
    architecture: str,
    configuration: dict[str, Any],
    params: dict[str, Any],
    source: dict[str, Any] | None = None,
    overwrite: bool = False,
) -> None:
    """Writes a model directory atomically.

    architecture: a key of BUILDERS. configuration: the arguments of its builder. source: the origin of the weights
    ('file', 'sha256', 'format'). overwrite: replaces an existing model directory, but nothing else.

    Raises ValueError if the path exists and may not be replaced.
    """
    if overwrite and os.path.lexists(directory) and not is_model_directory(directory):
        raise ValueError(f'{directory} exists and is not a model directory; name another.')
    with atomic.create_folder(directory, replace=overwrite) as folder:
        write_model(folder, architecture, configuration, params, source)


def is_model_directory(directory: str | os.PathLike[str]) -> bool:
    """Whether the path is a model directory, and not a link to one."""
    return not Path(directory).is_symlink() and (Path(directory) / 'model.json').is_file()


def write_model(
    folder: Path,
    architecture: str,
    configuration: dict[str, Any],
    params: dict[str, Any],
    source: dict[str, Any] | None = None,
) -> None:
    """Writes the content of a model directory into an empty folder; see `save`."""
    description = {
        'format_version': FORMAT_VERSION,
        'architecture': architecture,
        'configuration': configuration,
        'source': source or {},
    }
    context = local_context()
    context.array.saving.use_compression = False  # it hardly makes weights smaller, and takes a second copy in memory
    with context:
        ocp.save(folder.absolute() / 'params', jax.tree.map(lambda x: np.asarray(x, np.float32), params))
    (folder / 'params' / 'commit_success.txt').write_text('saved\n')  # Orbax wrote the name of the temporary folder
    atomic.write_text(folder / 'model.json', json.dumps(description, indent=2) + '\n')


def _read_description(directory: Path) -> dict[str, Any]:
    try:
        description = json.loads((directory / 'model.json').read_text(encoding='utf-8'))
    except (FileNotFoundError, NotADirectoryError) as error:
        names = ' or '.join(f"'{name}'" for name in EMBEDDED)
        raise ValueError(
            f'there is no model directory {directory}; give {names}, or one that `mgan-jax convert` has written.'
        ) from error
    except (OSError, ValueError) as error:
        raise ValueError(f'{directory}/model.json cannot be read ({error}).') from error
    version = description.get('format_version') if isinstance(description, dict) else None
    if version != FORMAT_VERSION:
        raise ValueError(f'{directory} has format version {version}; this release reads version {FORMAT_VERSION}.')
    found: dict[str, Any] = description
    return found


def _check_options(directory: Path, architecture: str, options: dict[str, Any]) -> None:
    known = [name for name in inspect.signature(BUILDERS[architecture]).parameters if name in OPTIONS]
    for name in options:
        if name not in known:
            raise ValueError(
                f"the option '{name}' is given for {directory}, but a network of the architecture '{architecture}' has "
                f'{" and ".join(known) or "no options"}.'
            )


def _check_params(directory: Path, params: Any, wanted: Any) -> None:
    found, expected = _shapes(params), _shapes(wanted)
    for name in sorted(found.keys() | expected.keys()):
        if found.get(name) != expected.get(name):
            raise ValueError(
                f'{directory}/params holds {name} of shape {found.get(name, "none (missing)")}, but model.json asks for '
                f'{expected.get(name, "none (left over)")}; convert the model again.'
            )


def _shapes(tree: Any) -> dict[str, str]:
    leaves, _ = jax.tree.flatten_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator='/'): str(list(leaf.shape)) for path, leaf in leaves}
