"""Metrics against stored values of their original implementations and against their definitions."""

import functools
import os

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from converters.convert import convert
from mgan_jax import metrics, models
from mgan_jax.metrics import fidelity
from mgan_jax.models import vgg
from mgan_jax.models.lpips import build_lpips
from tests import references, toy
from tests.references import stored, vgg16_params

REFERENCE = stored('vgg16_lpips_metrics')
pytestmark = pytest.mark.usefixtures('quick_compilation')
HEADS = os.environ.get('MGAN_LPIPS_HEADS')


def measured(name, x, y):
    """The metric, compiled once per name."""
    return COMPILED[name](jnp.asarray(x, jnp.float32), jnp.asarray(y, jnp.float32))


COMPILED = {name: jax.jit(getattr(metrics, name)) for name in ('psnr', 'ssim')}
COMPILED |= {f'ms_ssim{scales}': jax.jit(functools.partial(fidelity.ms_ssim, scales=scales)) for scales in (1, 2, 3, 5)}


def draw(*shape, seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, shape).astype(np.float32)


@pytest.mark.parametrize('name', ['psnr', 'ssim'])
def test_values_of_the_original_implementation(name):
    found = measured(name, REFERENCE['a'], REFERENCE['b'])
    np.testing.assert_allclose(found, REFERENCE[name], rtol=0, atol=1e-4)


@pytest.mark.skipif(not HEADS, reason='MGAN_LPIPS_HEADS names no file of LPIPS heads for VGG-16 (vgg.pth)')
def test_lpips_of_the_original_implementation(tmp_path):
    convert(HEADS, tmp_path / 'heads')
    lpips, heads = models.load(tmp_path / 'heads')
    compute = jax.jit(lambda x, y, params, heads: fidelity.lpips(x, y, vgg.build_vgg(), params, lpips, heads))
    found = compute(REFERENCE['a'], REFERENCE['b'], vgg16_params(), heads)
    np.testing.assert_allclose(found, REFERENCE['lpips_vgg'], rtol=0, atol=1e-4)


@pytest.mark.slow
def test_lpips_is_the_distance_of_its_networks():
    extractor, params = toy.extractor()
    lpips = build_lpips(extractor.stages, (4, 8))
    heads = {'relu1_1': jnp.arange(4.0), 'relu2_1': jnp.arange(8.0)}
    x, y = jnp.asarray(draw(2, 8, 6, 3)), jnp.asarray(draw(2, 8, 6, 3, seed=1))
    found = fidelity.lpips(x, y, extractor, params, lpips, heads)
    params = jax.tree.map(np.asarray, params)
    maps = [references.vgg_maps(params, image, (1, 1)) for image in (x, y)]
    np.testing.assert_allclose(found, references.lpips(*maps, [np.arange(4), np.arange(8)]), rtol=1e-4)
    np.testing.assert_array_equal(fidelity.lpips(x, x, extractor, params, lpips, heads), 0)
    with pytest.raises(
        ValueError, match=r'shapes \[2, 8, 6, 3\] and \[1, 8, 6, 3\] are given; equal shapes are wanted'
    ):
        fidelity.lpips(x, y[:1], extractor, params, lpips, heads)


def test_agreement_with_scikit_image():
    x, y = REFERENCE['a'], REFERENCE['b']
    for found, one, other in zip(measured('ssim', x, y), to_unit(x), to_unit(y), strict=True):
        expected = structural_similarity(
            one, other, channel_axis=-1, data_range=1, gaussian_weights=True, use_sample_covariance=False
        )
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
    expected = [peak_signal_noise_ratio(*pair, data_range=1) for pair in zip(to_unit(x), to_unit(y), strict=True)]
    np.testing.assert_allclose(measured('psnr', x, y), expected, rtol=0, atol=1e-4)


def to_unit(images):
    return (np.asarray(images, np.float64) + 1) / 2


def test_psnr_by_its_definition():
    x = draw(2, 4, 6, 3)
    y = x + np.array([0.02, -0.2], np.float32).reshape(2, 1, 1, 1)
    np.testing.assert_allclose(fidelity.psnr(jnp.asarray(x), jnp.asarray(y)), [40, 20], atol=1e-4)


def test_psnr_of_some_pixels():
    x, hole = draw(2, 8, 6, 3), np.zeros((2, 8, 6, 1), np.float32)
    hole[0, 2:4, 1:5] = hole[1, :, 3:] = 1
    y = np.where(hole, x + 0.02, x - 0.2).astype(np.float32)
    np.testing.assert_allclose(fidelity.psnr(x, y, hole), [40, 40], atol=1e-3)
    np.testing.assert_allclose(fidelity.psnr(x, y, 1 - hole), [20, 20], atol=1e-3)
    assert np.isnan(fidelity.psnr(x, y, 0 * hole)).all()


