"""From the foreign file to the checked model directory."""

from pathlib import Path

import foreign_states
import jax
import numpy as np
import pytest
import torch_writer

from converters import convert as conversion
from converters import formats
from converters.convert import convert, find_network
from mgan_jax import models

DATA = Path(__file__).parent.parent / 'data'
W = np.ones(3, np.float32)


def write(path, state, **lies):
    path.write_bytes(torch_writer.zip_file(state, **lies))
    return path


def test_pggan(tmp_path):
    report = convert(DATA / 'pggan_res32.pth', tmp_path / 'model')
    reference = np.load(DATA / 'pggan_res32.npz')
    generator, params = models.load(tmp_path / 'model')
    assert (generator.resolution, generator.latent_dim, generator.num_layers) == (32, 48, 8)
    image = np.asarray(jax.jit(generator.generate)(params, reference['z'])).transpose(0, 3, 1, 2)
    np.testing.assert_allclose(image, reference['image'], rtol=0, atol=1e-4 * np.abs(reference['image']).max())
    assert report.architecture == 'pggan' and report.format == 'torch (zip)'
    assert (
        report.num_parameters
        == 48 * 48 * 16 + 9 * (48 * 48 * 3 + 48 * 32 + 32 * 32 + 32 * 16 + 16 * 16) + 4 * 48 + 64 + 32 + 51
    )


def test_both_formats_give_the_same_network():
    new, old = (
        find_network(formats.read_weight_file(DATA / f'{name}.pth').value)
        for name in ('pggan_res32', 'pggan_res32_legacy')
    )
    assert new.configuration == old.configuration
    jax.tree.map(np.testing.assert_array_equal, new.params, old.params)


@pytest.mark.slow
@pytest.mark.parametrize(
    'state', [foreign_states.vgg(), foreign_states.vgg(foreign_states.VGG19), foreign_states.normalised_vgg()]
)
def test_vgg(tmp_path, state):
    source = write(tmp_path / 'vgg.pth', state)
    report = convert(source, tmp_path / 'model')
    assert report.architecture == 'vgg' and np.isfinite(report.sample)


@pytest.mark.slow
def test_alexnet_and_lpips_heads(tmp_path):
    report = convert(write(tmp_path / 'alexnet.pth', foreign_states.alexnet()), tmp_path / 'alexnet')
    extractor, params = models.load(tmp_path / 'alexnet')
    assert isinstance(extractor, models.Extractor) and report.architecture == 'alexnet' and np.isfinite(report.sample)
    assert params['conv2']['kernel'].shape == (5, 5, 4, 12)
    state = foreign_states.lpips()
    report = convert(write(tmp_path / 'heads.pth', state), tmp_path / 'heads')
    lpips, heads = models.load(tmp_path / 'heads')
    assert isinstance(lpips, models.Lpips) and report.architecture == 'lpips' and report.num_parameters == 1472
    assert report.sample == pytest.approx(sum(weight.sum() for weight in state.values()), rel=1e-5)
    np.testing.assert_array_equal(heads['relu3_3'], state['lin2.model.1.weight'].ravel())


@pytest.mark.slow
def test_existing_destinations(tmp_path):
    destination = tmp_path / 'model'
    source = write(tmp_path / 'small.pth', foreign_states.pggan(resolution=8))
    convert(source, destination)
    with pytest.raises(ValueError, match='exists; name another or add --overwrite'):
        convert(source, destination)
    convert(write(source, foreign_states.pggan(resolution=16)), destination, overwrite=True)
    assert models.load(destination)[0].resolution == 16


