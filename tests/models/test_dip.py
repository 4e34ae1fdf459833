"""The deep image prior: its layers against NumPy, its input, and the independence of images."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from mgan_jax.models import dip

pytestmark = pytest.mark.usefixtures('quick_compilation')


def keys(*numbers):
    return jax.vmap(jax.random.key)(jnp.asarray(numbers))


@pytest.fixture(scope='module')
def small():
    prior = dip.build_deep_prior((16, 8), 3, channels=4, jitter=0.1)
    prior = dip.DeepPrior(*map(jax.jit, prior))
    return prior, prior.init(keys(3, 4, 3))


@pytest.mark.slow
def test_an_image_is_made_of_its_own_weights_and_seed(small):
    prior, codes = small
    images = np.asarray(prior.image(codes))
    assert images.shape == (3, 16, 8, 3) and np.abs(images).max() < 1
    np.testing.assert_array_equal(images[0], images[2])
    assert np.abs(images[0] - images[1]).max() > 0.1
    assert codes.seed[0] == codes.seed[2] != codes.seed[1]
    alone = prior.image(jax.tree.map(lambda leaf: leaf[1:2], codes))
    np.testing.assert_allclose(alone[0], images[1], atol=1e-5)


@pytest.mark.slow
def test_only_a_jittered_input_changes_from_step_to_step(small):
    prior, codes = small
    later = codes._replace(turn=codes.turn + 1)
    change = np.abs(np.asarray(prior.image(later)) - np.asarray(prior.image(codes)))
    assert change.max() > 1e-3
    np.testing.assert_array_equal(prior.image(later), prior.image(later))
    still = jax.jit(dip.build_deep_prior((16, 8), 3, channels=4).image)
    np.testing.assert_array_equal(still(later), still(codes))
    assert np.abs(np.asarray(still(codes)) - np.asarray(prior.image(codes))).max() > 1e-3


@pytest.mark.slow
def test_steps_move_the_weights_and_count(small):
    prior, codes = small
    one = jax.tree.map(lambda leaf: leaf[0], codes)
    optimizer = dip.deep_prior_optimizer(optax.sgd(0.5))
    gradients = jax.tree.map(jnp.ones_like, one)
    change, state = optimizer.update(gradients, optimizer.init(one), one)
    moved = optax.apply_updates(one, change)
    assert moved.seed == one.seed and moved.turn == 1
    for before, after in zip(jax.tree.leaves(one.weights), jax.tree.leaves(moved.weights), strict=True):
        np.testing.assert_allclose(after, before - 0.5, atol=1e-6)


@pytest.mark.slow
def test_the_weights_have_gradients_and_the_seed_has_none(small):
    prior, codes = small
    gradient = jax.jit(jax.grad(lambda codes: jnp.sum(jnp.square(prior.image(codes)))))(codes)
    assert not np.any(gradient.seed) and not np.any(gradient.turn)
    kernels = [leaf for leaf in jax.tree.leaves(gradient.weights) if leaf.ndim > 2]
    assert len(kernels) == 6 and all(np.abs(leaf).max() > 0 for leaf in kernels)


@pytest.mark.slow
def test_a_layer_is_a_convolution_and_a_normalisation():
    x = jnp.asarray(np.random.default_rng(0).standard_normal((1, 6, 6, 2)), jnp.float32)
    layer = dip.Convolution(3, size=1)
    params = layer.init(jax.random.key(0), x)['params']
    scale, shift = np.array([2.0, 1.0, -1.0]), np.array([0.5, 0.0, 0.1])
    params['Normalisation_0'] = {'scale': jnp.float32(scale), 'shift': jnp.float32(shift)}
    raw = np.asarray(x, np.float64) @ np.asarray(params['kernel'], np.float64)[0, 0]
    normal = (raw - raw.mean(axis=(1, 2), keepdims=True)) / raw.std(axis=(1, 2), keepdims=True)
    expected = normal * scale + shift
    made = layer.apply({'params': params}, x)
    np.testing.assert_allclose(made, np.where(expected > 0, expected, 0.2 * expected), atol=2e-3)
    half = dip.Convolution(3, halve=True)
    assert half.apply({'params': half.init(jax.random.key(0), x)['params']}, x).shape == (1, 3, 3, 3)


@pytest.mark.parametrize('size', [(4, 4), (16, 18), (72, 36)])
def test_sizes_that_cannot_be_halved(size):
    with pytest.raises(ValueError, match=f'images of {size[0]}x{size[1]} pixels are given'):
        dip.build_deep_prior(size)


def test_no_channels():
    with pytest.raises(ValueError, match='0 channels are given'):
        dip.build_deep_prior((16, 16), channels=0)
