"""The released code's inversion, step by step: SGD on a small PGGAN with random weights.

The loss has kinks (ReLU, |x|), and the path of the first reference image passes one within float32 rounding: changing
its latents by 3e-6 of their value decides which side it takes, and so moves the tenth loss by 1e-3. Its test starts a
few times that far apart and asks that one start follows the reference closely and that all stay near it. The path of the
second image meets no such place.
"""

import jax.numpy as jnp
import numpy as np
import optax
import pytest

from converters.convert import convert
from mgan_jax import composition, inversion, losses, models, tasks
from mgan_jax.models import vgg
from tests.references import DATA, relative_error, stored, vgg16_params

REFERENCE = stored('inversion_pggan_res32_layer4_codes5_sgd')
CODES, LAYER = 5, 4
TASKS = {
    'reconstruct': tasks.reconstruct(),
    'colorize': tasks.colorize(),
    'superres': tasks.super_resolve(4),
    'inpaint': tasks.inpaint(REFERENCE['mask'][0, :, :, :1]),
}


@pytest.fixture(scope='module')
def generator(tmp_path_factory):
    directory = tmp_path_factory.mktemp('models') / 'pggan'
    convert(DATA / 'pggan_res32.pth', directory)
    return models.load(directory)


@pytest.fixture(scope='module')
def vgg_params():
    return vgg16_params()


def follow(generator, vgg_params, name, image, latents, num_steps):
    """`num_steps` of the released code's SGD from each of the latents [B N D]."""
    generator, params = generator
    task = TASKS[name]
    objective = losses.objective(generator, task, layer=LAYER, extractor=vgg.build(), extractor_size=64)
    # The released code divides the sum by N: in a plain sum alpha and its learning rate are smaller, by N and N^2.
    alpha = np.broadcast_to(REFERENCE['alpha0'][image] / CODES, latents.shape)
    optimizer = composition.split_optimizer(optax.sgd(1.0), optax.sgd(1.0 / CODES**2))
    step = inversion.make_step(objective, optimizer)
    target = np.repeat(REFERENCE['target'][image][None], len(latents), axis=0)
    state = inversion.init(composition.Codes(jnp.asarray(latents, jnp.float32), jnp.asarray(alpha)), optimizer)
    return inversion.run(step, state, task.degrade(jnp.asarray(target)), params, vgg_params, num_steps=num_steps)


@pytest.mark.parametrize('name', TASKS)
def test_trajectory(generator, vgg_params, name):
    state, trace = follow(generator, vgg_params, name, 1, REFERENCE['z0'][1:], 40)
    expected = REFERENCE[f'{name}_losses'][1][:, None]
    np.testing.assert_allclose(trace['loss'][:10], expected[:10], rtol=1e-4)
    np.testing.assert_allclose(trace['loss'], expected, rtol=1e-2)
    assert relative_error(state.codes.latents, REFERENCE[f'{name}_z'][1:]) < 1e-2
    assert relative_error(state.codes.alpha * CODES, REFERENCE[f'{name}_alpha'][1:]) < 1e-2
    image = composition.compose(*generator, state.codes, layer=LAYER)
    assert relative_error(image, REFERENCE[f'{name}_image'][1:]) < 1e-2


@pytest.mark.parametrize('name', TASKS)
def test_trajectory_near_a_kink(generator, vgg_params, name):
    start = REFERENCE['z0'][0]
    nudges = 3e-6 * np.random.default_rng(0).standard_normal((8, *start.shape))
    nudges[0] = 0
    _, trace = follow(generator, vgg_params, name, 0, start * (1 + nudges), 10)
    expected = REFERENCE[f'{name}_losses'][0][:10, None]
    error = np.max(np.abs(trace['loss'] - expected) / expected, axis=0)
    assert error.min() < 1e-4
    assert error.max() < 2e-3
