"""Rematerialised networks have the same weights, values and gradients, and need less memory."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mgan_jax.models import alexnet, pggan, remat, stylegan, stylegan2, vgg
from tests.toy import draw_weights

pytestmark = pytest.mark.usefixtures('quick_compilation')

SIZES = {'resolution': 16, 'latent_dim': 6, 'fmaps_base': 128, 'fmaps_max': 8}
STYLES = SIZES | {'style_dim': 5, 'mapping_layers': 2}
IMAGES = np.random.default_rng(0).uniform(-1, 1, (2, 32, 32, 3)).astype(np.float32)


def both(builder, **sizes):
    """(plain, rematerialised, weights). Both networks have weights of the same names and shapes."""
    plain, remat = builder(**sizes), builder(**sizes, remat=True)
    shapes = [jax.tree.map(lambda x: x.shape, jax.eval_shape(n.init, jax.random.key(0))) for n in (plain, remat)]
    assert shapes[0] == shapes[1]
    return plain, remat, draw_weights(plain.init)


def assert_same(plain, remat, *arguments):
    """Compares values and the gradients of all arguments, of functions that return one or several arrays."""

    def total(function):
        def value(*arguments):
            out = function(*arguments)
            return sum(jnp.sum(jnp.sin(leaf) ** 2) for leaf in jax.tree.leaves(out)), out

        return jax.jit(jax.value_and_grad(value, argnums=tuple(range(len(arguments))), has_aux=True))

    found, expected = total(remat)(*arguments), total(plain)(*arguments)
    assert all(np.abs(leaf).max() > 0 for leaf in jax.tree.leaves(expected[1][-1]))
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, atol=1e-4, rtol=1e-4), found, expected)


@pytest.mark.slow
@pytest.mark.parametrize('layer', [1, 2, 3])
def test_pggan(layer):
    plain, remat, params = both(pggan.build_pggan, **SIZES)
    z = jax.random.normal(jax.random.key(1), (3, 6))
    whole = [lambda p, z, g=g: g.image(p, g.features(p, z, layer), layer) for g in (plain, remat)]
    assert_same(*whole, params, z)


@pytest.mark.slow
@pytest.mark.parametrize('builder', [stylegan.build_stylegan, stylegan2.build_stylegan2])
@pytest.mark.parametrize('noise', ['stored', 'none', 'given'])
def test_networks_with_styles(builder, noise):
    plain, remat, params = both(builder, **STYLES)
    given = tuple(jnp.broadcast_to(image, (2, *image.shape)) for image in plain.styles.noise(params))

    def whole(generator):
        def run(params, w, tail, images):
            options = {'noise': images if noise == 'given' else noise}
            maps = generator.features(params, w, 3, 'w', **options)
            return generator.image(params, maps, 3, tail, **options) + sum(jnp.mean(image) for image in images)

        return run

    w = jax.random.normal(jax.random.key(1), (2, 5))
    assert_same(whole(plain), whole(remat), params, w, w[::-1], given)


@pytest.mark.slow
def test_vgg():
    plain, remat, params = both(vgg.build_vgg, depths=(2, 1, 2), channels=(4, 6, 5))
    names = ('relu3_1', 'relu1_1', 'relu2_1')
    assert_same(*[lambda p, x, e=e: e.features(p, x, names) for e in (plain, remat)], params, jnp.asarray(IMAGES))


@pytest.mark.slow
def test_alexnet():
    plain, remat, params = both(alexnet.build_alexnet, channels=(4, 6, 5, 4, 3))
    names = ('relu4', 'relu1')
    assert_same(*[lambda p, x, e=e: e.features(p, x, names) for e in (plain, remat)], params, jnp.asarray(IMAGES))


@pytest.mark.slow
def test_the_compiler_plans_less_memory():
    """On a CPU, where the barriers of `jax.checkpoint` have no effect."""
    planned = []
    for generator in both(pggan.build_pggan, resolution=64, latent_dim=16, fmaps_base=1024, fmaps_max=64)[:2]:
        params = jax.eval_shape(generator.init, jax.random.key(0))
        features = jax.ShapeDtypeStruct((4, 4, 4, 64), jnp.float32)
        gradient = jax.grad(lambda f, p, g=generator: jnp.sum(g.image(p, f, 2) ** 2))
        planned.append(jax.jit(gradient).lower(features, params).compile().memory_analysis().temp_size_in_bytes)
    assert planned[1] < 0.65 * planned[0]


def test_a_nan_gradient_stays_with_its_image():
    """The dependence of the arrays on the gradient carries no NaN from one image to another."""
    function = remat.rematerialise(lambda weight, x: jnp.sin(x) * weight)
    x = jnp.arange(6.0).reshape(2, 3)
    gradient = jnp.asarray([[jnp.nan, 1, 1], [1, 1, 1]])
    _, pull = jax.vjp(lambda x: function(2.0, x), x)
    found = pull(gradient)[0]
    assert np.isnan(found[0]).any()
    np.testing.assert_allclose(found[1], 2 * np.cos(x[1]), rtol=1e-6)
