"""Colours as people tell them apart: CIE Lab, for white of daylight (D65, observer of 2 degrees)."""

import jax.numpy as jnp
import numpy as np
from jax import Array

# Linear sRGB -> XYZ (IEC 61966-2-1), and the XYZ of white.
TO_XYZ = np.array([[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169], [0.019334, 0.119193, 0.950227]])
WHITE = np.array([0.95047, 1.0, 1.08883])


def from_rgb(images: Array) -> Array:
    """sRGB in [-1, 1] (the rest is clipped), [B H W 3] -> L in [0, 100], a and b, [B H W 3], as scikit-image has it."""
    if images.shape[-1] != 3:
        raise ValueError(f'images with {images.shape[-1]} channels are given; Lab needs red, green and blue.')
    rgb = jnp.clip((images + 1) / 2, 0, 1)
    linear = jnp.where(rgb > 0.04045, _power((rgb + 0.055) / 1.055, 2.4, above=0.0904), rgb / 12.92)
    red, green, blue = jnp.split(linear, 3, axis=-1)
    shares = [float(r) * red + float(g) * green + float(b) * blue for r, g, b in TO_XYZ / WHITE[:, None]]
    x, y, z = (jnp.where(t > 0.008856, _power(t, 1 / 3, above=0.0088), 7.787 * t + 16 / 116) for t in shares)
    return jnp.concatenate([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def _power(x: Array, exponent: float, above: float) -> Array:
    """x^exponent of what is larger than `above`, with a finite gradient everywhere. Quicker than XLA:CPU's own power."""
    return jnp.exp(exponent * jnp.log(jnp.maximum(x, above)))
