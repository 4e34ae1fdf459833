"""The demo GAN's training steps, on networks of a few channels."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mgan_jax.demo import gan, scenes

pytestmark = pytest.mark.usefixtures('quick_compilation')
SMALL, GROWN = gan.Stage(8, 800, 1e-2, decay=800), gan.Stage(16, 800, 1e-2)
ADVERSARIAL = gan.Stage(8, 800, 1e-2, adversarial=True)


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    for name, value in {'BATCH': 8, 'FMAPS_BASE': 64, 'FMAPS_MAX': 8}.items():
        monkeypatch.setattr(gan, name, value)


def _assert_equal(a, b):
    jax.tree.map(np.testing.assert_array_equal, a, b)


def _differences(a, b):
    """The largest absolute difference of each leaf."""
    return [float(jnp.abs(x - y).max()) for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)]


def _batch(stage):
    batch = scenes.draw_batch(4, 0, gan.BATCH)
    return batch.latents, gan.prepare_images(batch.images, stage.resolution)


@functools.cache
def _after_an_adversarial_step(regularised):
    before = gan.init_gan_state(ADVERSARIAL, jax.random.key(0), None)
    before = jax.tree.map(np.asarray, before)  # the step takes its argument's memory
    state, log = gan.make_gan_step(ADVERSARIAL, regularised)(jax.tree.map(jnp.array, before), *_batch(ADVERSARIAL))
    return before, state, log


@pytest.mark.slow
def test_equalise_weights_is_the_inverse_of_unequalise_weights():
    params = gan.build_demo_generator(SMALL).init(jax.random.key(0))
    again = gan.equalise_weights(gan._unequalise_weights(params))
    assert max(_differences(params, again)) < 1e-6
    kernels = [leaf['kernel'] for name, leaf in gan._unequalise_weights(params).items()]
    assert all(0.7 < float(kernel.std()) < 1.3 for kernel in kernels)  # ~ N(0, 1)


@pytest.mark.slow
def test_a_grown_generator_keeps_the_average_and_renews_to_rgb():
    previous = gan.init_gan_state(SMALL, jax.random.key(0), None)
    previous = previous._replace(average=jax.tree.map(lambda x: x + 1, previous.average))
    state = gan.init_gan_state(GROWN, jax.random.key(1), previous)
    assert state.generator.keys() - previous.average.keys() == {'layer5', 'layer6'}
    for name in ('layer1', 'layer2', 'layer3', 'layer4'):
        _assert_equal(state.generator[name], previous.average[name])
    fresh = gan._unequalise_weights(gan.build_demo_generator(GROWN).init(jax.random.split(jax.random.key(1))[0]))
    for name in ('layer5', 'layer6', 'to_rgb'):
        _assert_equal(state.generator[name], fresh[name])
    _assert_equal(state.generator, state.average)


@pytest.mark.slow
def test_an_adversarial_stage_keeps_the_generator_and_adds_a_discriminator():
    previous = gan.init_gan_state(SMALL, jax.random.key(0), None)
    assert previous.discriminator == {}
    state = gan.init_gan_state(ADVERSARIAL, jax.random.key(1), previous)
    _assert_equal(state.generator, previous.average)
    assert {'conv8', 'logit'} <= state.discriminator.keys()


@pytest.mark.slow
def test_supervised_steps_lower_the_loss():
    state, step = gan.init_gan_state(SMALL, jax.random.key(0), None), gan.make_gan_step(SMALL, False)
    losses = []
    for _ in range(20):
        state, log = step(state, *_batch(SMALL))
        losses.append(float(log['lesson']))
    assert np.mean(losses[-3:]) < 0.8 * losses[0]


def test_supervised_loss_counts_full_half_and_quarter_resolution():
    drawn = jnp.zeros((2, 8, 8, 3))
    np.testing.assert_allclose(gan.supervised_loss(drawn + 0.5, drawn), 1.5)
    checkers = jnp.broadcast_to((-1.0) ** jnp.arange(8)[None, :, None, None], drawn.shape)  # averages to nothing
    np.testing.assert_allclose(gan.supervised_loss(checkers, drawn), 1.0)


@pytest.mark.slow
def test_an_adversarial_step_moves_both_networks_and_the_average_a_little():
    before, state, log = _after_an_adversarial_step(regularised=False)
    assert min(_differences(before.discriminator, state.discriminator)) > 0
    assert min(_differences(before.generator, state.generator)) > 0
    moved = zip(
        _differences(before.average, state.average), _differences(before.generator, state.generator), strict=True
    )
    np.testing.assert_allclose(
        *zip(*((a, (1 - ADVERSARIAL.average_decay) * g) for a, g in moved), strict=True), atol=1e-6
    )
    assert log.keys() == {'lesson', 'on_real', 'on_fake'} and all(np.isfinite(float(x)) for x in log.values())


@pytest.mark.slow
def test_regularisation_changes_the_gradient_of_the_discriminator():
    _, plain, _ = _after_an_adversarial_step(regularised=False)
    _, regularised, _ = _after_an_adversarial_step(regularised=True)
    kernels = [
        state.discriminator_moments[0].nu['from_rgb']['kernel'] for state in (plain, regularised)
    ]  # ~ its square
    assert float(jnp.abs(kernels[0] - kernels[1]).max()) > 0.01 * float(kernels[0].max())


def test_prepare_images_averages_blocks_into_the_unit_range():
    images = np.zeros((2, 64, 64, 3), np.uint8)
    images[1], images[0, :4] = 255, 255  # half of the first row of blocks
    small = gan.prepare_images(images, 8)
    assert small.shape == (2, 8, 8, 3) and small.dtype == np.float32
    np.testing.assert_allclose(small[1], 1)
    np.testing.assert_allclose(small[0, 0], 0, atol=1e-6)
    np.testing.assert_allclose(small[0, 1:], -1)
