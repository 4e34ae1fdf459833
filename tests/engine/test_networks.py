"""The networks that settings name: what fits together, and what is loaded at all."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mgan_jax import models
from mgan_jax.engine import memory, networks
from mgan_jax.models import alexnet, lpips
from mgan_jax.settings import presets
from tests.small_runs import SIDE
from tests.toy import draw_weights


def settings(folder, **changes):
    named = {'generator': f'{folder}/generator', 'extractor': f'{folder}/extractor', 'extractor_layer': 'relu2_1'}
    return presets.preset_settings('reconstruct', 'fast') | named | {'extractor_size': SIDE} | changes


def test_nothing_is_loaded_that_is_not_needed(folder):
    unused = settings(folder, extractor='/none', perceptual=0)
    assert networks.load_perception(unused, (SIDE, SIDE)) == networks.Perception()


def test_features_are_the_perceptual_loss_unless_lpips_is_asked_for(folder):
    x = jnp.asarray(np.random.default_rng(0).uniform(-1, 1, (2, SIDE, SIDE, 3)), jnp.float32)
    features = networks.load_perception(settings(folder), (SIDE, SIDE))
    assert features.lpips is None and features.distance.describe(features.weights, x).shape == (
        2,
        SIDE // 2,
        SIDE // 2,
        4,
    )
    measured = networks.load_perception(settings(folder, lpips=f'{folder}/heads'), (SIDE, SIDE))
    assert measured.lpips(x, x[::-1]).shape == (2,)
    both = networks.load_perception(settings(folder, lpips=f'{folder}/heads', perceptual_loss='lpips'), (SIDE, SIDE))
    np.testing.assert_allclose(both.distance(both.weights, x, x[::-1]), both.lpips(x, x[::-1]), rtol=1e-5)


def test_lpips_without_a_perceptual_loss(folder):
    distance, weights, measure = networks.load_perception(
        settings(folder, lpips=f'{folder}/heads', perceptual=0), (SIDE, SIDE)
    )
    assert distance is weights is None and measure is not None


@pytest.mark.parametrize('resolution, extractor_size', [(16, 64), (32, 16)])
def test_images_too_small_for_lpips(folder, tmp_path, resolution, extractor_size):
    configuration = {'channels': [4, 4, 4, 4, 4]}
    models.save(
        tmp_path / 'alexnet', 'alexnet', configuration, draw_weights(alexnet.build_alexnet(**configuration).init)
    )
    configuration |= {'layers': list(alexnet.LAYERS)}
    models.save(tmp_path / 'heads', 'lpips', configuration, draw_weights(lpips.build_lpips(**configuration).init))
    named = {'extractor': f'{tmp_path}/alexnet', 'lpips': f'{tmp_path}/heads', 'perceptual_loss': 'lpips'}
    given = settings(folder, **named, extractor_size=extractor_size)
    with pytest.raises(ValueError, match="extractor '.*alexnet'.*: images of 16x16 pixels are too small for relu5"):
        networks.load_perception(given, (resolution, resolution))
    with pytest.raises(ValueError, match="^lpips '.*heads' cannot be used with extractor '.*extractor': the stages of"):
        networks.load_perception(given | {'extractor': f'{folder}/extractor'}, (resolution, resolution))


def types(tree):
    return {str(leaf.dtype) for leaf in jax.tree.leaves(tree)}


def test_the_type_that_networks_compute_in(folder):
    """Metrics and heads stay float32."""
    half = settings(folder, dtype='bfloat16', lpips=f'{folder}/heads', perceptual_loss='lpips', layer=3)
    _, params, (distance, (extractor, heads), measure) = networks.load_networks(half)
    assert types(params) == types(extractor) == {'bfloat16'} and types(heads) == {'float32'}
    x = jnp.asarray(np.random.default_rng(0).uniform(-1, 1, (2, SIDE, SIDE, 3)), jnp.float32)
    exact = networks.load_networks(half | {'dtype': 'float32'})[2]
    near = distance((extractor, heads), x, x[::-1])
    np.testing.assert_array_equal(measure(x, x[::-1]), exact.lpips(x, x[::-1]))
    np.testing.assert_allclose(near, exact.lpips(x, x[::-1]), rtol=0.05)
    assert near.dtype == jnp.float32
    assert types(networks.load_networks(settings(folder, dtype='bfloat16', layer=3))[2].weights) == {'bfloat16'}
    assert types(networks.load_networks(settings(folder, layer=3))[1]) == {'float32'}


def kept(generator, params):
    """How many arrays a backward pass keeps."""
    z = jnp.zeros((1, generator.latent_dim))
    pull = jax.eval_shape(lambda z: jax.vjp(lambda z: generator.features(params, z, 4), z)[1], z)
    return len(jax.tree.leaves(pull))


def test_rematerialisation_where_it_is_asked_for_or_needed(folder, monkeypatch):
    off, on, auto = (
        networks.load_networks(settings(folder, remat=choice, layer=3)) for choice in ('off', 'on', 'auto')
    )
    assert kept(*on[:2]) < kept(*off[:2]) == kept(*auto[:2])
    image = networks.image_bytes(settings(folder, layer=3), *off)
    assert image > 2**17
    for left, expected in ((2 * image, off), (2 * image - 2, on)):
        monkeypatch.setattr(memory, 'available_bytes', lambda left=left: left)
        assert kept(*networks.load_networks(settings(folder, remat='auto', layer=3))[:2]) == kept(*expected[:2])


def test_a_generator_of_the_caller_is_taken_as_it_is(folder, monkeypatch):
    own = networks.load_generator(settings(folder))
    monkeypatch.setattr(memory, 'available_bytes', lambda: 0)
    generator, params, _ = networks.load_networks(settings(folder, generator='', dtype='bfloat16', layer=3), own)
    assert generator is own[0] and params is own[1]


@pytest.mark.parametrize(
    'wanted, dtype, found', [(True, 'float32', True), (False, 'float32', False), (True, 'bfloat16', False)]
)
def test_transformed_kernels_where_they_are_wanted_and_exact_enough(folder, wanted, dtype, found):
    chosen = settings(folder, generator='demo', extractor='demo-extractor', winograd=wanted, dtype=dtype)
    _, params = networks.load_generator(chosen)
    assert ('transformed' in params['layer4']) == found
    weights = networks.load_perception(chosen | {'extractor_layer': 'relu3_1', 'extractor_size': 64}, (64, 64)).weights
    assert not any('transformed' in layer for layer in weights.values()) or found
