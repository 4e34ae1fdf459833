"""Samples, degradations, losses and the step of an encoder's training."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mgan_jax import tasks
from mgan_jax.encoder import training_step
from mgan_jax.models import encoder, perceptual, stylegan2
from tests import toy

pytestmark = pytest.mark.usefixtures('quick_compilation')
STYLES = {'resolution': 8, 'latent_dim': 6, 'style_dim': 5, 'fmaps_base': 64, 'fmaps_max': 8, 'mapping_layers': 2}
KEYS = jax.random.split(jax.random.key(4), 4)
IMAGES = jnp.asarray(np.random.default_rng(0).uniform(-1, 1, (16, 32, 32, 3)), jnp.float32)


@functools.cache
def generator(styles=False):
    if not styles:
        return toy.generator()
    network = stylegan2.build_stylegan2(**STYLES)
    return network, toy.draw_weights(network.init)


@pytest.mark.slow
def test_codes_follow_the_distribution_of_the_generator():
    network, params = generator(styles=True)
    z = training_step.sample_codes(network, params, 'z', KEYS)
    assert z.shape == (4, 6)
    np.testing.assert_allclose(np.square(z).sum(axis=1), 6, rtol=1e-4)
    w = training_step.sample_codes(network, params, 'w', KEYS)
    np.testing.assert_allclose(w, network.styles.to_space(params, z, 1, 'w'), rtol=1e-3, atol=1e-5)
    with pytest.raises(ValueError, match="only the space 'z'"):
        training_step.sample_codes(*generator(), 'w', KEYS)


@pytest.mark.slow
@pytest.mark.parametrize('styles, space', [(False, 'z'), (True, 'z'), (True, 'w')])
def test_a_code_is_rendered_as_by_the_generator(styles, space):
    network, params = generator(styles)
    codes = training_step.sample_codes(network, params, space, KEYS[:2])
    expected = network.generate(params, codes) if space == 'z' else network.generate(params, codes, space='w')
    np.testing.assert_allclose(
        training_step.render_samples(network, params, codes, space), expected, rtol=1e-4, atol=1e-5
    )


@pytest.mark.slow
def test_degradations_equal_the_observations_of_the_tasks():
    degraded = training_step.degrade_samples(IMAGES, jax.random.key(0))
    np.testing.assert_array_equal(degraded[:8], IMAGES[:8])  # not degraded
    small = jax.image.resize(tasks.super_resolve(2).degrade(IMAGES[8:10]), (2, 32, 32, 3), 'cubic')
    np.testing.assert_allclose(degraded[8:10], np.clip(small, -1, 1), atol=1e-6)
    np.testing.assert_allclose(degraded[10:12], np.repeat(tasks.gray(IMAGES[10:12]), 3, axis=-1), atol=1e-6)
    for image, masked in zip(IMAGES[12:14], degraded[12:14], strict=True):
        hole = np.asarray((masked == 0).all(axis=-1))
        assert hole.sum() == 16 * 16 and hole.any(axis=0).sum() == hole.any(axis=1).sum() == 16
        np.testing.assert_array_equal(masked[~hole], image[~hole])
    noisy = np.asarray((degraded[14:] != IMAGES[14:]).any(axis=-1))
    assert set(np.unique(degraded[14:][noisy])) == {-1, 1} and 0 < noisy.mean() < training_step.MAX_NOISE
    assert jnp.abs(degraded - training_step.degrade_samples(IMAGES, jax.random.key(1)))[12:].max() > 0.1


@pytest.mark.slow
def test_grey_images_have_the_other_degradations():
    grey = training_step.degrade_samples(IMAGES[..., :1], jax.random.key(0))
    assert grey.shape == (16, 32, 32, 1) and jnp.abs(grey[8:] - IMAGES[8:, ..., :1]).max() > 0.1


@pytest.mark.slow
def test_steps_lower_the_losses_and_keep_the_mean_and_deviation_of_w():
    network, params = generator(styles=True)
    network_encoder = encoder.build_encoder([8, 8], 5, [8], 'any', space='w')
    encoder_params = toy.draw_weights(network_encoder.init) | {'mean': jnp.ones(5), 'deviation': 2 * jnp.ones(5)}
    extractor, vgg = toy.extractor()
    step = training_step.make_encoder_step(
        network, network_encoder, perceptual.feature_distance(extractor, 'relu2_1'), training_step.LossWeights()
    )
    state, history = training_step.init_encoder_state(network_encoder, encoder_params), []
    for _ in range(30):  # the same key draws the same images
        state, losses = step(state, jax.random.key(1), np.float32(1e-2), params, vgg)
        history.append(losses)
    for name in ('codes', 'pixels', 'features'):
        assert history[-1][name] < 0.8 * history[0][name], name
    np.testing.assert_array_equal(state.params['mean'], 1)
    np.testing.assert_array_equal(state.params['deviation'], 2)


@pytest.mark.slow
def test_true_codes_have_the_best_scores():
    """One encoder returns the true codes, another one their negatives."""
    network, params = generator()
    codes = training_step.sample_codes(network, params, 'z', KEYS)
    for sign in (1, -1):
        fake = encoder.Encoder(lambda params, images, sign=sign: sign * codes, 'z', '', -1, None)
        correlation, psnr = training_step.score_encoder(network, fake, params, {}, KEYS)
        np.testing.assert_allclose(correlation, sign, rtol=1e-4)
        assert (psnr > 60).all() if sign == 1 else (psnr < 40).all()
