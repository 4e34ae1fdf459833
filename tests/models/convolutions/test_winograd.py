"""Winograd convolutions: the values and gradients of the plain ones, with fewer multiplications."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mgan_jax.models.convolutions import phases, plain, winograd

pytestmark = pytest.mark.usefixtures('quick_compilation')


def both(direct, fast, upsample, shape):
    """Values and gradients with respect to the image, of two implementations of a convolution."""
    x = jax.random.normal(jax.random.key(0), shape)
    kernel = jax.random.normal(jax.random.key(1), (3, 3, shape[-1], 5))
    results = []
    for function, argument in ((direct, kernel), (fast, winograd.transform_kernel(kernel, upsample))):
        y, pull = jax.vjp(lambda x, f=function, a=argument: f(x, a), x)
        results.append((y, *pull(jax.random.normal(jax.random.key(2), y.shape))))
    return results


@pytest.mark.slow
@pytest.mark.parametrize('size', [(1, 1), (4, 4), (5, 8), (9, 6), (16, 16)])
def test_convolution(size):
    (y, dx), (fast_y, fast_dx) = both(plain.conv, winograd.winograd_conv, False, (2, *size, 3))
    np.testing.assert_allclose(fast_y, y, rtol=0, atol=1e-4)
    np.testing.assert_allclose(fast_dx, dx, rtol=0, atol=1e-4)


@pytest.mark.slow
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
