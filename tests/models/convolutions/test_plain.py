"""The fused convolutions equal the two steps that they stand for, and so do their gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from mgan_jax.models.convolutions import phases, plain


def defined(x, kernel):
    """The definition of a 3x3 convolution with zero borders: out[p] = sum of taps t of x[p + t - 1] kernel[t]."""
    padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    h, w = x.shape[1:3]
    return sum(
        jnp.einsum('bhwc,cd->bhwd', padded[:, i : i + h, j : j + w], kernel[i, j]) for i in range(3) for j in range(3)
    )


def upsample_then_convolve(x, kernel):
    return defined(jnp.repeat(jnp.repeat(x, 2, axis=1), 2, axis=2), kernel)


def convolve_then_average(x, kernel):
    full = defined(x, kernel)
    b, h, w, c = full.shape
    return full.reshape(b, h // 2, 2, w // 2, 2, c).mean(axis=(2, 4))


def draw(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape), jnp.float32)


@pytest.mark.parametrize(
    'fused, definition, shape',
    [
        (plain.conv, defined, (2, 5, 4, 3)),
        (phases.upsample_conv, upsample_then_convolve, (2, 3, 5, 3)),
        (phases.upsample_conv, upsample_then_convolve, (1, 1, 1, 3)),
        (phases.conv_downsample, convolve_then_average, (2, 6, 4, 3)),
        (phases.conv_downsample, convolve_then_average, (1, 2, 2, 3)),
    ],
)
def test_values_and_gradients_of_the_definition(fused, definition, shape):
    x, kernel = draw(*shape), draw(3, 3, 3, 2, seed=1)

    def pull(function):
        out, back = jax.vjp(function, x, kernel)
        return out, back(draw(*out.shape, seed=2))

    out, slopes = jax.jit(pull, static_argnums=0)(fused)
    expected, expected_slopes = jax.jit(pull, static_argnums=0)(definition)
    np.testing.assert_allclose(out, expected, rtol=0, atol=2e-5)
    for slope, expected_slope in zip(slopes, expected_slopes, strict=True):
        np.testing.assert_allclose(slope, expected_slope, rtol=0, atol=2e-5)


def test_padding_of_the_plain_convolution():
    x, kernel = draw(1, 4, 4, 2), draw(3, 3, 2, 3, seed=1)
    np.testing.assert_allclose(plain.conv(x, kernel, 'VALID'), defined(x, kernel)[:, 1:-1, 1:-1], atol=1e-5)


def test_bias_of_each_channel():
    x, bias = np.arange(12, dtype=np.float32).reshape(1, 2, 2, 3), np.array([1, 10, 100], np.float32)
    np.testing.assert_array_equal(plain.add_bias(jnp.asarray(x), jnp.asarray(bias)), x + bias)


def test_upsampling_convolution_takes_four_ninths_of_the_multiplications():
    x, kernel = jnp.zeros((1, 8, 8, 4)), jnp.zeros((3, 3, 4, 4))
    kernels = [
        equation.invars[1].aval.shape
        for equation in jax.make_jaxpr(phases.upsample_conv)(x, kernel).eqns
        if equation.primitive is lax.conv_general_dilated_p
    ]
    assert kernels == [(2, 2, 4, 4)] * 4


@pytest.mark.parametrize('place', [lambda x, k, conv: conv(x, k), phases.upsample_conv, phases.conv_downsample])
@pytest.mark.parametrize('side', [8, 32])
def test_the_trainable_convolution_has_the_same_values_and_gradients(place, side):
    x, kernel = draw(2, side, side, 3), draw(3, 3, 3, 4, seed=1)

    def pull(conv):
        def loss(x, kernel):
            return jnp.mean(jnp.sin(place(x, kernel, conv)))

        def smoothness(kernel):  # as R1 does: the gradient of a gradient
            return jnp.sum(jnp.square(jax.grad(loss)(x, kernel)))

        return jax.value_and_grad(loss, argnums=(0, 1))(x, kernel), jax.grad(smoothness)(kernel)

    own, expected = (jax.tree.leaves(jax.jit(pull, static_argnums=0)(c)) for c in (plain.trainable_conv, plain.conv))
    for a, b in zip(own, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-5 * float(jnp.max(jnp.abs(b))))
