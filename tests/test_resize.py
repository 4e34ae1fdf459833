"""Resizing against its definition in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mgan_jax import resize


def draw(*shape):
    return np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32)


@pytest.mark.parametrize('height, width, size', [(8, 8, 4), (5, 7, 3), (4, 6, 9), (1, 3, 4), (7, 7, 7), (1000, 3, 256)])
def test_nearest_takes_the_pixel_at_floor(height, width, size):
    x = draw(2, height, width, 3)
    rows = [int(np.floor(i * height / size)) for i in range(size)]
    columns = [int(np.floor(j * width / size)) for j in range(size)]
    found = jax.jit(resize.nearest, static_argnums=1)(x, size)
    np.testing.assert_array_equal(found, x[:, rows][:, :, columns])


def test_nearest_is_not_the_nearest_pixel_centre():
    x = draw(1, 8, 8, 1)
    assert np.any(resize.nearest(jnp.asarray(x), 4) != jax.image.resize(x, (1, 4, 4, 1), 'nearest'))


def test_gradient_of_nearest_reaches_only_the_pixels_taken():
    gradient = jax.grad(lambda x: resize.nearest(x, 2).sum())(jnp.zeros((1, 4, 4, 1)))
    expected = np.zeros((4, 4))
    expected[::2, ::2] = 1
    np.testing.assert_array_equal(gradient[0, :, :, 0], expected)


@pytest.mark.parametrize('factor', [1, 2, 3, 4, 6])
def test_bilinear_samples_between_pixel_centres_without_antialiasing(factor):
    x = draw(2, 12, 24, 3)
    # The centre of output pixel i lies at (i + 1/2) factor - 1/2; only the two pixels beside it count.
    below, above = factor // 2 - (factor % 2 == 0), factor // 2
    rows = (x[:, below::factor] + x[:, above::factor]) / 2
    expected = (rows[:, :, below::factor] + rows[:, :, above::factor]) / 2
    found = resize.shrink(jnp.asarray(x), factor)
    assert found.shape == (2, 12 // factor, 24 // factor, 3)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    np.testing.assert_array_equal(found, resize.shrink(jnp.asarray(x), factor, 'bilinear'))


@pytest.mark.parametrize('factor', [1, 2, 4])
def test_area_averages_blocks(factor):
    x = draw(2, 8, 4, 3)
    expected = np.empty((2, 8 // factor, 4 // factor, 3))
    for i in range(8 // factor):
        for j in range(4 // factor):
            block = x[:, i * factor : (i + 1) * factor, j * factor : (j + 1) * factor]
            expected[:, i, j] = block.mean(axis=(1, 2))
    np.testing.assert_allclose(resize.shrink(jnp.asarray(x), factor, 'area'), expected, atol=1e-6)


def test_methods_that_differ_on_detail_agree_on_constants():
    detail, found = jnp.asarray(draw(1, 16, 16, 3)), {}
    for method in ('bilinear', 'area', 'bicubic', 'lanczos'):
        found[method] = resize.shrink(detail, 4, method)
        np.testing.assert_allclose(resize.shrink(jnp.full((1, 16, 16, 3), 0.3), 4, method), 0.3, atol=1e-6)
    assert np.std(found['bilinear']) > 1.3 * np.std(found['bicubic'])  # aliased detail
    assert np.max(np.abs(found['bicubic'] - found['lanczos'])) > 1e-3


def test_antialiased_methods_suppress_the_finest_stripes():
    stripes = jnp.asarray(
        np.broadcast_to(np.where(np.arange(32) % 4 < 2, 1.0, -1.0)[None, :, None, None], (1, 32, 32, 1))
    )
    assert np.abs(resize.shrink(stripes, 4, 'lanczos')[:, 2:-2]).max() < 0.05
    assert np.abs(resize.shrink(stripes, 4, 'bicubic')[:, 2:-2]).max() < 0.05


@pytest.mark.parametrize('factor, shape', [(3, (1, 8, 9, 3)), (3, (1, 9, 8, 3)), (0, (1, 8, 8, 3)), (16, (1, 8, 8, 3))])
def test_factors_that_do_not_divide(factor, shape):
    message = f'^factor {factor} does not divide images of {shape[1]}x{shape[2]} pixels; choose one that does.$'
    with pytest.raises(ValueError, match=message):
        resize.shrink(jnp.zeros(shape), factor)


def test_methods_that_are_not_there():
    with pytest.raises(ValueError, match="^method 'box' is given; bilinear, area, bicubic, lanczos are wanted.$"):
        resize.shrink(jnp.zeros((1, 8, 8, 3)), 2, 'box')
