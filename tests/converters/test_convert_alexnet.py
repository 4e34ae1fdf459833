"""AlexNet state dicts: position of every weight, difference from a VGG, and errors."""

import foreign_states
import jax
import numpy as np
import pytest

from converters import alexnet, vgg
from mgan_jax import models
from tests.references import alexnet_maps, relative_error


def test_alexnet():
    state = foreign_states.alexnet()
    network = alexnet.convert_alexnet(state)
    assert network.architecture == 'alexnet' and network.configuration == {'channels': [4, 12, 24, 16, 16]}
    assert list(network.params) == ['input', 'conv1', 'conv2', 'conv3', 'conv4', 'conv5']
    for name, number in (('conv1', 0), ('conv2', 3), ('conv3', 6), ('conv4', 8), ('conv5', 10)):
        kernel = network.params[name]['kernel']
        np.testing.assert_array_equal(kernel, state[f'features.{number}.weight'].transpose(2, 3, 1, 0))
        np.testing.assert_array_equal(network.params[name]['bias'], state[f'features.{number}.bias'])


def test_the_network_of_a_state_dict_computes_its_features(tmp_path):
    network = alexnet.convert_alexnet(foreign_states.alexnet())
    models.save(tmp_path / 'model', *network)
    extractor, params = models.load(tmp_path / 'model')
    x = np.random.default_rng(0).uniform(-1, 1, (1, 40, 33, 3)).astype(np.float32)
    found = jax.jit(extractor.features, static_argnums=2)(params, x, extractor.layers)
    for one, other in zip(found, alexnet_maps(network.params, x), strict=True):
        assert relative_error(one, other) < 1e-5


def test_told_from_a_vgg_by_the_shape_of_the_first_kernel():
    assert alexnet.recognise_alexnet(foreign_states.alexnet()) and not vgg.recognise_vgg(foreign_states.alexnet())
    assert vgg.recognise_vgg(foreign_states.vgg()) and not alexnet.recognise_alexnet(foreign_states.vgg())
    assert not alexnet.recognise_alexnet({'features.0.weight': 3}) and not vgg.recognise_vgg({'features.0.weight': 3})


def changed(name, value):
    """None takes the tensor out."""
    state = foreign_states.alexnet() | {name: value}
    return {name: value for name, value in state.items() if value is not None}


@pytest.mark.parametrize(
    'state, message',
    [
        (changed('features.8.weight', None), "'features.8.weight' is missing"),
        (changed('features.10.bias', None), "'features.10.bias' is missing"),
        (changed('features.3.weight', np.ones((12, 4, 3, 3), 'f4')), r'shape \[12, 4, 3, 3\], but \[\*, 4, 5, 5\]'),
        (changed('features.3.bias', np.ones(13, 'f4')), r"'features.3.bias' has shape \[13\], but \[12\]"),
        (changed('features.6.bias', np.full(24, np.nan, 'f4')), "'features.6.bias' holds NaN"),
        (changed('features.12.weight', np.ones(4, 'f4')), "'features.12.weight' .1 in all. does not belong to a"),
    ],
)
def test_other_networks_are_refused(state, message):
    with pytest.raises(ValueError, match=message):
        alexnet.convert_alexnet(state)
