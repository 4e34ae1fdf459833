"""Metrics against the stored values of their original implementations and against their definitions."""

import os

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from converters.convert import convert
from mgan_jax import metrics, models
from mgan_jax.models import vgg
from mgan_jax.models.lpips import build as build_lpips
from tests import references, toy
from tests.references import stored, vgg16_params

REFERENCE = stored('vgg16_lpips_metrics')
HEADS = os.environ.get('MGAN_LPIPS_HEADS')


def draw(*shape, seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, shape).astype(np.float32)


@pytest.mark.parametrize('name', ['psnr', 'ssim'])
def test_values_of_the_original_implementation(name):
    found = jax.jit(getattr(metrics, name))(REFERENCE['a'], REFERENCE['b'])
    np.testing.assert_allclose(found, REFERENCE[name], rtol=0, atol=1e-4)


@pytest.mark.skipif(not HEADS, reason='MGAN_LPIPS_HEADS names no file of LPIPS heads for VGG-16 (vgg.pth)')
def test_lpips_of_the_original_implementation(tmp_path):
    convert(HEADS, tmp_path / 'heads')
    lpips, heads = models.load(tmp_path / 'heads')
    compute = jax.jit(lambda x, y, params, heads: metrics.lpips(x, y, vgg.build(), params, lpips, heads))
    found = compute(REFERENCE['a'], REFERENCE['b'], vgg16_params(), heads)
    np.testing.assert_allclose(found, REFERENCE['lpips_vgg'], rtol=0, atol=1e-4)


def test_lpips_is_the_distance_of_its_networks():
    extractor, params = toy.extractor()
    lpips = build_lpips(extractor.stages, (4, 8))
    heads = {'relu1_1': jnp.arange(4.0), 'relu2_1': jnp.arange(8.0)}
    x, y = jnp.asarray(draw(2, 8, 6, 3)), jnp.asarray(draw(2, 8, 6, 3, seed=1))
    found = metrics.lpips(x, y, extractor, params, lpips, heads)
    params = jax.tree.map(np.asarray, params)
    maps = [references.vgg_maps(params, image, (1, 1)) for image in (x, y)]
    np.testing.assert_allclose(found, references.lpips(*maps, [np.arange(4), np.arange(8)]), rtol=1e-4)
    np.testing.assert_array_equal(metrics.lpips(x, x, extractor, params, lpips, heads), 0)
    with pytest.raises(
        ValueError, match=r'shapes \[2, 8, 6, 3\] and \[1, 8, 6, 3\] are given; equal shapes are wanted'
    ):
        metrics.lpips(x, y[:1], extractor, params, lpips, heads)


def test_psnr_by_its_definition():
    x = draw(2, 4, 6, 3)
    y = x + np.array([0.02, -0.2], np.float32).reshape(2, 1, 1, 1)
    np.testing.assert_allclose(metrics.psnr(jnp.asarray(x), jnp.asarray(y)), [40, 20], atol=1e-4)


def test_ssim_by_its_definition():
    x, y = draw(2, 12, 14, 2), draw(2, 12, 14, 2, seed=1)
    y = (x + y) / 2
    taps = np.exp(-0.5 * (np.arange(-5, 6) / 1.5) ** 2)
    window = np.outer(taps, taps) / taps.sum() ** 2

    def mean(image):  # over the Gaussian window, where it fits
        views = np.lib.stride_tricks.sliding_window_view(image, (11, 11), axis=(1, 2))
        return np.einsum('bhwcij,ij->bhwc', views.astype(np.float64), window)

    x, y = (x + 1) / 2, (y + 1) / 2  # peak 1
    mx, my = mean(x), mean(y)
    vx, vy, cov = mean(x * x) - mx**2, mean(y * y) - my**2, mean(x * y) - mx * my
    value = (2 * mx * my + 1e-4) * (2 * cov + 9e-4) / ((mx**2 + my**2 + 1e-4) * (vx + vy + 9e-4))
    found = metrics.ssim(jnp.asarray(2 * x - 1), jnp.asarray(2 * y - 1))
    np.testing.assert_allclose(found, value.mean(axis=(1, 2, 3)), atol=1e-4)


@pytest.mark.parametrize('channels', [1, 3])
def test_identical_images(channels):
    x = jnp.asarray(draw(2, 12, 16, channels))
    np.testing.assert_array_equal(metrics.psnr(x, x), np.inf)
    np.testing.assert_allclose(metrics.ssim(x, x), 1, atol=1e-6)


@pytest.mark.parametrize('name', ['psnr', 'ssim'])
def test_one_number_per_image(name):
    x, y = jnp.asarray(draw(3, 11, 11, 3)), jnp.asarray(draw(3, 11, 11, 3, seed=1))
    together = getattr(metrics, name)(x, y)
    assert together.shape == (3,)
    for i in range(3):
        np.testing.assert_allclose(getattr(metrics, name)(x[i : i + 1], y[i : i + 1])[0], together[i], rtol=1e-5)


@pytest.mark.parametrize('shape', [(1, 10, 16, 3), (1, 16, 10, 3)])
def test_images_too_small_for_the_window(shape):
    message = f'^images of {shape[1]}x{shape[2]} pixels are given; SSIM needs at least 11 a side.$'
    with pytest.raises(ValueError, match=message):
        metrics.ssim(jnp.zeros(shape), jnp.zeros(shape))
