"""Resizing inside compiled programs, channels last: [B H W C] -> [B h w C]. `data.images` resizes files."""

import jax
import jax.numpy as jnp
from jax import Array

METHODS = ('bilinear', 'area', 'bicubic', 'lanczos')


def nearest(images: Array, size: int) -> Array:
    """Resizes to size x size pixels. Output pixel i is source pixel floor(i * in / out), as in the released code.

    This differs from the pixel with the nearest centre, which `jax.image.resize` takes.
    """
    rows, columns = (jnp.arange(size) * n // size for n in images.shape[1:3])
    return images[:, rows][:, :, columns]


def shrink(images: Array, factor: int, method: str = 'bilinear') -> Array:
    """Downsamples by a whole factor: [B H W C] -> [B H/factor W/factor C].

    method: 'bilinear' interpolates between pixel centres without antialiasing, as the released code does. 'area'
    averages blocks. 'bicubic' and 'lanczos' are antialiased. Raises ValueError for another method or a factor that does
    not divide the size.
    """
    b, h, w, c = images.shape
    if factor < 1 or h % factor or w % factor:
        raise ValueError(f'factor {factor} does not divide images of {h}x{w} pixels; choose one that does.')
    if method not in METHODS:
        raise ValueError(f"method '{method}' is given; {', '.join(METHODS)} are wanted.")
    if method == 'area':
        return images.reshape(b, h // factor, factor, w // factor, factor, c).mean(axis=(2, 4))
    kind = {'bilinear': 'linear', 'bicubic': 'cubic', 'lanczos': 'lanczos3'}[method]
    smaller: Array = jax.image.resize(images, (b, h // factor, w // factor, c), kind, antialias=method != 'bilinear')
    return smaller
