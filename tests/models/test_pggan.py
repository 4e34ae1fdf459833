"""PGGAN: the original implementation's output, G2(G1(z)) = G(z) at every layer, shapes at full size, refusals."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from converters.convert import convert
from mgan_jax import models
from mgan_jax.models import pggan
from tests.references import DATA, relative_error, stored
from tests.toy import draw_weights

REFERENCE = stored('pggan_res32')
SMALL = {'latent_dim': 8, 'fmaps_base': 128, 'fmaps_max': 16}


def draw_latents(*shape):
    return jnp.asarray(np.random.default_rng(1).standard_normal(shape), jnp.float32)


@pytest.fixture(scope='module')
def small():
    generator = pggan.build_pggan(16, **SMALL)
    return generator, draw_weights(generator.init)


@pytest.mark.slow
@pytest.mark.parametrize('name', ['pggan_res32', 'pggan_res32_legacy'])
def test_images_and_feature_maps_of_the_original_implementation(tmp_path, name):
    convert(DATA / f'{name}.pth', tmp_path / 'model')
    generator, params = models.load(tmp_path / 'model')
    assert (generator.resolution, generator.latent_dim, generator.num_layers) == (32, 48, 8)
    z = jnp.asarray(REFERENCE['z'])
    layers = range(1, generator.num_layers + 1)
    maps = jax.jit(lambda p, z: [generator.features(p, z, stop=l) for l in layers])(params, z)
    for l, features in zip(layers, maps, strict=True):
        assert relative_error(features, REFERENCE[f'layer{l - 1}']) < 1e-5
    assert relative_error(jax.jit(generator.generate)(params, z), REFERENCE['image']) < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize('resolution, channels', [(8, 1), (8, 3), (16, 1), (32, 3)])
def test_the_two_halves_make_the_whole_at_every_layer(resolution, channels):
    generator = pggan.build_pggan(resolution, 7, 100, 13, channels)
    params, z = draw_weights(generator.init), draw_latents(2, 7)
    layers = range(1, generator.num_layers + 1)

    @jax.jit
    def halves(params, z):
        cut = [jax.lax.optimization_barrier(generator.features(params, z, stop=l)) for l in layers]
        return [generator.image(params, features, start=l) for l, features in zip(layers, cut, strict=True)]

    whole = jax.jit(generator.generate)(params, z)
    assert whole.shape == (2, resolution, resolution, channels)
    assert np.std(whole) > 0.1
    for image in halves(params, z):
        assert relative_error(image, whole) < 2e-6


@pytest.mark.slow
@pytest.mark.parametrize('resolution', [8, 16, 32, 64, 128, 256, 512, 1024])
def test_shapes_at_full_size(resolution):
    generator = pggan.build_pggan(resolution)
    layers = range(1, generator.num_layers + 1)
    assert len(layers) == 2 * (np.log2(resolution) - 1)
    params = jax.eval_shape(generator.init, jax.random.key(0))
    z = jax.ShapeDtypeStruct((2, 512), jnp.float32)
    maps = jax.eval_shape(lambda p, z: [generator.features(p, z, stop=l) for l in layers], params, z)
    sizes = [4 * 2 ** (l // 2) for l in range(len(layers))]
    assert [f.shape for f in maps] == [(2, r, r, min(16384 // r, 512)) for r in sizes]
    for image in (
        jax.eval_shape(generator.generate, params, z),
        jax.eval_shape(lambda p, f: generator.image(p, f, start=4), params, maps[3]),
    ):
        assert (image.shape, image.dtype) == ((2, resolution, resolution, 3), jnp.float32)


def test_number_of_parameters_of_the_largest_network():
    params = jax.eval_shape(pggan.build_pggan(1024).init, jax.random.key(0))
    growth = sum(3 * channels + 3 for channels in (512, 512, 512, 512, 256, 128, 64, 32))  # to RGB at 4 to 512 pixels
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) + growth == 23_079_115  # as the released code counts


@pytest.mark.slow
def test_initial_weights_have_the_scale_of_equalised_learning_rates():
    params = jax.jit(pggan.build_pggan(8, 16, 1024, 128).init)(jax.random.key(0))
    for name, fan_in, gain in (
        ('layer1', 16 * 16, 2),
        ('layer2', 9 * 128, 2),
        ('layer4', 9 * 128, 2),
        ('to_rgb', 128, 1),
    ):
        assert abs(np.std(params[name]['kernel']) / np.sqrt(gain / fan_in) - 1) < 0.1
        assert not np.any(params[name]['bias'])


def test_latent_codes_count_by_direction_only(small):
    generator, params = small
    z = draw_latents(2, 8)
    generate = jax.jit(generator.generate)
    np.testing.assert_allclose(generate(params, 5 * z), generate(params, z), atol=1e-5)


@pytest.mark.slow
def test_an_image_does_not_depend_on_its_batch(small):
    generator, params = small
    z = draw_latents(3, 8)
    generate = jax.jit(generator.generate)
    np.testing.assert_allclose(generate(params, z)[1:2], generate(params, z[1:2]), atol=1e-6)


def test_pixel_norm_and_leaky_relu():
    x = np.random.default_rng(0).standard_normal((2, 3, 3, 5)).astype(np.float32)
    norm = np.sqrt(np.mean(x**2, axis=-1, keepdims=True) + 1e-8)
    np.testing.assert_allclose(pggan.pixel_norm(jnp.asarray(x)), x / norm, rtol=1e-5)
    np.testing.assert_allclose(pggan.leaky_relu(jnp.asarray(x)), np.where(x < 0, 0.2 * x, x), rtol=1e-6)
    assert np.isfinite(pggan.pixel_norm(jnp.zeros((1, 4)))).all()


@pytest.mark.slow
def test_gradients_of_pixel_norm_and_leaky_relu():
    x = np.random.default_rng(0).standard_normal((7, 5)).astype(np.float32)
    plain = lambda x: x / jnp.sqrt(jnp.mean(x**2, axis=-1, keepdims=True) + 1e-8)  # noqa: E731
    for scale in (1, 1e-4, 0):
        found, expected = (
            jax.vjp(f, jnp.asarray(scale * x))[1](jnp.asarray(x[::-1]))[0] for f in (pggan.pixel_norm, plain)
        )
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5 / max(scale, 1e-4))
    gradients = jax.vmap(jax.grad(pggan.leaky_relu))(jnp.asarray([-2.0, 0.0, 2.0]))
    np.testing.assert_allclose(gradients, [0.2, 0.2, 1])  # at 0 that of PyTorch


@pytest.mark.parametrize('layer', [-1, 0, 7])
def test_layers_that_are_not_there(small, layer):
    generator, params = small
    message = f'^layer {layer} is given, but this generator has the layers 1 to 6.$'
    with pytest.raises(ValueError, match=message):
        generator.features(params, jnp.zeros((1, 8)), stop=layer)
    with pytest.raises(ValueError, match=message):
        generator.image(params, jnp.zeros((1, 4, 4, 16)), start=layer)


@pytest.mark.parametrize('shape', [(2, 9), (8,), (1, 2, 8)])
def test_latent_codes_of_a_wrong_shape(small, shape):
    generator, params = small
    message = rf'^latent codes of shape \[{", ".join(map(str, shape))}\] are given; this generator takes \[M, 8\].$'
    with pytest.raises(ValueError, match=message):
        generator.generate(params, jnp.zeros(shape))
    with pytest.raises(ValueError, match=message):
        generator.features(params, jnp.zeros(shape), stop=2)


def test_what_a_pggan_does_not_have(small):
    generator, params = small
    z = jnp.zeros((1, 8))
    with pytest.raises(ValueError, match=r"^space 'w' is given, but a PGGAN has only the space 'z'.$"):
        generator.features(params, z, stop=2, space='w')
    for extra in ({'truncation_psi': 0.7}, {'label': jnp.zeros(1)}):
        with pytest.raises(ValueError, match='^truncation_psi and label were given, but a PGGAN has neither;'):
            generator.generate(params, z, **extra)
    with pytest.raises(ValueError, match='^a tail of styles was given, but a PGGAN has no styles;'):
        generator.image(params, jnp.zeros((1, 4, 4, 16)), start=2, tail=jnp.zeros((1, 8)))


@pytest.mark.parametrize(
    'configuration, message',
    [
        ({'resolution': 48}, 'resolution 48 is given; a PGGAN has 8, 16, 32, ... or 1024.'),
        ({'resolution': 4}, 'resolution 4 is given;'),
        ({'resolution': 2048}, 'resolution 2048 is given;'),
        ({'resolution': 16, 'image_channels': 4}, 'image_channels 4 is given; a PGGAN makes images of 1 or 3'),
        ({'resolution': 16, 'latent_dim': 0}, 'latent_dim leaves 0 channels; every layer'),
        ({'resolution': 16, 'fmaps_max': -1}, 'fmaps_max leaves -1 channels; every layer'),
        ({'resolution': 16, 'fmaps_base': 15}, 'fmaps_base leaves 0 channels; every layer'),
    ],
)
def test_networks_that_cannot_be(configuration, message):
    with pytest.raises(ValueError, match=f'^{message}'):
        pggan.build_pggan(**configuration)
