"""NIQE, image quality without a reference image (Mittal, Soundararajan and Bovik 2013).

36 features describe each patch of an image. Their statistics are compared with those of pristine images, the NIQE
model. `python -m mgan_jax.pristine IMAGES MODEL` fits a model to a folder of images. Scores of models with different
patch sizes, image sizes or subjects are not comparable.

A model file is an .npz of the arrays mean [36], covariance [36 36], patch_size (a number) and source (a text).
"""

import io
import math
from collections.abc import Iterable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from mgan_jax.metrics.fidelity import blur_images

COUNT = 36  # features of a patch: 18 at full size, 18 at half size
SHIFTS = ((0, 1), (1, 0), (1, 1), (-1, 1))  # from a pixel to the neighbours that it is multiplied with
# Smaller differences of a pixel from its local mean are rounding errors in flat areas. Pixels are whole numbers, so true
# differences are 0 or at least 1.6e-4.
ROUNDING = 5e-5
SHARP = 0.75  # pristine patches count from this share of the sharpest patch's sharpness
SMALLEST = 1e-7  # eigenvalue of a model's correlations; smaller ones are rounding errors or linearly dependent features
SHAPES = np.arange(0.2, 10.0005, 0.001)  # of generalised Gaussians: 2 is the normal distribution, 1 Laplace's
GAMMAS = np.exp([[math.lgamma(k / shape) for shape in SHAPES] for k in (1, 2, 3)])
# Tables over (E|x|)^2 / E x^2, which grows with the shape: the shape, the width for deviation 1, E|x| for width 1.
RATIOS = GAMMAS[1] ** 2 / (GAMMAS[0] * GAMMAS[2])
LOOKED_UP = (SHAPES, np.sqrt(GAMMAS[0] / GAMMAS[2]), GAMMAS[1] / GAMMAS[0])


class NiqeModel(NamedTuple):
    """Statistics of pristine images: mean [36] and covariance [36 36] of the features of their patches.

    patch_size: pixels a side. source: a text that names the images.
    """

    mean: np.ndarray
    covariance: np.ndarray
    patch_size: int
    source: str


def niqe_score(images: Array, model: NiqeModel) -> Array:
    """NIQE of each image: [B H W C] in [-1, 1], C = 1 or 3 -> [B]; lower is better.

    d^2 = (m - m')^T ((S + S') / 2)^-1 (m - m'); m, S: mean and covariance of the image's patches (S = 0 for a single
    patch); m', S': those of the model. NaN for an image without a patch that has structure. Raises ValueError for
    images smaller than a patch.
    """
    rows, _ = describe_patches(images, model.patch_size)
    usable = jnp.isfinite(rows).all(axis=-1, keepdims=True)  # [B P 1]
    count = jnp.sum(usable, axis=1, keepdims=True)
    scale, rotation = _whitening(model)
    rows = jnp.where(usable, (rows - _row(model.mean)) / _row(scale), 0)
    rows = jnp.einsum('bpi,ij->bpj', rows, jnp.asarray(rotation, rows.dtype), precision='highest')  # now S' = 1
    mean = jnp.sum(rows, axis=1, keepdims=True) / count  # [B 1 36]
    rest = jnp.where(usable, rows - mean, 0)
    covariance = jnp.einsum('bpi,bpj->bij', rest, rest, precision='highest') / jnp.maximum(count - 1, 1)
    solved = jnp.linalg.solve((covariance + jnp.eye(COUNT)[None]) / 2, jnp.moveaxis(mean, 1, 2))  # [B 36 1]
    return jnp.sqrt(jnp.sum(mean[:, 0] * solved[..., 0], axis=-1))


