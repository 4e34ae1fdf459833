"""Means over images, and how sure they are: bootstrap over images (Efron 1979)."""

from typing import NamedTuple

import numpy as np

DRAWS, LEVEL = 2000, 0.95


class Band(NamedTuple):
    """Each [K]. mean; low, high: between which LEVEL of the means of resampled images lie; best: the share of resamplings in
    which this row has the highest mean."""

    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray
    best: np.ndarray


def bootstrap_means(values: np.ndarray, seed: int = 0) -> Band:
    """Bands of K rows of the values of the same B images, [K B].

    All rows are resampled with the same images, so that `best` compares rows as the images do, each with itself.
    """
    values = np.asarray(values, np.float64)
    if values.ndim != 2 or not values.size:
        raise ValueError(
            f'values have the shape {list(values.shape)}; rows of the values of at least one image are wanted.'
        )
    chosen = np.random.default_rng(seed).integers(values.shape[1], size=(DRAWS, values.shape[1]))
    means = values[:, chosen].mean(axis=-1)  # [K DRAWS]
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=1)
    best = np.bincount(means.argmax(axis=0), minlength=len(values)) / DRAWS
    return Band(values.mean(axis=1), low, high, best)
