"""Number types of weights, activations and results."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mgan_jax import models
from mgan_jax.models import alexnet, pggan, precision, stylegan, stylegan2, vgg
from tests.toy import draw_weights

HALF = jnp.bfloat16
STYLES = {'resolution': 16, 'latent_dim': 6, 'fmaps_base': 128, 'fmaps_max': 8, 'style_dim': 5, 'mapping_layers': 2}


def assert_near(found, expected, share=0.05):
    """Root mean square of the difference, as a share of the values that are expected."""
    difference = found.astype(jnp.float32) - expected
    assert 0 < jnp.sqrt(jnp.mean(difference**2)) < share * jnp.sqrt(jnp.mean(expected**2))


def test_cast_changes_floating_arrays_only():
    tree = {'a': np.ones(2, np.float32), 'b': [jnp.arange(2), jax.random.key(0), 'stored', None, 3]}
    found = models.cast(tree, 'bfloat16')
    assert found['a'].dtype == HALF and found['b'][0].dtype == jnp.int32
    assert found['b'][1] is tree['b'][1] and found['b'][2:] == ['stored', None, 3]
    assert models.cast(found, jnp.float32)['a'].dtype == jnp.float32


def test_float32_is_left_alone():
    x = jnp.ones(3)
    assert models.cast({'x': x}, jnp.float32)['x'] is x
    assert precision.cast_like({'w': x}, x) is x


@pytest.mark.parametrize(
    'weights, expected',
    [
        ({'a': jnp.ones(1, HALF)}, HALF),
        ([jnp.ones(1, HALF), jnp.arange(3)], HALF),
        ([jnp.ones(1, HALF), jnp.ones(1)], jnp.float32),
        (jnp.arange(3), jnp.float32),
        (None, jnp.float32),
    ],
)
def test_like_is_the_type_of_the_weights(weights, expected):
    assert precision.cast_like(weights, jnp.ones(2)).dtype == expected


def test_in_float32():
    """The sum of 4096 numbers whose last bits bfloat16 would lose."""
    x = jnp.full((4096,), 1.0078125, HALF)
    seen = []

    def function(x, scale):
        seen.append(x.dtype)
        return x - jnp.sum(x) * scale

    found = precision.in_float32(function, x, 1 / 4096)
    assert seen[0] == jnp.float32 and found.dtype == HALF
    np.testing.assert_array_equal(found, 0)
    assert jax.grad(lambda x: precision.in_float32(function, x, 0.0).astype(jnp.float32)[0])(x).dtype == HALF


@pytest.mark.slow
def test_norms_of_half_precision_have_exact_statistics():
    x = jax.random.normal(jax.random.key(0), (2, 16, 16, 512)).astype(HALF)
    for norm in (pggan.pixel_norm, stylegan.instance_norm):
        found, expected = norm(x), norm(x.astype(jnp.float32))
        assert found.dtype == HALF
        np.testing.assert_array_equal(found, expected.astype(HALF))


@pytest.mark.slow
@pytest.mark.parametrize('builder', [stylegan.build_stylegan, stylegan2.build_stylegan2])
@pytest.mark.parametrize('noise', ['stored', 'none', 'drawn'])
@pytest.mark.parametrize('classes', [0, 3])
def test_networks_with_styles(builder, noise, classes):
    generator = builder(**STYLES, num_classes=classes, label_dim=2 if classes else 0)
    params = draw_weights(generator.init)
    z, label = jax.random.normal(jax.random.key(1), (2, 6)), jnp.arange(2) if classes else None
    noise = jax.random.key(2) if noise == 'drawn' else noise
    images = [generator.generate(p, z, label=label, noise=noise) for p in (params, models.cast(params, HALF))]
    assert images[1].dtype == HALF
    assert_near(images[1], images[0])


@pytest.mark.slow
def test_pggan():
    generator = pggan.build_pggan(16, 6, 128, 8)
    params, z = draw_weights(generator.init), jax.random.normal(jax.random.key(1), (2, 6))
    images = [generator.generate(p, z) for p in (params, models.cast(params, HALF))]
    assert images[1].dtype == HALF
    assert_near(images[1], images[0])


@pytest.mark.slow
@pytest.mark.parametrize('extractor', [vgg.build_vgg((2, 1), (4, 6)), alexnet.build_alexnet((4, 4, 4, 4, 4))])
def test_extractors(extractor):
    params, x = draw_weights(extractor.init), jax.random.uniform(jax.random.key(1), (2, 32, 32, 3), minval=-1)
    layer = extractor.layers[1]
    maps = [extractor.features(p, x, layer) for p in (params, models.cast(params, HALF))]
    assert maps[1].dtype == HALF
    assert_near(maps[1], maps[0])


@pytest.mark.slow
@pytest.mark.parametrize('remat', [False, True])
def test_gradients_of_half_precision_under_jit(remat):
    """At this size XLA:CPU compares rounded numbers with unrounded ones: with a maximum instead of `leaky_relu`, nearly the
    whole gradient would be lost."""
    generator, cut = pggan.build_pggan(64, 6, 1536, 24, remat=remat), 9
    params = draw_weights(generator.init)
    features = generator.features(params, jax.random.normal(jax.random.key(1), (2, 6)), cut)

    @jax.jit
    def gradient(params, features):
        return jax.grad(lambda f: jnp.sum(jnp.square(generator.image(params, f, cut).astype(jnp.float32))))(features)

    assert_near(gradient(models.cast(params, HALF), features), gradient(params, features), share=0.1)
