"""Convolutions at one resolution against their definitions, with the gradients for training."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mgan_jax.models.convolutions import phases, plain
from tests.models.convolutions.definitions import convolve, draw, values_and_gradients


def test_values_and_gradients_of_the_definition():
    x, kernel = draw(2, 5, 4, 3), draw(3, 3, 3, 2, seed=1)
    found, expected = (values_and_gradients(function, x, kernel) for function in (plain.conv, convolve))
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=2e-5)


def test_padding_of_the_plain_convolution():
    x, kernel = draw(1, 4, 4, 2), draw(3, 3, 2, 3, seed=1)
    np.testing.assert_allclose(plain.conv(x, kernel, 'VALID'), convolve(x, kernel)[:, 1:-1, 1:-1], atol=1e-5)


def test_filter_of_both_axes():
    x, taps = draw(2, 5, 4, 3), np.array([0.25, 0.5, 0.25])
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    expected = sum(padded[:, i : i + 5, j : j + 4] * taps[i] * taps[j] for i in range(3) for j in range(3))
    np.testing.assert_allclose(plain.blur_maps(x, taps), expected, rtol=0, atol=1e-6)


def test_bias_of_each_channel():
    x, bias = np.arange(12, dtype=np.float32).reshape(1, 2, 2, 3), np.array([1, 10, 100], np.float32)
    np.testing.assert_array_equal(plain.add_bias(jnp.asarray(x), jnp.asarray(bias)), x + bias)


@pytest.mark.slow
@pytest.mark.parametrize('place', [lambda x, k, conv: conv(x, k), phases.upsample_conv, phases.conv_downsample])
@pytest.mark.parametrize('side', [8, 32])
def test_the_trainable_convolution_has_the_same_values_and_gradients(place, side):
    x, kernel = draw(2, side, side, 3), draw(3, 3, 3, 4, seed=1)

    def pull(conv):
        def loss(x, kernel):
            return jnp.mean(jnp.sin(place(x, kernel, conv)))

        def smoothness(kernel):  # the gradient of a gradient, as in R1 regularisation
            return jnp.sum(jnp.square(jax.grad(loss)(x, kernel)))

        return jax.value_and_grad(loss, argnums=(0, 1))(x, kernel), jax.grad(smoothness)(kernel)

    own, expected = (jax.tree.leaves(jax.jit(pull, static_argnums=0)(c)) for c in (plain.trainable_conv, plain.conv))
    for a, b in zip(own, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-5 * float(jnp.max(jnp.abs(b))))
