"""Networks of a run: what fits together, what is loaded at all, in which type, with or without rematerialisation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mgan_jax import models
from mgan_jax.engine import memory, networks
from mgan_jax.models import alexnet, lpips
from mgan_jax.run import jobs
from mgan_jax.settings import presets
from tests.small_runs import SIDE
from tests.toy import draw_weights


def perception(folder, size=SIDE, **changes):
    named = {'extractor': f'{folder}/extractor', 'extractor_layer': 'relu2_1', 'extractor_size': SIDE}
    return networks.load_perception(image_size=(size, size), **named | {'perceptual_weight': 0.001} | changes)


def test_nothing_is_loaded_that_is_not_needed(folder):
    assert perception(folder, extractor='/none', perceptual_weight=0.0) == networks.Perception()


@pytest.mark.slow
def test_features_are_the_perceptual_loss_unless_lpips_is_asked_for(folder):
    x = jnp.asarray(np.random.default_rng(0).uniform(-1, 1, (2, SIDE, SIDE, 3)), jnp.float32)
    features = perception(folder)
    assert features.lpips is None
    assert features.distance.describe(features.weights, x).shape == (2, SIDE // 2, SIDE // 2, 4)
    measured = perception(folder, lpips=f'{folder}/heads')
    assert measured.lpips(x, x[::-1]).shape == (2,)
    both = perception(folder, lpips=f'{folder}/heads', perceptual_loss='lpips')
    np.testing.assert_allclose(both.distance(both.weights, x, x[::-1]), both.lpips(x, x[::-1]), rtol=1e-5)


def test_lpips_without_a_perceptual_loss(folder):
    distance, weights, metric = perception(folder, lpips=f'{folder}/heads', perceptual_weight=0.0)
    assert distance is weights is None and metric is not None


@pytest.mark.parametrize('resolution, extractor_size', [(16, 64), (32, 16)])
def test_images_too_small_for_lpips(folder, tmp_path, resolution, extractor_size):
    configuration = {'channels': [4, 4, 4, 4, 4]}
    models.save(
        tmp_path / 'alexnet', 'alexnet', configuration, draw_weights(alexnet.build_alexnet(**configuration).init)
    )
    configuration |= {'layers': list(alexnet.LAYERS)}
    models.save(tmp_path / 'heads', 'lpips', configuration, draw_weights(lpips.build_lpips(**configuration).init))
    given = {'lpips': f'{tmp_path}/heads', 'perceptual_loss': 'lpips', 'extractor_size': extractor_size}
    with pytest.raises(ValueError, match="extractor '.*alexnet'.*: images of 16x16 pixels are too small for relu5"):
        perception(folder, resolution, extractor=f'{tmp_path}/alexnet', **given)
    with pytest.raises(ValueError, match="^lpips '.*heads' cannot be used with extractor '.*extractor': the stages of"):
        perception(folder, resolution, **given)


def types(tree):
    return {str(leaf.dtype) for leaf in jax.tree.leaves(tree)}


@pytest.mark.slow
def test_the_type_that_networks_compute_in(folder):
    """Metrics and heads stay float32."""
    half = networks.Compute('bfloat16')
    assert types(networks.load_generator(f'{folder}/generator', compute=half)[1]) == {'bfloat16'}
    assert types(networks.load_generator(f'{folder}/generator')[1]) == {'float32'}
    assert types(perception(folder, compute=half).weights) == {'bfloat16'}
    lpips_loss = {'lpips': f'{folder}/heads', 'perceptual_loss': 'lpips'}
    distance, (extractor, heads), metric = perception(folder, compute=half, **lpips_loss)
    assert types(extractor) == {'bfloat16'} and types(heads) == {'float32'}
    x = jnp.asarray(np.random.default_rng(0).uniform(-1, 1, (2, SIDE, SIDE, 3)), jnp.float32)
    exact = perception(folder, **lpips_loss)
    near = distance((extractor, heads), x, x[::-1])
    np.testing.assert_array_equal(metric(x, x[::-1]), exact.lpips(x, x[::-1]))
    np.testing.assert_allclose(near, exact.lpips(x, x[::-1]), rtol=0.05)
    assert near.dtype == jnp.float32


def kept(generator, params):
    """How many arrays a backward pass keeps."""
    z = jnp.zeros((1, generator.latent_dim))
    pull = jax.eval_shape(lambda z: jax.vjp(lambda z: generator.features(params, z, 4), z)[1], z)
    return len(jax.tree.leaves(pull))


@pytest.mark.slow
def test_rematerialisation_where_it_is_asked_for_or_needed(folder, monkeypatch):
    def engine(remat):
        named = {'generator': f'{folder}/generator', 'extractor': f'{folder}/extractor', 'extractor_layer': 'relu2_1'}
        fields = named | {'extractor_size': SIDE, 'layer': 3, 'images': 'x', 'remat': remat}
        return jobs.build_engine(presets.make_settings('reconstruct', **fields))

    off, on, auto = (engine(choice) for choice in ('off', 'on', 'auto'))
    assert kept(*on.networks[:2]) < kept(*off.networks[:2]) == kept(*auto.networks[:2])
    image = off.step_memory.bytes_of(1)
    assert image > 2**17
    for left, expected in ((2 * image, off), (2 * image - 2, on)):
        monkeypatch.setattr(memory, 'available_bytes', lambda device=None, left=left: left)
        assert kept(*engine('auto').networks[:2]) == kept(*expected.networks[:2])


def test_a_generator_of_the_caller_is_taken_as_it_is(folder, monkeypatch):
    own = networks.load_generator(f'{folder}/generator')
    monkeypatch.setattr(memory, 'available_bytes', lambda device=None: 0)
    settings = presets.make_settings('reconstruct', layer=3, dtype='bfloat16', perceptual=0.0, images='x')
    loaded = jobs.build_engine(settings, own).networks
    assert loaded.generator is own[0] and loaded.params is own[1]


def test_what_is_no_generator(folder):
    with pytest.raises(ValueError, match="^generator '.*extractor' holds a feature extractor; a generator is wanted.$"):
        networks.load_generator(f'{folder}/extractor')
    with pytest.raises(ValueError, match='^label 3 is given, but this generator has no classes'):
        networks.load_generator(f'{folder}/generator', label=3)


@pytest.mark.slow
@pytest.mark.parametrize(
    'wanted, dtype, found', [(True, 'float32', True), (False, 'float32', False), (True, 'bfloat16', False)]
)
def test_transformed_kernels_where_they_are_wanted_and_exact_enough(folder, wanted, dtype, found):
    compute = networks.Compute(dtype, wanted)
    _, params = networks.load_generator('demo', compute=compute)
    assert ('transformed' in params['layer4']) == found
    demo = {'extractor': 'demo-extractor', 'extractor_layer': 'relu3_1', 'extractor_size': 64}
    weights = perception(folder, 64, compute=compute, **demo).weights
    assert not any('transformed' in layer for layer in weights.values()) or found
