"""Runs of the command line on networks so small that a run is mostly compilation."""

import contextlib
import csv
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental.compilation_cache import compilation_cache
from PIL import Image

from mgan_jax import invert, models
from mgan_jax.editing import boundaries
from mgan_jax.models import lpips, pggan, vgg
from tests.toy import draw_weights

ROOT = Path(invert.__file__).parent.parent
SIDE = 16
FILES = {'input.png', 'result.png', 'inversion.png', 'latents.npz', 'history.csv', 'preview.webp', 'metrics.json'}
# Without the demo's animation and contributions, which tests of them ask for.
CODES = {'layer': 3, 'num_codes': 2, 'steps': 3, 'batch_size': 2, 'history_every': 0, 'contributions': False}


@contextlib.contextmanager
def keep_programs(directory):
    names = ('compilation_cache_dir', 'persistent_cache_min_compile_time_secs', 'persistent_cache_min_entry_size_bytes')
    before = [getattr(jax.config, f'jax_{name}') for name in names]
    for values in ([directory, 0, -1], before):
        for name, value in zip(names, values, strict=True):
            jax.config.update(f'jax_{name}', value)
        compilation_cache.reset_cache()
        if values is not before:
            yield


@contextlib.contextmanager
def optimization(on):
    jax.config.update('jax_disable_most_optimizations', not on)
    yield
    jax.config.update('jax_disable_most_optimizations', on)


def make_folder(folder):
    """Writes the networks generator, grey, broken (NaN weights), extractor, its heads and other_heads, and the folder photos of five images."""
    shape = {'resolution': SIDE, 'latent_dim': 8, 'fmaps_base': 128, 'fmaps_max': 16}
    for name, channels in (('generator', 3), ('grey', 1), ('broken', 3)):
        configuration = shape | {'image_channels': channels}
        params = draw_weights(pggan.build_pggan(**configuration).init, seed=0)
        if name == 'broken':
            params = jax.tree.map(lambda x: x * jnp.nan, params)
        models.save(folder / name, 'pggan', configuration, params)
    small = {'depths': [1, 1], 'channels': [4, 4]}
    models.save(folder / 'extractor', 'vgg', small, draw_weights(vgg.build_vgg(**small).init, seed=1))
    for name, channels in (('heads', [4, 4]), ('other_heads', [4, 5])):
        configuration = {'layers': ['relu1_1', 'relu2_1'], 'channels': channels}
        models.save(folder / name, 'lpips', configuration, lpips.build_lpips(**configuration).init(jax.random.key(2)))
    (folder / 'photos').mkdir()
    for number in range(5):
        photo(number).save(folder / 'photos' / f'photo{number}.png')


def photo(seed, size=(SIDE, SIDE), low=60, high=200):
    """An image of smooth noise that stays away from black and white."""
    height, width = size
    coarse = np.random.default_rng(seed).integers(low, high, (4, 4, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BILINEAR)


def boundary(folder, size=8, seed=0):
    """The path of a random boundary for codes of so many numbers."""
    path = folder / f'boundary{seed}.npy'
    boundaries.save_boundary(path, np.random.default_rng(seed).standard_normal(size))
    return str(path)


def arguments(folder, config, out, **fields):
    fields = {
        'generator': folder / 'generator',
        'extractor': folder / 'extractor',
        'extractor_layer': 'relu2_1',
        'extractor_size': SIDE,
        'images': folder / 'photos',
        'out': out,
        **CODES,
        **fields,
    }
    return ['--config', f'configs/{config}', *(f'--config.{name}={value}' for name, value in fields.items())]


def table(out):
    with open(out / 'metrics.csv', encoding='utf-8', newline='') as file:
        return list(csv.DictReader(file))


def pixels(path):
    with Image.open(path) as image:
        return np.asarray(image)


def latents(out, name):
    with np.load(out / name / 'latents.npz') as arrays:
        return arrays['latents'], arrays['alpha']


def contents(out):
    """Every file of a run's results: its content and when it was written."""
    files = [path for path in out.rglob('*') if path.is_file() and out / '.run' not in path.parents]
    return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


def folders(out):
    """The names of the images that have results."""
    return {path.name for path in out.iterdir() if path.is_dir() and path.name != '.run'}


def refused(capsys, command):
    """What the command says when it starts nothing: one line on standard error, exit code 2."""
    capsys.readouterr()
    assert invert.main(command) == 2
    captured = capsys.readouterr()
    assert captured.out == ''
    assert captured.err.count('\n') == 1
    assert 'Traceback' not in captured.err
    return captured.err.strip()
