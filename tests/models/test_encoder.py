"""The encoder: its inputs and outputs, model directories, and the checksum of its generator."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mgan_jax import models
from mgan_jax.models import encoder
from mgan_jax.models.convolutions.plain import trainable_conv
from tests import toy

CONFIGURATION = {'image_size': [16, 16], 'latent_dim': 6, 'channels': [4, 8], 'made_for': 'whose'}
IMAGES = np.random.default_rng(0).uniform(-1, 1, (3, 16, 16, 3)).astype(np.float32)


def network(**changes):
    built = encoder.build_encoder(**CONFIGURATION | changes)
    return built, toy.draw_weights(built.init)


@pytest.mark.slow
def test_codes_of_z_have_one_length():
    told, params = network()
    codes = told(params, IMAGES)
    assert codes.shape == (3, 6) and (told.space, told.made_for, told.label) == ('z', 'whose', -1)
    np.testing.assert_allclose(np.square(codes).sum(axis=1), 6, rtol=1e-4)
    assert np.abs(codes[0] - codes[1]).max() > 1e-3
    np.testing.assert_allclose(told(params, IMAGES[1:2]), codes[1:2], rtol=1e-4, atol=1e-5)  # each by itself


@pytest.mark.slow
def test_codes_of_w_are_measured_in_their_deviation():
    told, params = network(space='w')
    standard = told(params | {'mean': jnp.zeros(6), 'deviation': jnp.ones(6)}, IMAGES)
    mean, deviation = jnp.arange(6.0), jnp.arange(6.0) / 5
    codes = told(params | {'mean': mean, 'deviation': deviation}, IMAGES)
    np.testing.assert_allclose(codes, mean[None] + deviation[None] * standard, rtol=1e-5, atol=1e-6)
    gradient = jax.grad(lambda params: jnp.sum(jnp.square(told(params, IMAGES))))(params)
    assert not gradient['mean'].any() and not gradient['deviation'].any() and gradient['kernel'].any()


@pytest.mark.slow
def test_images_are_seen_at_the_size_of_the_network():
    """An image of 16x16 pixels made of 2x2 blocks is resized to 8x8 pixels, the size of a network with one halving."""
    large, params = network(channels=[4])
    small, _ = network(channels=[4], image_size=[8, 8])
    blocks = np.repeat(np.repeat(IMAGES[:, :8, :8], 2, axis=1), 2, axis=2)
    seen = jax.image.resize(blocks, (3, 8, 8, 3), 'linear')
    np.testing.assert_allclose(large(params, blocks), small(params, seen), rtol=1e-5)
    wide, _ = network(image_size=[10, 16])
    assert wide(network()[1], IMAGES[:, :10]).shape == (3, 6)


def test_trainable_conv_predicts_the_same():
    told, params = network()
    quick, _ = network(conv=trainable_conv)
    np.testing.assert_allclose(quick(params, IMAGES), told(params, IMAGES), rtol=1e-4, atol=1e-5)


def test_an_encoder_comes_back_from_a_model_directory(tmp_path):
    told, params = network()
    models.save(tmp_path / 'encoder', 'encoder', CONFIGURATION, params)
    loaded, weights = models.load(tmp_path / 'encoder')
    assert isinstance(loaded, models.Encoder) and loaded.made_for == 'whose'
    np.testing.assert_array_equal(loaded(weights, IMAGES), told(params, IMAGES))


def test_checksum_of_the_weights_but_not_of_their_type_or_transformed_kernels():
    _, params = toy.generator()
    known = encoder.weights_checksum(params)
    assert (
        known
        == encoder.weights_checksum(models.cast(params, 'bfloat16'))
        == encoder.weights_checksum(jax.device_get(params))
    )
    assert encoder.weights_checksum(params | {'layer3': params['layer3'] | {'transformed': jnp.ones((4, 4))}}) == known
    bias = params['to_rgb']['bias']
    other = params | {'to_rgb': params['to_rgb'] | {'bias': bias.at[0].add(0.5)}}
    assert encoder.weights_checksum(other) != known


@pytest.mark.parametrize('shape', [(3, 16, 16), (3, 8, 16, 3), (3, 16, 16, 1)])
def test_images_of_another_size_are_refused(shape):
    told, params = network()
    with pytest.raises(ValueError, match=r'are given; this encoder takes \[B, 16, 16, 3\]'):
        told(params, np.zeros(shape, np.float32))


@pytest.mark.parametrize(
    'changes, message',
    [
        ({'space': 'w+'}, "space 'w\\+' is given; an encoder tells"),
        ({'channels': []}, 'at least one of channels'),
        ({'channels': [4, 0]}, 'numbers from 1'),
        ({'latent_dim': 0}, 'numbers from 1'),
    ],
)
def test_encoders_that_cannot_be(changes, message):
    with pytest.raises(ValueError, match=message):
        network(**changes)
