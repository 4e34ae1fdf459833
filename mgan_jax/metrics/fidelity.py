"""Metrics against a reference image, one number per image. Images: [B H W C] in [-1, 1]."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from mgan_jax.models import perceptual
from mgan_jax.models.extractor import Extractor
from mgan_jax.models.lpips import Lpips

WINDOW = 11  # pixels a side of SSIM's Gaussian window; its sigma is 1.5
SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # Wang et al. 2003, from the finest scale to the coarsest


def psnr(x: Array, y: Array, where: Array | None = None) -> Array:
    """Peak signal-to-noise ratio in dB, 10 log10(peak^2 / mean (x - y)^2) with a peak of 2: -> [B].

    where [B H W 1]: only pixels where it is not 0 count; NaN if there are none. Equal images give infinity.
    """
    count = None if where is None else where != 0
    return 10 * jnp.log10(4 / jnp.mean(jnp.square(x - y), axis=(1, 2, 3), where=count))


def ssim(x: Array, y: Array) -> Array:
    """Structural similarity (Wang et al. 2004), Gaussian window of sigma 1.5, averaged over channels: -> [B].

    It equals that of scikit-image with gaussian_weights and without sample covariance. Raises ValueError for images of
    fewer than 11 pixels a side.
    """
    if min(x.shape[1:3]) < WINDOW:
        raise ValueError(f'images of {x.shape[1]}x{x.shape[2]} pixels are given; SSIM needs at least {WINDOW} a side.')
    luminance, structure = _similarities((x + 1) / 2, (y + 1) / 2)
    return jnp.mean(luminance * structure, axis=(1, 2, 3))


def ms_ssim(x: Array, y: Array, scales: int = 5) -> Array:
    """Multi-scale structural similarity (Wang, Simoncelli and Bovik 2003), averaged over channels: -> [B] in [0, 1].

    MS-SSIM = l_M^w_M prod_j cs_j^w_j. Scale j + 1 is scale j averaged over 2x2 pixels. A cs_j below 0 counts as 0.
    Fewer than 5 scales use the first weights, divided by their sum. Raises ValueError for more scales than `num_scales`
    allows.
    """
    if not 1 <= scales <= num_scales(x.shape[1:3]):
        height, width = x.shape[1:3]
        raise ValueError(
            f'{scales} scales are asked for and images of {height}x{width} pixels given; from 1 to '
            f'{len(SCALE_WEIGHTS)} scales are possible, and they need {WINDOW * 2 ** (scales - 1)} pixels a side.'
        )
    weights = np.array(SCALE_WEIGHTS[:scales]) / sum(SCALE_WEIGHTS[:scales])
    x, y, product = (x + 1) / 2, (y + 1) / 2, jnp.ones((x.shape[0], x.shape[3]), x.dtype)
    for place, weight in enumerate(weights, 1):
        luminance, structure = _similarities(x, y)
        product *= _power(jnp.mean(luminance * structure if place == scales else structure, axis=(1, 2)), float(weight))
        x, y = _halve(x), _halve(y)
    return jnp.mean(product, axis=1)


def num_scales(size: tuple[int, ...]) -> int:
    """The number of MS-SSIM scales, 0 to 5, at which an image of size (H, W) holds the window of 11 pixels.

    0 below 11 pixels a side, 3 at 64, 5 from 176.
    """
    return sum(min(size) >> scale >= WINDOW for scale in range(len(SCALE_WEIGHTS)))


def lpips(
    x: Array, y: Array, extractor: Extractor, params: dict[str, Any], lpips: Lpips, heads: dict[str, Any]
) -> Array:
    """LPIPS v0.1, see `perceptual.lpips_distance`: [B H W C] twice, C = 1 or 3 -> [B], 0 for equal images.

    params: the extractor's weights. heads: the weights of `lpips`. Raises ValueError for images of different shapes,
    for images smaller than the extractor needs, and for heads of another network.
    """
    if x.shape != y.shape:
        raise ValueError(
            f'images of the shapes {list(x.shape)} and {list(y.shape)} are given; equal shapes are wanted.'
        )
    return perceptual.lpips_distance(extractor, lpips)((params, heads), x, y)


def blur_images(images: Array, sigma: float, taps: int) -> Array:
    """Gaussian filter with an odd number of taps, without padding: [B H W C] -> [B H-taps+1 W-taps+1 C].

    It sums shifted images, because XLA:CPU computes the equal convolution 15 times slower.
    """
    bell = np.exp(-0.5 * (np.arange(taps) - taps // 2) ** 2 / sigma**2)
    window = [float(weight) for weight in bell / bell.sum()]
    for axis in (1, 2):
        length = images.shape[axis] - taps + 1
        shifted = [lax.slice_in_dim(images, i, i + length, axis=axis) for i in range(taps)]
        pairs = [
            weight * (one + other)
            for weight, one, other in zip(window[: taps // 2], shifted, shifted[::-1], strict=False)
        ]
        images = sum(pairs, start=window[taps // 2] * shifted[taps // 2])
        # The barrier stops XLA from fusing both passes into one sum of taps^2 terms.
        images = lax.optimization_barrier(images)
    return images


def _similarities(x: Array, y: Array) -> tuple[Array, Array]:
    """Luminance term l and contrast-structure term cs at each pixel: images in [0, 1] -> [B H-10 W-10 C] each.

    l = (2 mx my + c1) / (mx^2 + my^2 + c1),   cs = (2 cov + c2) / (vx + vy + c2);   SSIM = l cs.
    """
    maps = jnp.split(blur_images(jnp.concatenate([x, y, x * x, y * y, x * y]), 1.5, WINDOW), 5)
    mean_x, mean_y = maps[:2]
    var_x, var_y, covariance = maps[2] - mean_x**2, maps[3] - mean_y**2, maps[4] - mean_x * mean_y
    c1, c2 = 0.01**2, 0.03**2
    luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    return luminance, (2 * covariance + c2) / (var_x + var_y + c2)


def _power(x: Array, exponent: float) -> Array:
    """x^exponent where x > 0, else 0 with gradient 0."""
    return jnp.where(x > 0, jnp.where(x > 0, x, 1) ** exponent, 0)


def _halve(x: Array) -> Array:
    """Means of 2x2 pixels, without the last row or column of an odd size: [B H W C] -> [B H//2 W//2 C]."""
    x = x[:, : x.shape[1] // 2 * 2, : x.shape[2] // 2 * 2]
    return (x[:, ::2, ::2] + x[:, 1::2, ::2] + x[:, ::2, 1::2] + x[:, 1::2, 1::2]) / 4
