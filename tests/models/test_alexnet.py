"""AlexNet: every layer against numpy, depth on demand, several layers at once, refusals."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mgan_jax.models import alexnet
from tests.references import alexnet_maps, relative_error
from tests.toy import draw_weights

CHANNELS = (6, 8, 10, 7, 9)
LAYERS = ('relu1', 'relu2', 'relu3', 'relu4', 'relu5')


def network():
    extractor = alexnet.build_alexnet(CHANNELS)
    return extractor, draw_weights(extractor.init)


def images(*shape):
    return np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32)


@pytest.mark.parametrize('height, width', [(31, 31), (64, 47)])
def test_every_layer_against_numpy(height, width):
    extractor, params = network()
    x = images(2, height, width, 3)
    found = jax.jit(extractor.features, static_argnums=2)(params, x, LAYERS)
    expected = alexnet_maps(jax.tree.map(np.asarray, params), x)
    for one, other, channels in zip(found, expected, CHANNELS, strict=True):
        assert one.shape == other.shape and one.shape[-1] == channels
        assert relative_error(one, other) < 1e-5


def test_sizes_of_the_original_network():
    extractor = alexnet.build_alexnet()
    params = jax.eval_shape(extractor.init, jax.random.key(0))
    maps = jax.eval_shape(lambda p, x: extractor.features(p, x, LAYERS), params, jnp.zeros((1, 224, 224, 3)))
    shapes = [(1, 55, 55, 64), (1, 27, 27, 192), (1, 13, 13, 384), (1, 13, 13, 256), (1, 13, 13, 256)]
    assert [leaf.shape for leaf in maps] == shapes
    assert extractor.layers == extractor.stages == LAYERS


def test_computed_only_as_deep_as_needed_and_once_for_several_layers():
    extractor, params = network()
    for asked, depth in [(layer, i) for i, layer in enumerate(LAYERS, 1)] + [(('relu3', 'relu1'), 3), (LAYERS, 5)]:
        program = str(jax.make_jaxpr(extractor.features, static_argnums=2)(params, jnp.zeros((1, 31, 31, 3)), asked))
        assert program.count('conv_general_dilated[') == depth
        assert program.count('reduce_window_max[') == min(depth - 1, 2)


def test_several_layers_come_in_the_order_asked_for():
    extractor, params = network()
    x = jnp.asarray(images(1, 31, 33, 1))
    third, first = extractor.features(params, x, ('relu3', 'relu1'))
    np.testing.assert_array_equal(first, extractor.features(params, jnp.repeat(x, 3, axis=3), 'relu1'))
    np.testing.assert_array_equal(third, extractor.features(params, x, 'relu3'))


@pytest.mark.parametrize('layer, least', [('relu1', 7), ('relu2', 15), ('relu3', 31), ('relu5', 31)])
def test_images_that_are_too_small(layer, least):
    extractor, params = network()
    compute = jax.jit(extractor.features, static_argnums=2)
    assert compute(params, jnp.zeros((1, least, least, 3)), layer).shape[1:3] == (1, 1)
    message = rf'^images of {least}x{least - 1} pixels are too small for {layer}: it needs {least} pixels a side.'
    with pytest.raises(ValueError, match=message):
        compute(params, jnp.zeros((1, least, least - 1, 3)), layer)


@pytest.mark.parametrize('layer, given', [('relu6', "layer 'relu6'"), (('relu1', 'relu1_2'), "layer 'relu1_2'")])
def test_layers_that_are_not_there(layer, given):
    extractor, params = network()
    with pytest.raises(ValueError, match=f'^{given} is given; this extractor has relu1, relu2, relu3, relu4, relu5.$'):
        extractor.features(params, jnp.zeros((1, 31, 31, 3)), layer)


def test_no_layer_at_all():
    extractor, params = network()
    with pytest.raises(ValueError, match='^no layer is given; this extractor has relu1,'):
        extractor.features(params, jnp.zeros((1, 31, 31, 3)), ())


def test_networks_that_cannot_be_and_attributes_that_are_not_there():
    with pytest.raises(ValueError, match='^3 channel numbers are given; an AlexNet has 5 convolutions.$'):
        alexnet.build_alexnet((4, 4, 4))
    extractor, params = network()
    with pytest.raises(ValueError, match='not trained to tell attributes'):
        extractor.attributes(params, jnp.zeros((1, 31, 31, 3)))
