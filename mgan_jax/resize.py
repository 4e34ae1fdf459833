"""Resizing inside jitted programs, channels last: [B H W C] -> [B h w C]. File loading resizes in `images`."""

import jax
import jax.numpy as jnp
from jax import Array

METHODS = ('bilinear', 'area', 'bicubic', 'lanczos')


def nearest(images: Array, size: int) -> Array:
    """Takes source pixel floor(i * in / out), as the released code's 'nearest' does; not the nearest pixel centre."""
    rows, columns = (jnp.arange(size) * n // size for n in images.shape[1:3])
    return images[:, rows][:, :, columns]


def shrink(images: Array, factor: int, method: str = 'bilinear') -> Array:
    """Downsampling by a whole factor.

    method: 'bilinear' samples between pixel centres without antialiasing, as the released code does; 'area' averages
    blocks; 'bicubic' and 'lanczos' are antialiased. ValueError if the factor does not divide the size.
    """
    b, h, w, c = images.shape
    if factor < 1 or h % factor or w % factor:
        raise ValueError(f'factor {factor} does not divide images of {h}x{w} pixels; choose one that does.')
    if method not in METHODS:
        raise ValueError(f"method '{method}' is given; {', '.join(METHODS)} are wanted.")
    if method == 'area':
        return images.reshape(b, h // factor, factor, w // factor, factor, c).mean(axis=(2, 4))
    kind = {'bilinear': 'linear', 'bicubic': 'cubic', 'lanczos': 'lanczos3'}[method]
    return jax.image.resize(images, (b, h // factor, w // factor, c), kind, antialias=method != 'bilinear')
