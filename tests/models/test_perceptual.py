"""Perceptual distances against numpy, for both kinds of network, and networks that the heads are not for."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mgan_jax.models import alexnet, lpips, perceptual, vgg
from tests import references
from tests.toy import draw_weights

DEPTHS, VGG_CHANNELS, ALEXNET_CHANNELS = (2, 1, 2), (4, 6, 5), (6, 8, 10, 7, 9)


def draw(*shape, seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, shape).astype(np.float32)


def network(name):
    """An extractor, its LPIPS, the weights of both, and all stages of it in numpy."""
    if name == 'vgg':
        extractor, channels = vgg.build_vgg(DEPTHS, VGG_CHANNELS), VGG_CHANNELS
        maps = lambda params, x: references.vgg_maps(params, x, DEPTHS)  # noqa: E731
    else:
        extractor, channels, maps = alexnet.build_alexnet(ALEXNET_CHANNELS), ALEXNET_CHANNELS, references.alexnet_maps
    heads = lpips.build_lpips(extractor.stages, channels)
    params = draw_weights(extractor.init) | {'input': jax.tree.map(jnp.asarray, references.imagenet_input())}
    weights = params, jax.tree.map(jnp.abs, draw_weights(heads.init, seed=1))
    return extractor, heads, weights, maps


@pytest.fixture(params=['vgg', 'alexnet'])
def given(request):
    return network(request.param)


@pytest.mark.slow
def test_lpips_against_numpy(given):
    extractor, heads, weights, maps = given
    x = draw(3, 35, 40, 3)
    y = np.clip(x + np.array([0.01, 0.1, 1.0], np.float32).reshape(3, 1, 1, 1) * draw(*x.shape, seed=1), -1, 1)
    params, ws = jax.tree.map(np.asarray, weights)
    expected = references.lpips(maps(params, x), maps(params, y), [ws[layer] for layer in extractor.stages])
    found = jax.jit(lambda *given: perceptual.lpips_distance(extractor, heads)(*given))(weights, x, y)
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    assert np.all(np.diff(found) > 0)


def test_the_normalisation_of_the_extractors_is_that_of_lpips():
    x = draw(5, 3).astype(np.float64)
    shift, scale = np.array([-0.030, -0.088, -0.188]), np.array([0.458, 0.448, 0.450])
    layer = references.imagenet_input()
    np.testing.assert_allclose((x + 1) / 2 @ layer['kernel'] + layer['bias'], (x - shift) / scale, atol=1e-6)


@pytest.mark.slow
def test_equal_images_have_no_distance_and_no_gradient(given):
    """To rounding, since the two passes of one program may be computed in other orders."""
    distance, weights = perceptual.lpips_distance(*given[:2]), given[2]
    x = jnp.asarray(draw(2, 32, 32, 3))
    value, gradient = jax.jit(jax.value_and_grad(lambda x, y: jnp.sum(distance(weights, x, y))))(x, x)
    assert 0 <= value < 1e-12
    np.testing.assert_allclose(gradient, 0, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize('both', [True, False])
def test_gradients_are_finite_where_no_feature_is_active(given, both):
    """All features of the last stage are 0, in both images or in one."""
    extractor, heads, (params, ws), _ = given
    distance = perceptual.lpips_distance(extractor, heads)
    last = extractor.stages[-1].replace('relu', 'conv')
    dead = params | {last: params[last] | {'bias': params[last]['bias'] - 1e3}}
    target = distance.describe((dead if both else params, ws), jnp.asarray(draw(1, 32, 32, 3, seed=1)))
    assert (target[-1] == 0).all() == both
    gradient = jax.grad(lambda x: jnp.sum(distance.compare((dead, ws), distance.describe((dead, ws), x), target)))
    found = jax.jit(gradient)(jnp.asarray(draw(1, 32, 32, 3)))
    assert np.isfinite(found).all() and found.any()


def test_one_pass_for_each_image(given):
    extractor, heads, weights, _ = given
    x = jnp.zeros((1, 32, 32, 3))
    program = str(jax.make_jaxpr(perceptual.lpips_distance(extractor, heads).describe)(weights, x))
    assert program.count('conv_general_dilated[') == len(extractor.layers)


@pytest.mark.slow
def test_an_image_counts_by_itself(given):
    extractor, heads, weights, _ = given
    distance = jax.jit(lambda *given: perceptual.lpips_distance(extractor, heads)(*given))
    x, y = draw(3, 32, 32, 3), draw(3, 32, 32, 3, seed=1)
    together = distance(weights, x, y)
    assert together.shape == (3,) and together.dtype == jnp.float32
    for i in range(3):
        np.testing.assert_allclose(distance(weights, x[i : i + 1], y[i : i + 1])[0], together[i], rtol=1e-4)


def test_heads_of_another_network():
    extractor, _, (params, _), _ = network('vgg')
    other = lpips.build_lpips(('relu1', 'relu2'), (4, 6))
    message = (
        '^the stages of the extractor are relu1_2, relu2_1, relu3_2; these LPIPS heads are for a network with relu1,'
    )
    with pytest.raises(ValueError, match=message):
        perceptual.lpips_distance(extractor, other)
    deeper = vgg.build_vgg((2, 2, 4, 4, 4))
    with pytest.raises(ValueError, match='these LPIPS heads are for'):
        perceptual.lpips_distance(deeper, lpips.build_lpips(vgg.build_vgg().stages, (64, 128, 256, 512, 512)))
    narrow = lpips.build_lpips(extractor.stages, (4, 6, 4))
    message = r'^the extractor has \[4, 6, 5\] channels at its stages; these LPIPS heads are for \[4, 6, 4\].$'
    with pytest.raises(ValueError, match=message):
        perceptual.lpips_distance(extractor, narrow).describe((params, {}), jnp.zeros((1, 8, 8, 3)))
    with pytest.raises(ValueError, match='^the stages of the extractor are none; '):
        perceptual.lpips_distance(extractor._replace(stages=()), narrow)


def test_features_are_the_mean_absolute_difference_of_a_layer():
    extractor, _, (params, _), maps = network('vgg')
    x, y = draw(2, 8, 9, 3), draw(2, 8, 9, 3, seed=1)
    one, other = (maps(jax.tree.map(np.asarray, params), image)[1] for image in (x, y))
    expected = np.mean(np.abs(one - other), axis=(1, 2, 3))
    np.testing.assert_allclose(perceptual.feature_distance(extractor, 'relu2_1')(params, x, y), expected, rtol=1e-5)


def test_mean_absolute():
    x, y = draw(2, 3, 4, 5), draw(2, 3, 4, 5, seed=1)
    expected = np.mean(np.abs(x - y), axis=(1, 2, 3))
    np.testing.assert_allclose(perceptual.mean_absolute(jnp.asarray(x), jnp.asarray(y)), expected, rtol=1e-5)
