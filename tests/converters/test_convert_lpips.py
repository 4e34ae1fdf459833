"""The heads of LPIPS: their network, and errors."""

import foreign_states
import numpy as np
import pytest

from converters import lpips

ALEXNET = (64, 192, 384, 256, 256)
SQUEEZENET = (64, 128, 256, 384, 384, 512, 512)


def test_heads_of_vgg16():
    state = foreign_states.lpips()
    network = lpips.convert_lpips(state)
    layers = ['relu1_2', 'relu2_2', 'relu3_3', 'relu4_3', 'relu5_3']
    assert network.architecture == 'lpips'
    assert network.configuration == {'layers': layers, 'channels': [64, 128, 256, 512, 512]}
    assert list(network.params) == layers
    for k, layer in enumerate(layers):
        np.testing.assert_array_equal(network.params[layer], state[f'lin{k}.model.1.weight'][0, :, 0, 0])


def test_heads_of_alexnet():
    network = lpips.convert_lpips(foreign_states.lpips(ALEXNET))
    layers = ['relu1', 'relu2', 'relu3', 'relu4', 'relu5']
    assert network.configuration == {'layers': layers, 'channels': list(ALEXNET)}


def changed(number, value, channels=ALEXNET):
    """None takes the tensor out."""
    state = foreign_states.lpips(channels) | {f'lin{number}.model.1.weight': value}
    return {name: value for name, value in state.items() if value is not None}


@pytest.mark.parametrize(
    'state, message',
    [
        (
            foreign_states.lpips(SQUEEZENET),
            r'LPIPS heads for \[64, 128, 256, 384, 384, 512, 512\] channels; .* AlexNet',
        ),
        (foreign_states.lpips((64, 128)), r'LPIPS heads for \[64, 128\] channels; those for VGG-16 or AlexNet'),
        (changed(1, -np.ones((1, 192, 1, 1), 'f4')), "'lin1.model.1.weight' holds negative weights"),
        (changed(1, np.full((1, 192, 1, 1), np.nan, 'f4')), "'lin1.model.1.weight' holds NaN"),
        (changed(2, np.ones(384, 'f4')), r"'lin2.model.1.weight' has shape \[384\], but \[1, \*, 1, 1\] is expected"),
        (changed(2, np.ones((2, 384, 1, 1), 'f4')), r'has shape \[2, 384, 1, 1\], but \[1, \*, 1, 1\] is expected'),
        (changed(0, None), "'lin0.model.1.weight' is missing"),
        (changed(2, None), "'lin3.model.1.weight' .2 in all. does not belong to a set of 2 LPIPS heads"),
        (changed(4, None), r'LPIPS heads for \[64, 192, 384, 256\] channels'),
        (changed(0, 'text'), "'lin0.model.1.weight' does not hold floating-point"),
        (foreign_states.lpips() | {'net.slice1.0.weight': np.ones(3, 'f4')}, "'net.slice1.0.weight' .1 in all."),
    ],
)
def test_other_heads_are_refused(state, message):
    assert lpips.recognise_lpips(state)
    with pytest.raises(ValueError, match=message):
        lpips.convert_lpips(state)


def test_other_networks_are_not_recognised():
    assert not lpips.recognise_lpips(foreign_states.vgg()) and not lpips.recognise_lpips(foreign_states.alexnet())
