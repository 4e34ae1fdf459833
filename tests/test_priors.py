"""What multi-code inversion is compared with: what it starts with, its steps, and runs from files into files."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mgan_jax import composition, invert, priors
from mgan_jax.models import stylegan2
from tests import toy
from tests.small_runs import SIDE, arguments, contents, folders, refused, table

pytestmark = pytest.mark.usefixtures('in_the_repository', 'quick_compilation')


def keys(count):
    return jax.random.split(jax.random.key(1), count)


def styled():
    generator = stylegan2.build_stylegan2(
        resolution=8, latent_dim=8, style_dim=8, mapping_layers=1, fmaps_base=64, fmaps_max=8
    )
    return generator, toy.draw_weights(generator.init)


@pytest.mark.slow
@pytest.mark.parametrize(
    'network, space, tail',
    [(toy.generator, 'z', True), (styled, 'w+', True), (styled, 'z', False)],
)
def test_feature_maps_start_as_several_codes_do(network, space, tail):
    generator, params = network()
    several = priors.multi_code_prior(generator, num_codes=3, layer=3, space=space, tail=tail)
    maps = priors.feature_map_prior(generator, start=several, layer=3, space=space)
    codes, free = (jax.jit(prior.init)(keys(2), params) for prior in (several, maps))
    expected = jax.jit(lambda params, codes: composition.compose(generator, params, codes, layer=3, space=space))(
        params, codes
    )
    assert np.abs(expected[0] - expected[1]).max() > 1e-3
    np.testing.assert_array_equal(jax.jit(several.compose)(params, codes), expected)
    np.testing.assert_allclose(jax.jit(maps.compose)(params, free), expected, atol=1e-5)
    assert all(len(leaf) == 2 and leaf.dtype == np.float32 for leaf in jax.tree.leaves(free))


@pytest.mark.slow
def test_feature_maps_begin_where_codes_are_to_begin():
    generator, params = toy.generator()
    z = np.random.default_rng(0).standard_normal((1, 1, 8)).astype(np.float32)
    start = priors.multi_code_prior(generator, num_codes=1, layer=3)
    maps = priors.feature_map_prior(generator, start=start, layer=3)
    free = maps.init(keys(1), params, composition.Codes(z, None))
    np.testing.assert_allclose(free.features, generator.features(params, z[0], 3), atol=1e-5)


def test_the_deep_image_prior_needs_no_weights():
    prior = priors.deep_image_prior(toy.generator()[0], channels=4)
    images = jax.eval_shape(lambda keys: prior.compose(None, prior.init(keys, None)), keys(2))
    assert images.shape == (2, 16, 16, 3)


@pytest.mark.slow
@pytest.mark.parametrize('rows', [(), (3,)])
def test_codes_around_a_code_have_noise_of_mean_0(rows):
    drawn = 5 + jax.random.normal(jax.random.key(0), (4, 50, *rows, 40))
    one = jax.random.normal(jax.random.key(1), (4, 1, *rows, 40))
    tail = jnp.ones((4, 2, 40))
    codes = composition.Codes(drawn, jnp.ones((4, 50, 7)), jnp.zeros((4, 2, 40)))
    found = priors.codes_around(composition.Codes(one, None, tail), codes, 0.3)
    np.testing.assert_array_equal(found.latents[:, :1], one)
    noise = np.asarray(found.latents - one)[:, 1:]
    assert abs(noise.std() - 0.3) < 0.01 and abs(noise.mean()) < 0.01
    np.testing.assert_array_equal(found.tail, tail)
    np.testing.assert_array_equal(found.alpha, codes.alpha)
    np.testing.assert_array_equal(priors.codes_around(composition.Codes(one, None), codes, 0.3).tail, codes.tail)


def test_codes_of_an_earlier_run_are_taken_as_they_are():
    codes = composition.Codes(jnp.zeros((1, 2, 4)), jnp.ones((1, 2, 3)))
    assert priors.codes_around(codes, composition.Codes(jnp.ones((1, 2, 4)), jnp.ones((1, 2, 3))), 0.5) is codes


@pytest.mark.slow
@pytest.mark.parametrize('prior, name', [('feature-map', 'features'), ('dip', 'weights_kernel')])
def test_from_files_into_files(folder, tmp_path, prior, name):
    fields = {'generator': '', 'dip_size': SIDE} if prior == 'dip' else {}
    fields |= {'prior': prior, 'steps': 12, 'dip_channels': 2, 'contributions': True, 'feature_rate': 0.2}
    command = arguments(folder, 'inpaint.py', tmp_path, **fields, images=folder / 'photos' / 'photo[01].png')
    assert invert.main(command) == 0
    assert folders(tmp_path) == {'photo0', 'photo1'}
    assert not (tmp_path / 'photo0' / 'codes.png').exists()
    with np.load(tmp_path / 'photo1' / 'latents.npz', allow_pickle=False) as arrays:
        assert name in arrays and all(np.isfinite(arrays[key]).all() for key in arrays)
    assert [row['status'] for row in table(tmp_path)] == ['done', 'done']
    curve = np.loadtxt(tmp_path / 'photo0' / 'history.csv', delimiter=',', skiprows=1, usecols=1)
    assert curve.min() < 0.8 * curve[0]
    before = contents(tmp_path)
    assert invert.main(command) == 0
    assert {path: before[path] for path in before if path.parent.name.startswith('photo')} == {
        path: content for path, content in contents(tmp_path).items() if path.parent.name.startswith('photo')
    }


@pytest.mark.slow
def test_what_the_deep_image_prior_cannot_begin_with(folder, tmp_path, capsys):
    told = refused(capsys, arguments(folder, 'invert.py', tmp_path, prior='dip', init_from='demo-encoder'))
    assert told == "init_from is 'demo-encoder', but the prior 'dip' has no latent codes; leave it empty."
    told = refused(capsys, arguments(folder, 'invert.py', tmp_path, prior='deep'))
    assert told == "prior is 'deep'; 'multi-code', 'feature-map' or 'dip' is wanted."
    for fields in ({'prior': 'dip'}, {'dip_size': 16}):
        told = refused(capsys, arguments(folder, 'invert.py', tmp_path, generator='', **fields))
        assert told.startswith('no generator was given; ')
    told = refused(capsys, arguments(folder, 'invert.py', tmp_path, prior='dip', generator='', dip_size=15))
    assert 'images of 15x15 pixels are given' in told
    told = refused(capsys, arguments(folder, 'invert.py', tmp_path, prior='dip', dip_channels=0))
    assert told == 'dip_channels is 0; at least 1 is wanted.'
