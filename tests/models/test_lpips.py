"""The heads of LPIPS: the distance of given maps, features of length 1, gradients where there are no features."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mgan_jax import models
from mgan_jax.models import lpips
from tests.references import lpips as reference
from tests.toy import draw_weights

CONFIGURATION = {'layers': ['first', 'second'], 'channels': [3, 5]}


def maps(seed):
    draw = np.random.default_rng(seed).standard_normal
    return [np.maximum(draw((2, 4, 6, 3)), 0).astype(np.float32), draw((2, 2, 3, 5)).astype(np.float32)]


def test_distance_by_its_definition():
    network = lpips.build_lpips(**CONFIGURATION)
    heads = jax.tree.map(jnp.abs, draw_weights(network.init))
    x, y = maps(0), maps(1)
    found = jax.jit(network.distance)(
        heads, jax.tree.map(lpips.normalise_features, x), jax.tree.map(lpips.normalise_features, y)
    )
    np.testing.assert_allclose(found, reference(x, y, [heads['first'], heads['second']]), rtol=1e-5)


def test_unit_features_have_length_one_or_are_zero():
    x = np.concatenate([maps(0)[0].reshape(-1, 3), np.zeros((1, 3)), np.full((1, 3), 1e-6)]).astype(np.float32)
    length = np.sqrt(np.square(lpips.normalise_features(jnp.asarray(x))).sum(axis=-1))
    np.testing.assert_allclose(length, np.where(x.any(axis=-1), 1, 0), rtol=2e-4)


@pytest.mark.parametrize('size', [0, 1e-25, 1e-12, 1.0])
def test_gradients_are_finite(size):
    x = jnp.full((1, 1, 1, 3), size, jnp.float32)
    assert np.isfinite(jax.grad(lambda x: jnp.sum(jnp.square(lpips.normalise_features(x) - 0.5)))(x)).all()


def test_heads_come_back_from_a_model_directory(tmp_path):
    heads = draw_weights(lpips.build_lpips(**CONFIGURATION).init)
    models.save(tmp_path / 'heads', 'lpips', CONFIGURATION, heads)
    network, loaded = models.load(tmp_path / 'heads')
    assert isinstance(network, models.Lpips)
    assert (network.layers, network.channels) == (('first', 'second'), (3, 5))
    jax.tree.map(np.testing.assert_array_equal, loaded, heads)
    assert all((head >= 0).all() for head in network.init(jax.random.key(0)).values())


@pytest.mark.parametrize('layers, channels, given', [(['a'], [1, 2], '1 layers and 2'), ([], [], '0 layers and 0')])
def test_heads_that_cannot_be(layers, channels, given):
    with pytest.raises(ValueError, match=f'^{given} channel numbers are given; one of each per stage.$'):
        lpips.build_lpips(layers, channels)
