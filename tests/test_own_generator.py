"""The network of docs/own_generator.md, as it stands there, in every task."""

import contextlib
import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from mgan_jax import composition, inversion, losses, models, optimizers, tasks
from mgan_jax.run import jobs
from mgan_jax.settings import presets
from tests.small_runs import boundary, photo

PAGE = Path(__file__).parent.parent / 'docs' / 'own_generator.md'
CHANNELS = (6, 8, 6, 4, 3)
pytestmark = pytest.mark.usefixtures('quick_compilation')


@pytest.fixture(scope='module')
def arrays():
    rng, found = np.random.default_rng(0), {}
    for number, (c_in, c_out) in enumerate(zip(CHANNELS, CHANNELS[1:], strict=False)):
        found[f'{3 * number}.weight'] = rng.standard_normal((c_in, c_out, 4, 4)).astype(np.float32) / np.sqrt(4 * c_in)
        if number < 3:
            norm = {'weight': 1 + 0.1 * rng.standard_normal(c_out), 'bias': 0.1 * rng.standard_normal(c_out)}
            norm |= {'running_mean': 0.1 * rng.standard_normal(c_out), 'running_var': rng.uniform(0.5, 2, c_out)}
            found |= {f'{3 * number + 1}.{name}': value.astype(np.float32) for name, value in norm.items()}
    return found


@pytest.fixture(scope='module')
def page(arrays, tmp_path_factory):
    """The names that the page's programs define, run in a folder with the files that they read."""
    folder = tmp_path_factory.mktemp('own')
    np.savez(folder / 'dcgan.npz', **arrays)
    (folder / 'photos').mkdir()
    photo(1, (64, 48)).save(folder / 'photos' / 'one.png')
    names = {}
    with contextlib.chdir(folder):
        for program in re.findall(r'```python\n(.*?)```', PAGE.read_text(), re.DOTALL):
            exec(compile(program, str(PAGE), 'exec'), names)
    return names, folder


def reference(arrays, z):
    """The network after PyTorch's definitions, in plain loops: [C H W]."""
    x = z.reshape(-1, 1, 1).astype(np.float64)
    for number in range(4):
        kernel, (stride, padding) = arrays[f'{3 * number}.weight'], (1, 0) if number == 0 else (2, 1)
        side = (x.shape[1] - 1) * stride + 4
        out = np.zeros((kernel.shape[1], side, side))
        for i in range(x.shape[1]):
            for j in range(x.shape[2]):
                out[:, i * stride : i * stride + 4, j * stride : j * stride + 4] += np.einsum(
                    'c,cdkl->dkl', x[:, i, j], kernel
                )
        x = out[:, padding : side - padding, padding : side - padding]
        if number == 3:
            return np.tanh(x)
        norm = {name: arrays[f'{3 * number + 1}.{name}'][:, None, None] for name in ('weight', 'bias', 'running_mean')}
        deviation = np.sqrt(arrays[f'{3 * number + 1}.running_var'][:, None, None] + 1e-5)
        x = np.maximum((x - norm['running_mean']) / deviation * norm['weight'] + norm['bias'], 0)
    raise AssertionError


@pytest.mark.slow
def test_the_network_is_what_pytorch_would_compute(page, arrays):
    generator, params = page[0]['generator'], page[0]['params']
    z = np.random.default_rng(1).standard_normal((1, 6)).astype(np.float32)
    for l in (1, 2, 3):
        made = generator.image(params, generator.features(params, z, l), l)
        np.testing.assert_allclose(np.moveaxis(made[0], -1, 0), reference(arrays, z[0]), atol=1e-5)


def test_the_programs_of_the_page(page):
    names, folder = page
    assert names['restored'].shape == (2, 32, 32, 3) and np.isfinite(names['restored']).all()
    assert (names['trace']['loss'][-1] < 0.8 * names['trace']['loss'][0]).all()
    assert [row['status'] for row in names['rows']] == ['done'] and (folder / 'results/one/result.png').is_file()


MASK = np.zeros((32, 32, 1), np.float32)
MASK[8:20, 8:20] = 1
TASKS = {
    'reconstruct': tasks.reconstruct(),
    'super_resolve': tasks.super_resolve(4),
    'colorize': tasks.colorize(),
    'inpaint': tasks.inpaint(MASK),
    'denoise': tasks.denoise(MASK),
    'custom': tasks.custom(lambda image: image[:, ::2]),
}


@pytest.mark.slow
@pytest.mark.parametrize('name', TASKS)
def test_every_task_lowers_its_loss(page, name):
    generator, params, task = page[0]['generator'], page[0]['params'], TASKS[name]
    target = jnp.asarray(np.asarray(photo(3, (32, 32)), np.float32) / 127.5 - 1)[None]
    optimizer = optimizers.split_optimizer(optax.adam(0.05), optax.adam(0.05))
    codes = composition.init(jax.random.key(0), generator, params, batch=1, num_codes=3, layer=2)
    step = inversion.make_step(losses.objective(generator, task, layer=2, perceptual=0.0), optimizer)
    observation = task.degrade(target)
    state, trace = inversion.run(step, inversion.init(codes, optimizer), observation, params, None, num_steps=40)
    assert trace['loss'][-1, 0] < 0.9 * trace['loss'][0, 0]
    image = composition.compose(generator, params, state.best_codes, layer=2)
    assert np.isfinite(task.finish(image, observation)).all()


@pytest.mark.slow
@pytest.mark.parametrize('task', presets.TASKS)
def test_every_task_runs_from_files_into_files(page, task, tmp_path):
    names, folder = page
    changes = {'images': str(folder / 'photos'), 'out': str(tmp_path / 'out')}
    changes |= {'layer': 2, 'num_codes': 2, 'steps': 2, 'perceptual': 0.0}
    changes |= {'factor': 4} if task == 'super_resolve' else {}
    changes |= {'attribute': boundary(tmp_path, 6), 'frames': 2} if task == 'edit' else {}
    settings = presets.make_settings(task, 'fast', **changes)
    rows = jobs.run_job(settings, own=(names['generator'], names['params']))
    assert [row['status'] for row in rows] == ['done']


def test_less_than_a_named_tuple_will_do(page):
    """Anything with features, image and latent_dim."""

    class Mine:
        features, image, latent_dim = staticmethod(page[0]['features']), staticmethod(page[0]['image']), 6

    params = page[0]['params']
    codes = composition.init(jax.random.key(0), Mine, params, batch=1, num_codes=2, layer=2)
    assert composition.compose(Mine, params, codes, layer=2).shape == (1, 32, 32, 3)


def test_what_is_not_offered_is_told(page):
    generator = page[0]['generator']
    assert isinstance(generator, models.Generator) and generator.image_size == (32, 32)
    with pytest.raises(ValueError, match='offers features and image only'):
        generator.generate(page[0]['params'], np.zeros((1, 6)))
    with pytest.raises(ValueError, match='has no classes'):
        models.conditioned(generator, 1)
