"""How close two batches of images are, one number per image. Images: [B H W C] in [-1, 1]."""

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from mgan_jax import perceptual
from mgan_jax.models.extractor import Extractor
from mgan_jax.models.lpips import Lpips


def psnr(x: Array, y: Array) -> Array:
    """Peak signal-to-noise ratio in dB, 10 log10(peak^2 / mean (x - y)^2) with a peak of 2: -> [B]."""
    return 10 * jnp.log10(4 / jnp.mean(jnp.square(x - y), axis=(1, 2, 3)))


def ssim(x: Array, y: Array) -> Array:
    """Structural similarity (Wang et al. 2004), Gaussian window of sigma 1.5, averaged over channels: -> [B].

    As scikit-image has it with gaussian_weights and without sample covariance. Images of at least 11 pixels a side.
    """
    if min(x.shape[1:3]) < 11:
        raise ValueError(f'images of {x.shape[1]}x{x.shape[2]} pixels are given; SSIM needs at least 11 a side.')
    x, y = (x + 1) / 2, (y + 1) / 2
    mean_x, mean_y = _blur(x), _blur(y)
    var_x, var_y = _blur(x * x) - mean_x**2, _blur(y * y) - mean_y**2
    covariance = _blur(x * y) - mean_x * mean_y
    c1, c2 = 0.01**2, 0.03**2
    similarity = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
    return jnp.mean(similarity / ((mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2)), axis=(1, 2, 3))


def lpips(x: Array, y: Array, extractor: Extractor, params: dict, lpips: Lpips, heads: dict) -> Array:
    """LPIPS v0.1 with the extractor and the heads that are given, see `perceptual.lpips`: -> [B], 0 for equal images.

    Images of three channels or one, of the extractor's least size or larger. ValueError for heads of another network.
    """
    if x.shape != y.shape:
        raise ValueError(
            f'images of the shapes {list(x.shape)} and {list(y.shape)} are given; equal shapes are wanted.'
        )
    return perceptual.lpips(extractor, lpips)((params, heads), x, y)


def _blur(x: Array) -> Array:
    """Gaussian of sigma 1.5, 11 taps, where the window fits: [B H W C] -> [B H-10 W-10 C]."""
    taps = np.exp(-0.5 * (np.arange(-5, 6) / 1.5) ** 2)
    kernel = jnp.asarray(np.tile((taps / taps.sum())[:, None, None, None], (1, 1, 1, x.shape[-1])), x.dtype)
    for window in (kernel, kernel.transpose(1, 0, 2, 3)):
        x = lax.conv_general_dilated(
            x, window, (1, 1), 'VALID', dimension_numbers=('NHWC', 'HWIO', 'NHWC'), feature_group_count=x.shape[-1]
        )
    return x
