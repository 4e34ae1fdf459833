"""VGG state dicts: configuration, position of every weight, and errors."""

import foreign_states
import numpy as np
import pytest

from converters import vgg


def test_vgg16():
    state = foreign_states.vgg()
    network = vgg.convert_vgg(state)
    assert network.configuration == {
        'depths': [2, 2, 3, 3, 3],
        'channels': [4, 8, 16, 32, 32],
        'padding': 'zero',
        'attributes': [],
    }
    assert list(network.params)[:3] == ['input', 'conv1_1', 'conv1_2'] and len(network.params) == 14
    kernel = network.params['conv3_2']['kernel']
    np.testing.assert_array_equal(kernel, state['features.12.weight'].transpose(2, 3, 1, 0))
    np.testing.assert_array_equal(network.params['conv5_3']['bias'], state['features.28.bias'])


def test_vgg19():
    state = foreign_states.vgg(foreign_states.VGG19)
    network = vgg.convert_vgg(state)
    assert network.configuration['depths'] == [2, 2, 4, 4, 4]
    np.testing.assert_array_equal(network.params['conv5_4']['bias'], state['features.34.bias'])


def test_a_truncated_network_has_the_convolutions_that_are_there():
    state = foreign_states.vgg(foreign_states.VGG16[:8])
    network = vgg.convert_vgg({name: value for name, value in state.items() if name.startswith('features')})
    assert network.configuration['depths'] == [2, 2, 2] and network.configuration['channels'] == [4, 8, 16]


def test_preprocessing_is_imagenet_normalisation():
    rgb = np.random.default_rng(0).random((5, 3), np.float32)
    layer = vgg.convert_vgg(foreign_states.vgg()).params['input']
    expected = (rgb - np.array([0.485, 0.456, 0.406])) / np.array([0.229, 0.224, 0.225])
    np.testing.assert_allclose(rgb @ layer['kernel'] + layer['bias'], expected, rtol=0, atol=1e-6)


def test_normalised_vgg19():
    state = foreign_states.normalised_vgg()
    network = vgg.convert_vgg(state)
    assert network.configuration == {
        'depths': [2, 2, 1],
        'channels': [4, 8, 16],
        'padding': 'reflect',
        'attributes': [],
    }
    rgb = np.random.default_rng(0).random(3, np.float32)
    expected = state['0.weight'][:, :, 0, 0] @ rgb + state['0.bias']
    layer = network.params['input']
    np.testing.assert_allclose(rgb @ layer['kernel'] + layer['bias'], expected, rtol=1e-6)
    np.testing.assert_array_equal(network.params['conv3_1']['kernel'], state['16.weight'].transpose(2, 3, 1, 0))


def changed(name, value):
    """None takes the tensor out."""
    state = foreign_states.vgg() | {name: value}
    return {name: value for name, value in state.items() if value is not None}


@pytest.mark.parametrize(
    'state, message',
    [
        (changed('features.1.running_mean', np.ones(4, 'f4')), 'batch normalisation'),
        (changed('features.12.weight', None), 'features.10 and features.14 are not neighbouring'),
        (changed('features.28.bias', None), "'features.28.bias' is missing"),
        (changed('features.0.weight', np.ones((4, 5, 3, 3), 'f4')), r"'features.0.weight' has shape \[4, 5, 3, 3\]"),
        (changed('features.2.weight', np.ones((5, 4, 3, 3), 'f4')), "'features.2.weight' has shape"),
        (changed('features.5.weight', np.full((8, 4, 3, 3), np.inf, 'f4')), "'features.5.weight' holds NaN"),
        (changed('features.3.bias', np.ones(4, 'f4')), "'features.3.bias' .1 in all. does not belong"),
        (changed('head', np.ones(4, 'f4')), "'head' .1 in all. does not belong"),
    ],
)
def test_other_networks_are_refused(state, message):
    assert vgg.recognise_vgg(state)
    with pytest.raises(ValueError, match=message):
        vgg.convert_vgg(state)


def test_the_decoder_of_the_normalised_vgg_is_not_recognised():
    assert not vgg.recognise_vgg({'1.weight': np.ones((128, 256, 3, 3)), '1.bias': np.ones(128)})
    assert not vgg.recognise_vgg({'0.weight': np.ones((8, 8)), '2.weight': np.ones((8, 8))})
