"""The discriminator against its definition, written out layer by layer."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from mgan_jax.models import discriminator
from tests.references import relative_error


def images(batch, resolution=16):
    return np.random.default_rng(1).uniform(-1, 1, (batch, resolution, resolution, 3)).astype(np.float32)


def leaky(x):
    return jnp.where(x < 0, 0.2 * x, x)


def convolve(x, kernel, bias, halved=False):
    x = lax.conv_general_dilated(x, kernel, (1, 1), 'SAME', dimension_numbers=('NHWC', 'HWIO', 'NHWC'))
    if halved:
        b, h, w, c = x.shape
        x = x.reshape(b, h // 2, 2, w // 2, 2, c).mean(axis=(2, 4))
    return leaky(x + bias[None, None, None])


def test_realness_against_the_definition():
    network = discriminator.Discriminator(16, fmaps_base=128, fmaps_max=12)
    rng = np.random.default_rng(0)
    shapes = jax.eval_shape(network.init, jax.random.key(0), images(4))['params']
    params = jax.tree.map(lambda leaf: 0.2 * rng.standard_normal(leaf.shape).astype(np.float32), shapes)
    assert params['from_rgb']['kernel'].shape == (1, 1, 3, 8)
    assert params['conv4']['kernel'].shape == (3, 3, 13, 12)

    @jax.jit
    def definition(params, x):
        x = convolve(x, **params['from_rgb'])
        for r in (16, 8):
            x = convolve(x, **params[f'conv{r}'])
            x = convolve(x, **params[f'down{r}'], halved=True)
        deviation = jnp.sqrt(jnp.var(x, axis=0) + 1e-8).mean()
        x = convolve(jnp.concatenate([x, jnp.full((*x.shape[:3], 1), deviation)], axis=-1), **params['conv4'])
        x = leaky(x.reshape(x.shape[0], -1) @ params['dense4']['kernel'] + params['dense4']['bias'][None])
        return (x @ params['logit']['kernel'])[:, 0] + params['logit']['bias']

    found = jax.jit(network.apply)({'params': params}, images(4))
    assert found.shape == (4,)
    assert relative_error(found, definition(params, images(4))) < 1e-5


def test_halve_averages_blocks():
    x = images(2, 8)
    np.testing.assert_allclose(
        discriminator.halve_images(jnp.asarray(x)), x.reshape(2, 4, 2, 4, 2, 3).mean(axis=(2, 4)), atol=1e-6
    )


@pytest.mark.slow
@pytest.mark.parametrize('batch, group', [(1, 1), (4, 4), (8, 8), (12, 4), (16, 8), (5, 1)])
def test_deviation_of_each_group(batch, group):
    x = images(batch, 4)
    found = discriminator.minibatch_deviation(jnp.asarray(x))
    assert found.shape == (batch, 4, 4, 4)
    np.testing.assert_array_equal(found[..., :3], x)
    for i in range(batch):
        own = x[i % (batch // group) :: batch // group]
        assert len(own) == group
        expected = np.sqrt(own.var(axis=0) + 1e-8).mean()
        np.testing.assert_allclose(found[i, ..., 3], np.full((4, 4), expected), rtol=1e-5)
