"""PGGAN state dicts: equal to the original implementation's output, the fused form equal to what it stands for."""

from pathlib import Path

import foreign_states
import jax
import numpy as np
import pytest
from jax import lax

from converters import formats, pggan
from converters.convert import find_network
from mgan_jax.models import pggan as model

DATA = Path(__file__).parent.parent / 'data'
REFERENCE = np.load(DATA / 'pggan_res32.npz')


def apply(network, z):
    generator = model.build_pggan(**network.configuration)
    return np.asarray(jax.jit(generator.generate)(network.params, z))


@pytest.mark.parametrize('name', ['pggan_res32.pth', 'pggan_res32_legacy.pth'])
def test_output_of_the_original_implementation(name):
    network = find_network(formats.read_weight_file(DATA / name).value)
    assert network.architecture == 'pggan'
    assert network.configuration == {
        'resolution': 32,
        'latent_dim': 48,
        'fmaps_base': 512,
        'fmaps_max': 48,
        'image_channels': 3,
    }
    image = apply(network, REFERENCE['z']).transpose(0, 3, 1, 2)
    np.testing.assert_allclose(image, REFERENCE['image'], rtol=0, atol=1e-4 * np.abs(REFERENCE['image']).max())


@pytest.mark.slow
def test_feature_maps_of_the_original_implementation():
    network = find_network(formats.read_weight_file(DATA / 'pggan_res32.pth').value)
    generator = model.build_pggan(**network.configuration)
    compute = jax.jit(generator.features, static_argnums=2)
    for l in range(1, 9):
        reference = REFERENCE[f'layer{l - 1}']
        features = np.asarray(compute(network.params, REFERENCE['z'], l)).transpose(0, 3, 1, 2)
        np.testing.assert_allclose(features, reference, rtol=0, atol=1e-4 * np.abs(reference).max())


def fused_layer(x, weight):
    """The definition: [B H W C_in] by a stride-2 transposed convolution with the four shifts of [3 3 C_in C_out] summed."""
    padded = np.pad(weight, ((1, 1), (1, 1), (0, 0), (0, 0)))
    kernel = padded[1:, 1:] + padded[:-1, 1:] + padded[1:, :-1] + padded[:-1, :-1]  # 4x4
    layout = ('NHWC', 'HWIO', 'NHWC')
    return lax.conv_general_dilated(
        x, kernel[::-1, ::-1], (1, 1), ((2, 2), (2, 2)), lhs_dilation=(2, 2), dimension_numbers=layout
    )


def test_fused_layers_are_upsampling_and_a_flipped_convolution():
    state = foreign_states.pggan(fused=True)
    params = pggan.convert_pggan(state).params
    x = foreign_states.normal(1)(2, 4, 4, 8)
    layout = ('NHWC', 'HWIO', 'NHWC')
    upsampled = x.repeat(2, axis=1).repeat(2, axis=2)
    ours = lax.conv_general_dilated(upsampled, params['layer3']['kernel'], (1, 1), 'SAME', dimension_numbers=layout)
    original = fused_layer(x, state['layer2.weight']) * np.sqrt(2 / (9 * 8))
    assert ours.shape == original.shape
    np.testing.assert_allclose(ours, original, rtol=0, atol=1e-5 * np.abs(original).max())


def test_fused_and_plain_forms_of_one_network_are_equal():
    fused = foreign_states.pggan(fused=True)
    plain = dict(fused)
    for l in (2, 4):
        plain[f'layer{l}.conv.weight'] = plain.pop(f'layer{l}.weight')[::-1, ::-1].transpose(3, 2, 0, 1)
    z = foreign_states.normal(2)(2, 6)
    np.testing.assert_allclose(apply(pggan.convert_pggan(fused), z), apply(pggan.convert_pggan(plain), z), rtol=1e-6)


@pytest.mark.parametrize(
    'numbers',
    [
        {'resolution': 8, 'latent_dim': 3, 'fmaps_base': 8 * 7, 'fmaps_max': 7},
        {'resolution': 32, 'latent_dim': 5, 'fmaps_base': 96, 'fmaps_max': 24},
        {'resolution': 64, 'latent_dim': 8, 'fmaps_base': 256, 'fmaps_max': 16},
    ],
)
def test_configurations(numbers):
    assert pggan.convert_pggan(foreign_states.pggan(**numbers)).configuration == numbers | {'image_channels': 3}


def test_parameters_are_float32_and_own_their_memory():
    state = foreign_states.pggan()
    for layer in pggan.convert_pggan(state).params.values():
        for array in layer.values():
            assert array.dtype == np.float32 and array.flags.c_contiguous
            assert not any(np.shares_memory(array, original) for original in state.values())


def changed(name, value):
    return foreign_states.pggan() | {name: value}


def without(name):
    return {key: value for key, value in foreign_states.pggan().items() if key != name}


def draw(*shape):
    return np.ones(shape, np.float32)


def uneven():
    """The second layer of 8x8 with fewer channels than the first."""
    replaced = {
        'layer3.conv.weight': draw(7, 8, 3, 3),
        'layer3.wscale.bias': draw(7),
        'layer4.conv.weight': draw(4, 7, 3, 3),
    }
    return foreign_states.pggan() | replaced


@pytest.mark.parametrize(
    'state, message',
    [
        (changed('lod', np.array(1.5, np.float32)), 'lod is 1.5'),
        (changed('layer2.conv.weight', draw(8, 8, 5, 5)), r"'layer2.conv.weight' has shape \[8, 8, 5, 5\]"),
        (changed('layer3.wscale.bias', draw(9)), "'layer3.wscale.bias' has shape"),
        (changed('layer0.conv.weight', draw(8, 6, 3, 3)), "'layer0.conv.weight' has shape"),
        (changed('output2.conv.weight', draw(3, 9, 1, 1)), "'output2.conv.weight' has shape"),
        (changed('layer3.conv.weight', draw(8, 8, 3, 3) * np.nan), "'layer3.conv.weight' holds NaN"),
        (changed('layer6.wscale.bias', draw(8)), 'has 7 layers'),
        (changed('noise', draw(1)), "'noise' .1 in all. does not belong"),
        (without('layer3.conv.weight'), "'layer3.conv.weight' is missing"),
        (without('layer0.wscale.bias'), "'layer0.wscale.bias' is missing"),
        (without('output2.wscale.bias'), "'output2.wscale.bias' is missing"),
        (uneven(), 'which no network of this family has'),
    ],
)
def test_other_networks_are_refused(state, message):
    assert pggan.recognise_pggan(state)
    with pytest.raises(ValueError, match=message):
        pggan.convert_pggan(state)


def test_lower_outputs_are_not_needed():
    state = without('output0.conv.weight')
    np.testing.assert_array_equal(
        pggan.convert_pggan(state).params['to_rgb']['bias'],
        pggan.convert_pggan(foreign_states.pggan()).params['to_rgb']['bias'],
    )
