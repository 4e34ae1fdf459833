"""The released code's inversion, step by step: SGD on a small PGGAN with random weights.

The loss has kinks (ReLU, |x|). Where a path passes one within float32 rounding, changing the start by 3e-6 of its value
decides which side it takes. The path of the first reference image meets such a place within ten steps, those of the second
image later, and where depends on the processor. So each test starts a few times that far apart and asks that one start
follows the reference closely and that all stay near it.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from converters.convert import convert
from mgan_jax import composition, inversion, losses, models, optimizers, tasks
from mgan_jax.models import vgg
from tests.references import DATA, relative_error, stored, vgg16_params

REFERENCE = stored('inversion_pggan_res32_layer4_codes5_sgd')
CODES, LAYER, STARTS = 5, 4, 4
# The released code divides the sum by N: in a plain sum alpha and its learning rate are smaller, by N and N^2.
OPTIMIZER = optimizers.split_optimizer(optax.sgd(1.0), optax.sgd(1.0 / CODES**2))
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


@pytest.fixture(scope='module', params=TASKS)
def name(request):
    """Of the task; all tests of one task share its compiled step."""
    return request.param


@pytest.fixture(scope='module')
def step(generator, name):
    objective = losses.objective(generator[0], TASKS[name], layer=LAYER, extractor=vgg.build_vgg(), extractor_size=64)
    return inversion.make_step(objective, OPTIMIZER)


def follow(step, generator, vgg_params, name, image, latents, num_steps):
    """`num_steps` of the released code's SGD from each of the latents [STARTS N D]."""
    alpha = np.broadcast_to(REFERENCE['alpha0'][image] / CODES, latents.shape)
    target = np.repeat(REFERENCE['target'][image][None], STARTS, axis=0)
    state = inversion.init(composition.Codes(jnp.asarray(latents, jnp.float32), jnp.asarray(alpha)), OPTIMIZER)
    observation = TASKS[name].degrade(jnp.asarray(target))
    return inversion.run(step, state, observation, generator[1], vgg_params, num_steps=num_steps)


def nudged(start, count):
    """The start [N D], and others that differ by float32 rounding: [count N D]."""
    nudges = 3e-6 * np.random.default_rng(0).standard_normal((count, *start.shape))
    nudges[0] = 0
    return start * (1 + nudges)


@pytest.mark.slow
def test_trajectory(step, generator, vgg_params, name):
    state, trace = follow(step, generator, vgg_params, name, 1, nudged(REFERENCE['z0'][1], STARTS), 40)
    expected = REFERENCE[f'{name}_losses'][1][:, None]
    error = np.abs(trace['loss'] - expected) / expected
    assert error[:10].max() < 1e-4
    assert error.max() < 5e-2
    closest = int(np.argmin(error.max(axis=0)))
    assert error[:, closest].max() < 1e-2
    own = jax.tree.map(lambda leaf: leaf[closest][None], state.codes)
    assert relative_error(own.latents, REFERENCE[f'{name}_z'][1:]) < 1e-2
    assert relative_error(own.alpha * CODES, REFERENCE[f'{name}_alpha'][1:]) < 1e-2
    network, params = generator
    image = jax.jit(lambda params, codes: composition.compose(network, params, codes, layer=LAYER))(params, own)
    assert relative_error(image, REFERENCE[f'{name}_image'][1:]) < 1e-2


@pytest.mark.slow
def test_trajectory_near_a_kink(step, generator, vgg_params, name):
    starts = np.split(nudged(REFERENCE['z0'][0], 2 * STARTS), 2)
    runs = [follow(step, generator, vgg_params, name, 0, some, 10)[1]['loss'] for some in starts]
    expected = REFERENCE[f'{name}_losses'][0][:10, None]
    error = np.max(np.abs(np.concatenate(runs, axis=1) - expected) / expected, axis=0)
    assert error.min() < 1e-4
    assert error.max() < 2e-3