def test_gradients_are_finite_at_equal_pixels_and_below_zero():
    """The gradient is finite where images are equal and where the similarity of a scale is not above 0."""
    x = jnp.asarray(draw(1, 24, 24, 3))
    others = jnp.concatenate([x, x.at[:, :12].mul(-1), -x])
    found = jax.jit(jax.grad(lambda x: jnp.sum(COMPILED['ms_ssim2'](x, others))))(x.repeat(3, axis=0))
    assert np.isfinite(found).all()


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
    found = measured('ssim', 2 * x - 1, 2 * y - 1)
    np.testing.assert_allclose(found, value.mean(axis=(1, 2, 3)), atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize('scales, size', [(5, (177, 190)), (3, (44, 64)), (1, (11, 12))])
def test_ms_ssim_by_its_definition(scales, size):
    x = draw(2, *size, 2)
    x = np.cumsum(np.cumsum(x - x.mean(axis=(1, 2), keepdims=True), axis=1), axis=2)
    x = (x / np.abs(x).max(axis=(1, 2), keepdims=True)).astype(np.float32)
    y = np.clip(0.8 * x + 0.2 * draw(2, *size, 2, seed=1), -1, 1)
    found = measured(f'ms_ssim{scales}', x, y)
    for b in range(2):
        channels = [expected_ms_ssim(to_unit(x[b, ..., c]), to_unit(y[b, ..., c]), scales) for c in range(2)]
        np.testing.assert_allclose(found[b], np.mean(channels), rtol=0, atol=1e-5)
    assert fidelity.num_scales(size) == scales


def expected_ms_ssim(x, y, scales):
    """One channel [H W] in [0, 1]."""
    weights, product = np.array([0.0448, 0.2856, 0.3001, 0.2363, 0.1333])[:scales], 1.0
    for place, weight in enumerate(weights / weights.sum(), 1):
        mx, my, xx, yy, xy = (window_mean(image) for image in (x, y, x * x, y * y, x * y))
        similarity = (2 * (xy - mx * my) + 9e-4) / (xx - mx**2 + yy - my**2 + 9e-4)
        if place == scales:
            similarity *= (2 * mx * my + 1e-4) / (mx**2 + my**2 + 1e-4)
        product *= max(similarity.mean(), 0) ** weight
        x, y = (image[: len(image) // 2 * 2, : image.shape[1] // 2 * 2] for image in (x, y))
        x, y = (image.reshape(len(image) // 2, 2, -1, 2).mean(axis=(1, 3)) for image in (x, y))
    return product


def window_mean(image):
    """Over the Gaussian window, where it fits."""
    return gaussian_filter(image, 1.5, radius=5)[5:-5, 5:-5]


def test_ms_ssim_below_zero_at_a_scale():
    x = jnp.asarray(draw(1, 24, 24, 1))
    np.testing.assert_array_equal(measured('ms_ssim2', x, -x), 0)


def test_scales_that_images_have():
    sizes = [(10, 999), (11, 11), (64, 64), (175, 300), (300, 175), (176, 176), (1024, 1024)]
    assert [fidelity.num_scales(size) for size in sizes] == [0, 1, 3, 4, 4, 5, 5]


@pytest.mark.parametrize(
    'scales, size', [(5, (175, 256)), (4, (64, 64)), (0, (64, 64)), (6, (512, 512)), (1, (10, 64))]
)
def test_more_scales_than_images_have(scales, size):
    message = f'^{scales} scales are asked for and images of {size[0]}x{size[1]} pixels given; from 1 to 5'
    with pytest.raises(ValueError, match=message):
        fidelity.ms_ssim(jnp.zeros((1, *size, 1)), jnp.zeros((1, *size, 1)), scales)


@pytest.mark.parametrize('channels', [1, 3])
def test_identical_images(channels):
    x = jnp.asarray(draw(2, 12, 16, channels))
    np.testing.assert_array_equal(measured('psnr', x, x), np.inf)
    np.testing.assert_allclose(measured('ssim', x, x), 1, atol=1e-6)
    np.testing.assert_allclose(measured('ms_ssim1', x, x), 1, atol=1e-6)


@pytest.mark.parametrize('name', ['psnr', 'ssim'])
def test_one_number_per_image(name):
    x, y = draw(3, 11, 11, 3), draw(3, 11, 11, 3, seed=1)
    y[1:] = (x[1:] + y[1:]) / 2
    together = measured(name, x, y)
    assert together.shape == (3,) and len(set(np.asarray(together))) == 3
    np.testing.assert_allclose(measured(name, x[::-1], y[::-1]), together[::-1], rtol=1e-5)


@pytest.mark.parametrize('shape', [(1, 10, 16, 3), (1, 16, 10, 3)])
def test_images_too_small_for_the_window(shape):
    message = f'^images of {shape[1]}x{shape[2]} pixels are given; SSIM needs at least 11 a side.$'
    with pytest.raises(ValueError, match=message):
        fidelity.ssim(jnp.zeros(shape), jnp.zeros(shape))