def describe_patches(images: Array, patch_size: int = 96) -> tuple[Array, Array]:
    """Features [B P 36] and sharpness [B P] of the P adjacent patches of images [B H W C] in [-1, 1], C = 1 or 3.

    They are computed from the luminance, rounded to 8 bits. Pixels at the right and bottom that fill no patch are left
    out. Features are NaN for a patch without structure. Raises ValueError for images smaller than a patch and for patch
    sizes that are odd or below 4.
    """
    if patch_size < 4 or patch_size % 2 or min(images.shape[1:3]) < patch_size:
        raise ValueError(
            f'patches of {patch_size} pixels a side are asked for, of images of {images.shape[1]}x{images.shape[2]}; '
            'an even number of at least 4, and not more than the images have, is wanted.'
        )
    height, width = (length // patch_size * patch_size for length in images.shape[1:3])
    luminance = _luminance(images)[:, :height, :width]
    normalised, deviation = _normalise(luminance)
    # Cubic and antialiased, as MATLAB's imresize.
    smaller = jax.image.resize(luminance, (len(images), height // 2, width // 2, 1), 'cubic')
    levels = [_patches(normalised, patch_size), _patches(_normalise(smaller)[0], patch_size // 2)]
    sharpness = jnp.mean(_patches(deviation, patch_size), axis=(2, 3))
    return _describe(*(jnp.stack(moments, axis=2) for moments in zip(*map(_moments, levels), strict=True))), sharpness


def fit_niqe_model(images: Iterable[Array], patch_size: int = 96, source: str = '') -> NiqeModel:
    """Fits a model to the sharp patches of pristine images [H W C] in [-1, 1].

    Images of one size are faster: each size compiles a program. Raises ValueError for 36 or fewer sharp patches, too
    few for a covariance, and for a singular covariance. A good model needs some hundreds of patches.
    """
    describe, chosen = jax.jit(describe_patches, static_argnums=1), [np.zeros((0, COUNT))]
    for image in images:
        rows, sharpness = (np.asarray(array[0], np.float64) for array in describe(jnp.asarray(image)[None], patch_size))
        sharp = (sharpness > SHARP * sharpness.max()) & np.isfinite(rows).all(axis=-1)
        chosen.append(rows[sharp])
    rows = np.concatenate(chosen)
    if len(rows) <= COUNT:
        raise ValueError(
            f'the images have {len(rows)} sharp patches of {patch_size} pixels a side; more than {COUNT} are wanted: take '
            'more images, or smaller patches.'
        )
    return _checked(
        NiqeModel(rows.mean(axis=0), np.cov(rows, rowvar=False), patch_size, source), 'the model of the images'
    )


def pack_niqe_model(model: NiqeModel) -> bytes:
    """The content of the file of a model."""
    content = io.BytesIO()
    np.savez(content, allow_pickle=False, **model._asdict())
    return content.getvalue()


def unpack_niqe_model(content: bytes, title: str) -> NiqeModel:
    """The model in the content of a model file. title: the file's name, for errors.

    Raises ValueError with one sentence if the file is damaged or holds something else.
    """
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            mean, covariance = (np.asarray(arrays[name], np.float64) for name in ('mean', 'covariance'))
            model = NiqeModel(mean, covariance, int(arrays['patch_size']), str(arrays['source']))
    except Exception as error:  # NumPy raises nearly any exception for a damaged file
        raise ValueError(
            f'{title} is no NIQE model; an .npz of mean [36], covariance [36 36], patch_size and source is wanted, as '
            '`python -m mgan_jax.pristine` writes it.'
        ) from error
    return _checked(model, f'the NIQE model {title}')


def _checked(model: NiqeModel, title: str) -> NiqeModel:
    if model.mean.shape != (COUNT,) or model.covariance.shape != (COUNT, COUNT):
        given = f'mean {list(model.mean.shape)} and covariance {list(model.covariance.shape)}'
        raise ValueError(f'{title} has {given}; mean [{COUNT}] and covariance [{COUNT}, {COUNT}] are wanted.')
    scale = np.sqrt(np.maximum(np.diag(model.covariance), 1e-300))
    correlation = model.covariance / np.outer(scale, scale)
    finite = np.isfinite(model.mean).all() and np.isfinite(correlation).all()
    if not finite or np.linalg.eigvalsh(correlation)[0] < SMALLEST:
        raise ValueError(
            f'{title} has a covariance that cannot be inverted; fit the model to more, and more varied, images.'
        )
    return model


def _whitening(model: NiqeModel) -> tuple[np.ndarray, np.ndarray]:
    """-> scale [36], rotation [36 36], so that (features / scale) @ rotation of pristine patches have the covariance 1.

    Computed in double precision, because small eigenvalues do not survive an inversion in single precision.
    """
    scale = np.sqrt(np.diag(model.covariance))
    values, vectors = np.linalg.eigh(model.covariance / np.outer(scale, scale))
    return scale, vectors / np.sqrt(values)


def _row(values: np.ndarray) -> Array:
    """[36] -> [1 1 36]"""
    return jnp.asarray(values, jnp.float32)[None, None]


def _luminance(images: Array) -> Array:
    """[B H W C] in [-1, 1] -> whole numbers from 0 to 255, [B H W 1], with equal bits on every machine."""
    values = jnp.round((jnp.clip(images, -1, 1) + 1) * 127.5).astype(jnp.int32)
    if values.shape[-1] == 3:
        red, green, blue = jnp.split(values, 3, axis=-1)
        values = (299 * red + 587 * green + 114 * blue + 500) // 1000
    return values.astype(jnp.float32)


def _normalise(images: Array) -> tuple[Array, Array]:
    """(x - m) / (s + 1) and s, [B H W 1] each; m, s: mean and standard deviation under a Gaussian of sigma 7/6."""
    around = jnp.pad(images - 127.5, ((0, 0), (3, 3), (3, 3), (0, 0)), mode='edge')  # smaller squares: less rounding
    mean, square = jnp.split(blur_images(jnp.concatenate([around, around**2], axis=-1), 7 / 6, 7), 2, axis=-1)
    deviation = jnp.sqrt(jnp.abs(square - mean**2))
    difference = images - 127.5 - mean
    difference = jnp.where(jnp.abs(difference) > ROUNDING, difference, 0)
    return difference / (deviation + 1), deviation


def _patches(maps: Array, size: int) -> Array:
    """[B H W 1] -> [B P size size], row by row."""
    b, h, w, _ = maps.shape
    grid = maps.reshape(b, h // size, size, w // size, size)
    return grid.transpose(0, 1, 3, 2, 4).reshape(b, -1, size, size)


def _moments(patches: Array) -> tuple[Array, Array, Array]:
    """Moments of the pixels and of their products with 4 neighbours: [B P s s] -> [B P 5] three times.

    The root mean square of the negative values, that of the positive values, and (E|x|)^2 / E x^2. Patches are
    periodic: the neighbours of a border are on the opposite side. NaN if no value is negative or none is positive.
    """
    products = [patches * jnp.roll(patches, shift, axis=(2, 3)) for shift in SHIFTS]
    x, axes = jnp.stack([patches, *products], axis=2), (3, 4)
    square = x * x
    left, right = (jnp.sqrt(jnp.mean(square, axis=axes, where=signed)) for signed in (x < 0, x > 0))
    return left, right, jnp.mean(jnp.abs(x), axis=axes) ** 2 / jnp.mean(square, axis=axes)


def _describe(left: Array, right: Array, ratio: Array) -> Array:
    """Fits asymmetric generalised Gaussians to moments (Lasmar et al. 2009): [B P 2 5] each -> features [B P 36].

    The features of the pixels are shape and mean width; those of each product are shape, mean, left and right width.
    """
    g = left / right
    ratio = ratio * (g**3 + 1) * (g + 1) / (g**2 + 1) ** 2
    table = [jnp.asarray(column, ratio.dtype) for column in (RATIOS, *LOOKED_UP)]
    shape, width, middle = (jnp.interp(ratio, table[0], column) for column in table[1:])
    left, right = left * width, right * width
    mean = (right - left) * middle
    pixels = jnp.stack([shape[..., 0], (left + right)[..., 0] / 2], axis=-1)
    products = jnp.stack([shape, mean, left, right], axis=-1)[..., 1:, :]  # [B P 2 4 4]
    both = jnp.concatenate([pixels, products.reshape(*pixels.shape[:3], 16)], axis=-1)
    return both.reshape(*both.shape[:2], COUNT)
