"""How close two batches of images are, one number per image. Images: [B H W C] in [-1, 1]. NIQE, of single images: `niqe`."""

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from mgan_jax.models import perceptual
from mgan_jax.models.extractor import Extractor
from mgan_jax.models.lpips import Lpips

WINDOW = 11  # pixels of SSIM's Gaussian window, whose sigma is 1.5
SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # Wang et al. 2003, from the finest scale to the coarsest


def psnr(x: Array, y: Array, where: Array | None = None) -> Array:
    """Peak signal-to-noise ratio in dB, 10 log10(peak^2 / mean (x - y)^2) with a peak of 2: -> [B].

    where [B H W 1]: only pixels at which it is not 0 count; NaN if there is none.
    """
    count = None if where is None else where != 0
    return 10 * jnp.log10(4 / jnp.mean(jnp.square(x - y), axis=(1, 2, 3), where=count))


def ssim(x: Array, y: Array) -> Array:
    """Structural similarity (Wang et al. 2004), Gaussian window of sigma 1.5, averaged over channels: -> [B].

    As scikit-image has it with gaussian_weights and without sample covariance. Images of at least 11 pixels a side.
    """
    if min(x.shape[1:3]) < WINDOW:
        raise ValueError(f'images of {x.shape[1]}x{x.shape[2]} pixels are given; SSIM needs at least {WINDOW} a side.')
    luminance, structure = _similarities((x + 1) / 2, (y + 1) / 2)
    return jnp.mean(luminance * structure, axis=(1, 2, 3))


def ms_ssim(x: Array, y: Array, scales: int = 5) -> Array:
    """Structural similarity at several scales (Wang, Simoncelli and Bovik 2003), averaged over channels: -> [B].

    MS-SSIM = l_M^w_M prod_j cs_j^w_j, scale j + 1 made of means of 2x2 pixels of scale j; cs_j below 0 counts as 0.
    Each scale is half as large and has to hold the window of 11 pixels: five scales need 176 pixels a side, see
    `num_scales`. With fewer, the weights of the first ones are used, divided by their sum. ValueError for images that are
    too small.
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
    """How many scales of MS-SSIM images of this size (H, W) can have, 5 at most: 0 below 11 pixels, 3 at 64, 5 from 176."""
    return sum(min(size) >> scale >= WINDOW for scale in range(len(SCALE_WEIGHTS)))


def lpips(x: Array, y: Array, extractor: Extractor, params: dict, lpips: Lpips, heads: dict) -> Array:
    """LPIPS v0.1 with the extractor and the heads that are given, see `perceptual.lpips_distance`: -> [B], 0 for equal images.

    Images of three channels or one, of the extractor's least size or larger. ValueError for heads of another network.
    """
    if x.shape != y.shape:
        raise ValueError(
            f'images of the shapes {list(x.shape)} and {list(y.shape)} are given; equal shapes are wanted.'
        )
    return perceptual.lpips_distance(extractor, lpips)((params, heads), x, y)


def blur(images: Array, sigma: float, taps: int) -> Array:
    """Gaussian of an odd number of taps, where the window fits: [B H W C] -> [B H-taps+1 W-taps+1 C].

    Sums of shifted images, since XLA:CPU computes the same as a convolution 15 times slower.
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
        images = lax.optimization_barrier(images)  # or columns and rows become one sum of taps^2 terms
    return images


def _similarities(x: Array, y: Array) -> tuple[Array, Array]:
    """Images in [0, 1] -> how alike luminance, and contrast and structure, are around each pixel: [B H-10 W-10 C] each.

    l = (2 mx my + c1) / (mx^2 + my^2 + c1),   cs = (2 cov + c2) / (vx + vy + c2);   SSIM = l cs.
    """
    maps = jnp.split(blur(jnp.concatenate([x, y, x * x, y * y, x * y]), 1.5, WINDOW), 5)
    mean_x, mean_y = maps[:2]
    var_x, var_y, covariance = maps[2] - mean_x**2, maps[3] - mean_y**2, maps[4] - mean_x * mean_y
    c1, c2 = 0.01**2, 0.03**2
    luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    return luminance, (2 * covariance + c2) / (var_x + var_y + c2)


def _power(x: Array, exponent: float) -> Array:
    """x^exponent, 0 with no gradient where x is not above 0."""
    return jnp.where(x > 0, jnp.where(x > 0, x, 1) ** exponent, 0)


def _halve(x: Array) -> Array:
    """Means of 2x2 pixels; a last row or column that has no partner is left out."""
    x = x[:, : x.shape[1] // 2 * 2, : x.shape[2] // 2 * 2]
    return (x[:, ::2, ::2] + x[:, 1::2, ::2] + x[:, ::2, 1::2] + x[:, 1::2, 1::2]) / 4