def test_a_failed_conversion_leaves_the_destination_as_it_was(tmp_path):
    destination = tmp_path / 'model'
    bad = [write(tmp_path / '1.pth', {'a': W}), write(tmp_path / '2.pth', overflowing())]
    for source in bad:
        with pytest.raises(ValueError):
            convert(source, destination)
        assert not destination.exists()
    convert(write(tmp_path / 'good.pth', foreign_states.pggan(resolution=8)), destination)
    for source in bad:
        with pytest.raises(ValueError):
            convert(source, destination, overwrite=True)
        assert models.load(destination)[0].resolution == 8
    assert sorted(path.name for path in tmp_path.iterdir()) == ['1.pth', '2.pth', 'good.pth', 'model']


def overflowing():
    """Finite weights that make no finite image."""
    state = foreign_states.pggan()
    state['output2.wscale.bias'] = np.full(3, 3e38, np.float32)
    state['output2.conv.weight'] = np.full((3, 4, 1, 1), 3e38, np.float32)
    return state


def test_a_file_inside_the_destination_is_never_removed(tmp_path):
    convert(write(tmp_path / 'small.pth', foreign_states.pggan(resolution=8)), tmp_path / 'model')
    source = write(tmp_path / 'model' / 'weights.pth', foreign_states.pggan(resolution=8))
    with pytest.raises(ValueError, match='lies in the destination'):
        convert(source, tmp_path / 'model', overwrite=True)
    assert source.exists()


def test_weights_that_make_no_finite_image_are_refused(tmp_path):
    with pytest.raises(ValueError, match='NaN or infinite numbers of an ordinary input'):
        convert(write(tmp_path / 'huge.pth', overflowing()), tmp_path / 'model')


def test_anything_but_a_model_directory_is_never_replaced(tmp_path):
    (tmp_path / 'home').mkdir()
    (tmp_path / 'home' / 'letter.txt').write_text('kept')
    with pytest.raises(ValueError):
        convert(DATA / 'pggan_res32.pth', tmp_path / 'home', overwrite=True)
    assert (tmp_path / 'home' / 'letter.txt').read_text() == 'kept'


def test_networks_in_a_file_of_several():
    content = {'step': 5, 'generator': foreign_states.pggan(), 'critic': {'a': W}}
    assert find_network(content).architecture == 'pggan'
    content['average'] = foreign_states.pggan(resolution=8)
    with pytest.raises(ValueError, match="several networks: 'generator', 'average'; choose one with --network"):
        find_network(content)
    assert find_network(content, network='average').configuration['resolution'] == 8
    with pytest.raises(ValueError, match="no network 'g'; it has: 'generator', 'critic', 'average'"):
        find_network(content, network='g')
    with pytest.raises(ValueError, match='only one, which has no name'):
        find_network(foreign_states.pggan(), network='g')


def test_networks_of_data_parallel_training():
    state = {f'module.{name}': value for name, value in foreign_states.pggan().items()}
    assert find_network({'state_dict': state}).architecture == 'pggan'


def test_architecture_can_be_insisted_on():
    assert find_network(foreign_states.vgg(), architecture='vgg').architecture == 'vgg'
    with pytest.raises(ValueError, match='a network of architecture vgg is expected'):
        find_network(foreign_states.pggan(), architecture='vgg')


@pytest.mark.parametrize(
    'state, message',
    [
        ({'4x4/Dense0/weight': W, 'FromRGB_lod0/bias': W}, 'it holds a discriminator; a PGGAN'),
        ({'1.weight': W, '1.bias': W}, "2 tensors such as '1.weight', '1.bias'"),
        ({'a\n\x1b[0m': W}, r"1 tensors such as 'a\\n\\x1b\[0m'"),
    ],
)
def test_other_networks_are_described(state, message):
    with pytest.raises(ValueError, match=message):
        find_network(state)


def test_every_mapping_recognises_only_its_own():
    for name, state in (
        ('pggan', foreign_states.pggan()),
        ('vgg', foreign_states.vgg()),
        ('vgg', foreign_states.normalised_vgg()),
        ('alexnet', foreign_states.alexnet()),
        ('lpips', foreign_states.lpips()),
    ):
        assert [key for key, mapping in conversion.MAPPINGS.items() if mapping.recognise(state)] == [name]
