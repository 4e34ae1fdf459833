"""Networks with transformed kernels compute the same as with plain kernels."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mgan_jax.models import pggan, stylegan, stylegan2, vgg
from tests.toy import draw_weights

pytestmark = pytest.mark.usefixtures('quick_compilation')
NETWORKS = {
    'pggan': pggan.build_pggan(32, latent_dim=8, fmaps_base=4096, fmaps_max=128),
    'stylegan': stylegan.build_stylegan(32, latent_dim=8, style_dim=8, fmaps_base=4096, fmaps_max=128),
    'stylegan2': stylegan2.build_stylegan2(32, latent_dim=8, style_dim=8, fmaps_base=4096, fmaps_max=128),
}


@pytest.mark.slow
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


@pytest.mark.slow
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
