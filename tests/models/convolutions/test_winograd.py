"""Convolutions by transformed kernels: the values and slopes of the plain ones, with fewer multiplications."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mgan_jax.models import pggan, stylegan, stylegan2, vgg
from mgan_jax.models.convolutions import phases, plain, winograd
from tests.toy import draw_weights

pytestmark = pytest.mark.usefixtures('quick_compilation')


def both(direct, fast, upsample, shape):
    """Values and slopes with respect to the image of two ways to compute a convolution."""
    x = jax.random.normal(jax.random.key(0), shape)
    kernel = jax.random.normal(jax.random.key(1), (3, 3, shape[-1], 5))
    results = []
    for function, argument in ((direct, kernel), (fast, winograd.transform_kernel(kernel, upsample))):
        y, slope = jax.vjp(lambda x, f=function, a=argument: f(x, a), x)
        results.append((y, *slope(jax.random.normal(jax.random.key(2), y.shape))))
    return results


@pytest.mark.parametrize('size', [(1, 1), (4, 4), (5, 8), (9, 6), (16, 16)])
def test_convolution(size):
    (y, dx), (fast_y, fast_dx) = both(plain.conv, winograd.winograd_conv, False, (2, *size, 3))
    np.testing.assert_allclose(fast_y, y, rtol=0, atol=1e-4)
    np.testing.assert_allclose(fast_dx, dx, rtol=0, atol=1e-4)


@pytest.mark.parametrize('size', [(1, 1), (2, 2), (3, 4), (5, 2), (8, 8)])
def test_upsampling(size):
    (y, dx), (fast_y, fast_dx) = both(phases.upsample_conv, winograd.winograd_upsample_conv, True, (2, *size, 3))
    np.testing.assert_allclose(fast_y, y, rtol=0, atol=3e-5)
    np.testing.assert_allclose(fast_dx, dx, rtol=0, atol=3e-5)


def test_fewer_multiplications():
    def operations(function, *arguments):
        return jax.jit(function).lower(*arguments).compile().cost_analysis()['flops']

    x, kernel = jnp.zeros((4, 32, 32, 128)), jnp.zeros((3, 3, 128, 128))
    direct = operations(plain.conv, x, kernel)
    assert operations(winograd.winograd_conv, x, winograd.transform_kernel(kernel, False)) < 0.35 * direct
    up = operations(phases.upsample_conv, x, kernel)
    assert operations(winograd.winograd_upsample_conv, x, winograd.transform_kernel(kernel, True)) < 0.5 * up


def test_kernels_are_transformed_by_numpy_or_jax():
    kernel = np.random.default_rng(0).standard_normal((3, 3, 2, 3)).astype(np.float32)
    for upsample in (False, True):
        by_numpy = winograd.transform_kernel(kernel, upsample)
        assert type(by_numpy) is np.ndarray and by_numpy.dtype == np.float32
        np.testing.assert_allclose(
            by_numpy, winograd.transform_kernel(jnp.asarray(kernel), upsample), rtol=1e-6, atol=1e-6
        )


NETWORKS = {
    'pggan': pggan.build_pggan(32, latent_dim=8, fmaps_base=4096, fmaps_max=128),
    'stylegan': stylegan.build_stylegan(32, latent_dim=8, style_dim=8, fmaps_base=4096, fmaps_max=128),
    'stylegan2': stylegan2.build_stylegan2(32, latent_dim=8, style_dim=8, fmaps_base=4096, fmaps_max=128),
}


@pytest.mark.parametrize('name', NETWORKS)
def test_generators(name):
    generator = NETWORKS[name]
    params = draw_weights(generator.init, seed=0)
    prepared = generator.prepare(jax.device_get(params))
    changed = {layer for layer in params if set(prepared[layer]) != set(params[layer])} if name == 'pggan' else None
    assert changed in (None, {'layer3', 'layer4', 'layer5', 'layer6', 'layer7', 'layer8'})
    z = jax.random.normal(jax.random.key(1), (2, 8))
    (image, dz), (fast_image, fast_dz) = (
        jax.jit(jax.value_and_grad(lambda z, p: jnp.square(generator.generate(p, z)).sum()))(z, p)
        for p in (params, prepared)
    )
    np.testing.assert_allclose(fast_image, image, rtol=1e-5)
    np.testing.assert_allclose(fast_dz, dz, rtol=0, atol=1e-4 * float(jnp.abs(dz).max()))
    assert any('transformed' in layer for layer in prepared.values() if isinstance(layer, dict))


@pytest.mark.parametrize('padding', ['zero', 'reflect'])
def test_extractors(padding):
    extractor = vgg.build_vgg((1, 2), (128, 128), padding)
    params = draw_weights(extractor.init, seed=0)
    prepared = extractor.prepare(params)
    assert [name for name in params if 'transformed' in prepared[name]] == ['conv2_1', 'conv2_2']
    images = jax.random.uniform(jax.random.key(1), (2, 20, 24, 3), minval=-1)
    expected = extractor.features(params, images, 'relu2_2')
    found = extractor.features(prepared, images, 'relu2_2')
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-5 * float(expected.max()))
