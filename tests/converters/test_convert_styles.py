"""StyleGAN, StyleGAN2 and PGGAN from all kinds of files."""

import json

import jax
import numpy as np
import pytest

from converters import formats, stylegan, stylegan2
from converters.convert import convert, find_network
from mgan_jax import models
from mgan_jax.models.directory import BUILDERS
from tests.converters import foreign_states, pickle_writer
from tests.converters.torch_writer import zip_file
from tests.references import DATA, relative_error, stored

pytestmark = pytest.mark.usefixtures('quick_compilation')
TRUNCATION = {'stylegan_res32': (0.7, 4), 'stylegan2_res32': (0.5, 5)}


def read(name, network=None):
    found = find_network(formats.read_weight_file(DATA / name).value, network)
    return BUILDERS[found.architecture](**found.configuration), found


@pytest.mark.slow
@pytest.mark.parametrize('name', TRUNCATION)
@pytest.mark.parametrize('kind', ['.pth', '_tf.pkl'])
def test_images_of_the_original_implementation(name, kind):
    generator, found = read(name + kind)
    arrays, (psi, layers) = stored(name), TRUNCATION[name]
    assert relative_error(generator.styles.of(found.params, arrays['z'], 'z'), arrays['w']) < 1e-5
    image = generator.generate(found.params, arrays['z'], psi, truncation_layers=layers)
    assert relative_error(image, arrays['image']) < 1e-5
    image = generator.generate(found.params, arrays['w_plus'], space='w+')
    assert relative_error(image, arrays['image_w_plus']) < 1e-5


@pytest.mark.slow
def test_images_of_nvidias_implementation():
    generator, found = read('stylegan2_ada_res32.pkl')
    arrays, params = stored('stylegan2_ada_res32'), found.params
    z = arrays['z']
    assert relative_error(generator.styles.of(params, z, 'z'), arrays['w'][:, 0]) < 1e-5
    assert relative_error(generator.generate(params, z), arrays['image']) < 1e-5
    assert relative_error(generator.generate(params, z, 0.5), arrays['image_truncated_psi0_5']) < 1e-5
    assert relative_error(generator.generate(params, z, noise='none'), arrays['image_no_noise']) < 1e-5


@pytest.mark.parametrize('name', ['pggan_res32', *TRUNCATION])
def test_all_forms_of_the_same_weights_are_one_network(name):
    (_, one), (_, other) = read(f'{name}.pth'), read(f'{name}_tf.pkl')
    assert one.configuration == other.configuration
    assert jax.tree.structure(one.params) == jax.tree.structure(other.params)
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-6, atol=1e-7), one.params, other.params)


def test_rosinality_is_nvidias_network_under_other_names():
    nvidia = formats.read_weight_file(DATA / 'stylegan2_ada_res32.pkl').value['G_ema']
    content = foreign_states.rosinality(nvidia)
    ours, theirs = find_network(content), find_network({'': nvidia})
    jax.tree.map(np.testing.assert_array_equal, ours.params, theirs.params)
    del content['latent_avg']
    made_up = find_network(content).params['w_avg']
    generator = BUILDERS['stylegan2'](**ours.configuration)
    z = jax.random.normal(jax.random.key(0), (4096, 24))
    np.testing.assert_allclose(made_up, generator.styles.of(ours.params, z, 'z').mean(axis=0), atol=0.05)


def test_the_moving_average_is_taken_unless_another_is_asked_for():
    _, gs = read('pggan_res32_tf.pkl')
    networks = formats.read_weight_file(DATA / 'pggan_res32_tf.pkl').value
    networks['G']['lod'] = networks['Gs']['lod']
    g = find_network(networks, 'G')
    np.testing.assert_allclose(g.params['layer2']['bias'], gs.params['layer2']['bias'] + 1, rtol=1e-6)
    with pytest.raises(ValueError, match='while the network was growing'):
        read('pggan_res32_tf.pkl', 'G')
    with pytest.raises(ValueError, match='a PGGAN, StyleGAN'):
        read('pggan_res32_tf.pkl', 'D')
    with pytest.raises(ValueError, match="no network 'H'; it has: 'G', 'D', 'Gs'"):
        read('pggan_res32_tf.pkl', 'H')


@pytest.mark.slow
@pytest.mark.parametrize('name', ['stylegan_res32_tf.pkl', 'stylegan2_ada_res32.pkl'])
def test_a_model_directory_is_made(tmp_path, name):
    report = convert(DATA / name, tmp_path / 'model')
    generator, params = models.load(tmp_path / 'model')
    assert generator.resolution == 32 and np.isfinite(report.sample)
    description = json.loads((tmp_path / 'model' / 'model.json').read_text())
    assert description['source']['file'] == name and 'pickle' in description['source']['format']
    assert generator.features(params, np.zeros((1, generator.latent_dim), np.float32), 1) is not None


