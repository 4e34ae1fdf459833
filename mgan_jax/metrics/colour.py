"""sRGB to CIE Lab (D65, 2 degree observer), and the accuracy of colours in Lab."""

import jax.numpy as jnp
import numpy as np
from jax import Array

# Linear sRGB to XYZ (IEC 61966-2-1), and the XYZ of white.
TO_XYZ = np.array([[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169], [0.019334, 0.119193, 0.950227]])
WHITE = np.array([0.95047, 1.0, 1.08883])
MAX_DISTANCE = 150.0  # of two colours in the ab plane: the largest threshold of AuC


def rgb_to_lab(images: Array) -> Array:
    """sRGB to CIE Lab, as in scikit-image: [B H W 3] in [-1, 1] -> [B H W 3], L in [0, 100], a, b.

    Values outside [-1, 1] are clipped. Raises ValueError for other than 3 channels.
    """
    if images.shape[-1] != 3:
        raise ValueError(f'images with {images.shape[-1]} channels are given; Lab needs red, green and blue.')
    rgb = jnp.clip((images + 1) / 2, 0, 1)
    linear = jnp.where(rgb > 0.04045, _power((rgb + 0.055) / 1.055, 2.4, above=0.0904), rgb / 12.92)
    red, green, blue = jnp.split(linear, 3, axis=-1)
    shares = [float(r) * red + float(g) * green + float(b) * blue for r, g, b in TO_XYZ / WHITE[:, None]]
    x, y, z = (jnp.where(t > 0.008856, _power(t, 1 / 3, above=0.0088), 7.787 * t + 16 / 116) for t in shares)
    return jnp.concatenate([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def auc_ab(x: Array, y: Array) -> Array:
    """Accuracy of colours, AuC (Zhang, Isola and Efros 2016): [B H W 3] twice -> [B], 1 for equal images.

    e is the distance of two pixels in the ab plane of CIE Lab. AuC is the area under the curve of the share of pixels
    with e <= t, over thresholds t from 0 to 150, divided by 150. It equals 1 - mean min(e, 150) / 150.
    """
    difference = rgb_to_lab(x)[..., 1:] - rgb_to_lab(y)[..., 1:]
    squared = jnp.sum(jnp.square(difference), axis=-1)
    distance = jnp.sqrt(jnp.where(squared > 0, squared, 1)) * (squared > 0)  # with a gradient of 0 at 0, not NaN
    return 1 - jnp.mean(jnp.minimum(distance, MAX_DISTANCE), axis=(1, 2)) / MAX_DISTANCE


def _power(x: Array, exponent: float, above: float) -> Array:
    """max(x, above)^exponent, with a finite gradient everywhere. Faster than the power function of XLA:CPU."""
    return jnp.exp(exponent * jnp.log(jnp.maximum(x, above)))
