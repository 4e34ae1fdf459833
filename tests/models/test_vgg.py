"""VGG: stored activations of the original implementation, depth on demand, the variants of the network, refusals."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mgan_jax.models import vgg
from tests.references import relative_error, stored, vgg16_params
from tests.toy import draw_weights

VGG16_LAYERS = 'relu1_1 relu1_2 relu2_1 relu2_2 relu3_1 relu3_2 relu3_3 relu4_1 relu4_2 relu4_3 relu5_1 relu5_2 relu5_3'


def convolve(x, kernel, bias, mode):
    """3x3 convolution and ReLU in numpy; mode: of the borders, as numpy.pad has it."""
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), mode=mode)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))  # [B H W C 3 3]
    return np.maximum(np.einsum('bhwcij,ijcd->bhwd', windows, kernel) + bias, 0)


def pool(x):
    """2x2 max pooling; a last odd row or column does not count."""
    b, h, w, c = x.shape
    return x[:, : h // 2 * 2, : w // 2 * 2].reshape(b, h // 2, 2, w // 2, 2, c).max(axis=(2, 4))


def images(*shape):
    return np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32)


@pytest.mark.slow
def test_activations_of_the_original_implementation():
    reference, extractor = stored('vgg16_lpips_metrics'), vgg.build_vgg()
    names = [key.removesuffix('_mean') for key in reference if key.endswith('_mean')]
    assert len(names) == 5
    compute = jax.jit(lambda p, x: {name: extractor.features(p, x, name) for name in names})
    found = compute(vgg16_params(), reference['a'])
    assert relative_error(found['relu3_3'], reference['relu3_3']) < 1e-5
    for name in names:
        assert relative_error(found[name].mean(axis=(1, 2)), reference[f'{name}_mean']) < 1e-5


def test_names_of_the_layers():
    assert ' '.join(vgg.build_vgg().layers) == VGG16_LAYERS
    vgg19 = vgg.build_vgg(depths=(2, 2, 4, 4, 4)).layers
    assert len(vgg19) == 16
    assert [name for name in vgg19 if name not in VGG16_LAYERS.split()] == ['relu3_4', 'relu4_4', 'relu5_4']


def test_computed_only_as_deep_as_needed():
    extractor = vgg.build_vgg(channels=(4, 4, 8, 8, 8))
    params = draw_weights(extractor.init)
    for depth, layer in enumerate(extractor.layers, 1):
        program = str(jax.make_jaxpr(extractor.features, static_argnums=2)(params, jnp.zeros((1, 16, 16, 3)), layer))
        assert program.count('conv_general_dilated[') == depth
        assert program.count('reduce_window_max[') == int(layer[4]) - 1


@pytest.mark.parametrize('padding, mode', [('zero', 'constant'), ('reflect', 'reflect')])
def test_every_layer_against_numpy(padding, mode):
    extractor = vgg.build_vgg(depths=(2, 1), channels=(4, 5), padding=padding)
    params = jax.tree.map(np.asarray, draw_weights(extractor.init))
    x = images(2, 7, 6, 3)
    expected = (x + 1) / 2 @ params['input']['kernel'] + params['input']['bias']
    for name in extractor.layers:
        if name == 'relu2_1':
            expected = pool(expected)
        expected = convolve(expected, **params[name.replace('relu', 'conv')], mode=mode)
        found = jax.jit(extractor.features, static_argnums=2)(params, x, name)
        assert found.shape == expected.shape
        assert relative_error(found, expected) < 1e-5


def test_several_layers_are_one_pass_in_the_order_asked_for():
    extractor = vgg.build_vgg(depths=(1, 2), channels=(4, 4))
    params, x, asked = draw_weights(extractor.init), jnp.asarray(images(1, 8, 8, 3)), ('relu2_1', 'relu1_1')
    program = str(jax.make_jaxpr(extractor.features, static_argnums=2)(params, x, asked))
    assert program.count('conv_general_dilated[') == 2
    for name, found in zip(asked, extractor.features(params, x, asked), strict=True):
        np.testing.assert_array_equal(found, extractor.features(params, x, name))


def test_stages_are_the_last_layers_of_the_blocks():
    assert vgg.build_vgg().stages == ('relu1_2', 'relu2_2', 'relu3_3', 'relu4_3', 'relu5_3')
    assert vgg.build_vgg(depths=(2, 2, 4, 4, 4)).stages[2:] == ('relu3_4', 'relu4_4', 'relu5_4')


def test_gray_images_count_as_three_equal_channels():
    extractor = vgg.build_vgg(depths=(1, 1), channels=(4, 4))
    params, x = draw_weights(extractor.init), images(1, 8, 8, 1)
    found = extractor.features(params, jnp.asarray(x), 'relu2_1')
    expected = extractor.features(params, jnp.asarray(np.repeat(x, 3, axis=3)), 'relu2_1')
    np.testing.assert_array_equal(found, expected)
    assert np.std(found) > 0


def test_attributes_are_a_head_on_the_mean_of_the_last_layer():
    extractor = vgg.build_vgg(depths=(1, 1), channels=(4, 5), attributes=['night', 'tower', 'snow'])
    assert extractor.attribute_names == ('night', 'tower', 'snow')
    params, x = draw_weights(extractor.init), jnp.asarray(images(2, 8, 8, 3))
    params['head']['bias'] = jnp.asarray([0.5, -1.0, 2.0])
    mean = np.asarray(extractor.features(params, x, 'relu2_1')).mean(axis=(1, 2))
    logits = mean @ np.asarray(params['head']['kernel']) + np.asarray(params['head']['bias'])
    np.testing.assert_allclose(extractor.attributes(params, x), 1 / (1 + np.exp(-logits)), rtol=1e-5)


def test_without_attributes_there_is_no_head():
    extractor = vgg.build_vgg(depths=(1,), channels=(4,))
    params = draw_weights(extractor.init)
    assert extractor.attribute_names == () and sorted(params) == ['conv1_1', 'input']
    with pytest.raises(ValueError, match='^this extractor was not trained to tell attributes; it has only features.$'):
        extractor.attributes(params, jnp.zeros((1, 8, 8, 3)))


def test_layers_that_are_not_there():
    extractor = vgg.build_vgg(depths=(1, 2), channels=(4, 4))
    with pytest.raises(ValueError, match=r"^layer 'conv2_1' is given; this extractor has relu1_1, relu2_1, relu2_2.$"):
        extractor.features(draw_weights(extractor.init), jnp.zeros((1, 8, 8, 3)), 'conv2_1')


@pytest.mark.slow
@pytest.mark.parametrize('padding, least', [('zero', 4), ('reflect', 8)])
def test_images_that_are_too_small(padding, least):
    extractor = vgg.build_vgg(depths=(1, 1, 1), channels=(4, 4, 4), padding=padding, attributes=['night'])
    params = draw_weights(extractor.init)
    tell = jax.jit(extractor.attributes)
    features = jax.jit(extractor.features, static_argnums=2)
    enough = features(params, jnp.zeros((1, least, least + 1, 3)), 'relu3_1')
    assert enough.shape[1] == least // 4 and np.isfinite(enough).all()
    assert np.isfinite(tell(params, jnp.zeros((1, least, least, 3)))).all()
    small = jnp.zeros((1, least, least - 1, 3))
    message = rf'^images of {least}x{least - 1} pixels are too small for block 3: it needs {least} pixels a side.'
    with pytest.raises(ValueError, match=message):
        features(params, small, 'relu3_1')
    with pytest.raises(ValueError, match=message):
        tell(params, small)
    assert features(params, small, 'relu2_1').shape[1] == least // 2


@pytest.mark.parametrize(
    'configuration, message',
    [
        ({'padding': 'same'}, "padding 'same' is given; 'zero' or 'reflect' is wanted."),
        ({'depths': (2, 2)}, '2 depths and 5 channel numbers are given; one of each per block.'),
        ({'depths': (), 'channels': ()}, '0 depths and 0 channel numbers are given;'),
    ],
)
def test_networks_that_cannot_be(configuration, message):
    with pytest.raises(ValueError, match=f'^{message}'):
        vgg.build_vgg(**configuration)
