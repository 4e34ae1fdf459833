"""Convolutions by phases equal the two steps that they replace, and so do their gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from mgan_jax.models.convolutions import phases
from tests.models.convolutions.definitions import convolve, draw, values_and_gradients


def upsample_then_convolve(x, kernel):
    return convolve(jnp.repeat(jnp.repeat(x, 2, axis=1), 2, axis=2), kernel)


def convolve_then_average(x, kernel):
    full = convolve(x, kernel)
    b, h, w, c = full.shape
    return full.reshape(b, h // 2, 2, w // 2, 2, c).mean(axis=(2, 4))


def convolve_zeros_inserted(x, kernel):
    b, h, w, c = x.shape
    upsampled = jnp.zeros((b, 2 * h + 3, 2 * w + 3, c)).at[:, 2:-1:2, 2:-1:2].set(x)
    return convolve(upsampled, kernel)[:, 1:-1, 1:-1]


@pytest.mark.slow
@pytest.mark.parametrize(
    'fused, definition, shape',
    [
        (phases.upsample_conv, upsample_then_convolve, (2, 3, 5, 3)),
        (phases.upsample_conv, upsample_then_convolve, (1, 1, 1, 3)),
        (phases.conv_downsample, convolve_then_average, (2, 6, 4, 3)),
        (phases.conv_downsample, convolve_then_average, (1, 2, 2, 3)),
        (phases.transposed_conv, convolve_zeros_inserted, (2, 3, 5, 3)),
    ],
)
def test_values_and_gradients_of_the_definition(fused, definition, shape):
    x, kernel = draw(*shape), draw(3, 3, 3, 2, seed=1)
    found, expected = (values_and_gradients(function, x, kernel) for function in (fused, definition))
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=2e-5)


@pytest.mark.slow
def test_smooth_upsampling_is_a_filter_after_inserting_zeros():
    x = draw(2, 3, 4, 2)
    padded = jnp.zeros((2, 9, 11, 2)).at[:, 2:-2:2, 2:-2:2].set(x)
    taps = np.outer((1, 3, 3, 1), (1, 3, 3, 1)) / 16
    expected = sum(padded[:, i : i + 6, j : j + 8] * taps[i, j] for i in range(4) for j in range(4))
    np.testing.assert_allclose(phases.upsample_smooth(x), expected, rtol=0, atol=1e-6)


def test_upsampling_convolution_takes_four_ninths_of_the_multiplications():
    x, kernel = jnp.zeros((1, 8, 8, 4)), jnp.zeros((3, 3, 4, 4))
    kernels = [
        equation.invars[1].aval.shape
        for equation in jax.make_jaxpr(phases.upsample_conv)(x, kernel).eqns
        if equation.primitive is lax.conv_general_dilated_p
    ]
    assert kernels == [(2, 2, 4, 4)] * 4