def test_fused_upsampling():
    """The same kernel means a transposed convolution where a network is fused: a correlation with the flipped one."""
    state = dict(formats.read_weight_file(DATA / 'stylegan_res32_tf.pkl').value['Gs'])
    plain = stylegan.convert_stylegan(state).params
    state['static_kwargs'] = state['static_kwargs'] | {'synthesis': {'fused_scale': True}}
    fused = stylegan.convert_stylegan(state).params
    for l in range(2, 9):
        flip = -1 if l % 2 else 1
        np.testing.assert_array_equal(fused[f'layer{l}']['kernel'], plain[f'layer{l}']['kernel'][::flip, ::flip])
    authors = dict(formats.read_weight_file(DATA / 'stylegan_res32.pth').value)
    for l in (3, 5, 7):
        kernel = authors.pop(f'synthesis.layer{l - 1}.conv.weight')
        authors[f'synthesis.layer{l - 1}.weight'] = kernel.transpose(2, 3, 1, 0)
    jax.tree.map(np.testing.assert_allclose, stylegan.convert_stylegan(authors).params, fused)


@pytest.mark.parametrize('kind', ['stylegan', 'stylegan2'])
def test_written_files_of_two_forms_are_one_network(tmp_path, kind):
    """At 128 pixels, where a StyleGAN of TensorFlow fuses upsampling and convolution."""
    sizes = {'resolution': 128, 'fmaps_base': 256, 'fmaps_max': 8}
    if kind == 'stylegan':
        variables = foreign_states.stylegan_tf(**sizes)
        other = zip_file(foreign_states.stylegan_authors(variables))
    else:
        variables = foreign_states.stylegan2_tf(**sizes)
        other = pickle_writer.nvidia_file(foreign_states.stylegan2_nvidia(variables))
    found = []
    for raw in (pickle_writer.tf_file(variables), other):
        (tmp_path / 'weights').write_bytes(raw)
        found.append(find_network(formats.read_weight_file(tmp_path / 'weights').value))
    assert found[0].configuration == found[1].configuration
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-6), found[0].params, found[1].params)


def nvidia_state():
    return dict(formats.read_weight_file(DATA / 'stylegan2_ada_res32.pkl').value['G_ema'])


@pytest.mark.slow
def test_class_conditional_network():
    state = nvidia_state()
    rng = np.random.default_rng(0)
    first = state['mapping.fc0.weight']
    state['mapping.fc0.weight'] = np.concatenate([first, rng.standard_normal((32, 32), np.float32)], axis=1)
    state |= {'mapping.embed.weight': rng.standard_normal((32, 5), np.float32), 'mapping.embed.bias': np.zeros(32, 'f')}
    found = stylegan2.convert_stylegan2(state)
    assert (found.configuration['num_classes'], found.configuration['latent_dim']) == (5, 24)
    generator = BUILDERS['stylegan2'](**found.configuration)
    z = rng.standard_normal((1, 24)).astype(np.float32)
    assert np.isfinite(generator.generate(found.params, z, label=3)).all()


def test_clamped_network_without_noise():
    state = {name: value for name, value in nvidia_state().items() if 'noise' not in name}
    state['attributes'] = {'synthesis.b8.conv0': {'conv_clamp': 256}}
    found = stylegan2.convert_stylegan2(state)
    assert found.configuration['clamp'] == 256.0
    assert all((found.params[f'layer{l}']['noise']['strength'] == 0).all() for l in range(1, 8))


@pytest.mark.parametrize(
    'change, message',
    [
        ({'mapping.fc3.weight': None}, "'mapping.fc3.bias' .* does not belong"),
        ({'synthesis.b8.conv1.bias': None}, "'synthesis.b8.conv1.bias' is missing"),
        ({'synthesis.b8.conv1.affine.weight': np.zeros((3, 32), 'f')}, r"'synthesis.b8.conv1.affine.weight' has shape"),
        ({'synthesis.b16.torgb.bias': np.full(3, np.nan, 'f')}, 'holds NaN'),
        ({'synthesis.extra': np.zeros(3, 'f')}, "'synthesis.extra' .1 in all. does not belong"),
        ({'synthesis.b32.conv0.resample_filter': np.eye(4, dtype='f')}, 'is not the .1 3 3 1. of StyleGAN2'),
        ({'synthesis.b32.conv1.weight': None}, 'it has 6 layers'),
    ],
)
def test_wrong_tensors_are_named(change, message):
    state = nvidia_state() | change
    with pytest.raises(ValueError, match=message):
        stylegan2.convert_stylegan2({name: value for name, value in state.items() if value is not None})


@pytest.mark.parametrize(
    'change, message',
    [
        ({'lod': np.array(2.0, 'f')}, 'while the network was growing'),
        ({'synthesis/8x8/Conv1/Noise/weight': None}, "'synthesis/8x8/Conv1/Noise/weight' is missing"),
        ({'mapping/Dense0/weight': None}, "'mapping/Dense0/weight' is missing"),
        ({'synthesis/32x32/Conv1/StyleMod/weight': None}, 'it has 7 layers'),
    ],
)
def test_wrong_variables_are_named(change, message):
    state = dict(formats.read_weight_file(DATA / 'stylegan_res32_tf.pkl').value['Gs']) | change
    with pytest.raises(ValueError, match=message):
        stylegan.convert_stylegan({name: value for name, value in state.items() if value is not None})
