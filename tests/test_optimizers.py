"""The first steps of the optimisers, part by part."""

import jax
import numpy as np
import optax
import pytest

from mgan_jax import composition, optimizers
from mgan_jax.run import jobs
from mgan_jax.settings import presets


def first_step(optimizer):
    """The first step for gradients of 3, codes that start at 0."""
    codes = composition.Codes(np.zeros((4, 6)), np.zeros((4, 5)), np.zeros((2, 6)), (np.zeros((8, 8)),))
    codes = jax.tree.map(lambda x: x.astype(np.float32), codes)
    gradients = jax.tree.map(lambda x: x + 3, codes)
    return optimizer.update(gradients, optimizer.init(codes), codes)[0]


@pytest.mark.slow
@pytest.mark.parametrize('make', [optimizers.whitening_optimizer, optimizers.split_adam_optimizer])
def test_rates_are_the_size_of_the_first_step(make):
    step = first_step(make(0.1, 0.02, 300))
    for part, rate in ((step.latents, 0.1), (step.alpha, 0.02), (step.tail, 0.1), (step.noise[0], 0.1)):
        np.testing.assert_allclose(part, -rate, rtol=1e-4)


def test_sgd_follows_the_gradient():
    step = first_step(optimizers.split_sgd_optimizer(0.1, 0.02))
    np.testing.assert_allclose(step.latents, -0.3, rtol=1e-6)
    np.testing.assert_allclose(step.alpha, -0.06, rtol=1e-6)


def test_each_part_has_its_optimizer():
    step = first_step(optimizers.split_optimizer(optax.sgd(1.0), optax.sgd(0.5), optax.sgd(0.25)))
    for part, rate in ((step.latents, 1.0), (step.alpha, 0.5), (step.tail, 0.25), (step.noise[0], 0.25)):
        np.testing.assert_allclose(part, -3 * rate)
    assert first_step(optimizers.split_optimizer(optax.sgd(1.0), optax.sgd(0.5))).tail[0, 0] == -3


@pytest.mark.slow
@pytest.mark.parametrize('optimizer, expected', [('whitening', -0.03), ('adam', -0.03), ('sgd', -0.09)])
@pytest.mark.parametrize(
    'prior, rate', [('multi-code', 'latent_rate'), ('feature-map', 'feature_rate'), ('dip', 'dip_rate')]
)
def test_settings_choose_the_optimizer(prior, rate, optimizer, expected):
    chosen = jobs.make_optimizer(presets.make_settings('reconstruct', prior=prior, optimizer=optimizer, **{rate: 0.03}))
    if prior == 'multi-code':
        np.testing.assert_allclose(first_step(chosen).latents, expected, rtol=1e-4)
        return
    part = jobs.dip.DeepPriorCodes(
        {'kernel': np.zeros((3, 3), np.float32)}, np.zeros((), np.float32), np.zeros((), np.float32)
    )
    variables = part if prior == 'dip' else part.weights
    gradients = jax.tree.map(lambda x: x + np.float32(3), variables)
    step = chosen.update(gradients, chosen.init(variables), variables)[0]
    weights = step.weights if prior == 'dip' else step
    np.testing.assert_allclose(weights['kernel'], expected, rtol=1e-4)
    assert prior != 'dip' or (step.seed, step.turn) == (0, 1)


def test_alpha_over_n_divides_the_rate_of_the_importances():
    settings = presets.make_settings('reconstruct', 'upstream', num_codes=4)
    np.testing.assert_allclose(first_step(jobs.make_optimizer(settings)).alpha, -3 / 16, rtol=1e-6)
