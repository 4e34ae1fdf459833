"""Confidence bands of means over images, by bootstrap over the images (Efron 1979)."""

from typing import NamedTuple

import numpy as np

DRAWS, LEVEL = 2000, 0.95


class Band(NamedTuple):
    """Means of K rows with their confidence, each [K].

    mean: over the images. low, high: the interval that holds LEVEL of the means of resampled images. best: the share of
    the resamplings in which the row has the highest mean.
    """

    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray
    best: np.ndarray


def bootstrap_means(values: np.ndarray, seed: int = 0) -> Band:
    """Bands of values [K B]: K rows of one value for each of the same B images.

    All rows are resampled with the same images, so that `best` compares the rows on equal images. Raises ValueError for
    another shape or no values.
    """
    values = np.asarray(values, np.float64)
    if values.ndim != 2 or not values.size:
        raise ValueError(
            f'values have the shape {list(values.shape)}; rows of the values of at least one image are wanted.'
        )
    num_images = values.shape[1]
    resampled = np.random.default_rng(seed).integers(num_images, size=(DRAWS, num_images))
    means = values[:, resampled].mean(axis=-1)  # [K DRAWS]
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=1)
    best = np.bincount(means.argmax(axis=0), minlength=len(values)) / DRAWS
    return Band(values.mean(axis=1), low, high, best)
