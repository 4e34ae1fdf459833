"""Confidence bands of means over images."""

import numpy as np
import pytest

from mgan_jax.analysis import bootstrap


def test_a_band_is_as_wide_as_theory_says():
    values = np.random.default_rng(0).normal([[3.0], [5.0]], [[2.0], [0.5]], (2, 400))
    band = bootstrap.bootstrap_means(values)
    np.testing.assert_allclose(band.mean, values.mean(axis=1))
    expected = 1.96 * values.std(axis=1) / np.sqrt(400)
    np.testing.assert_allclose(band.high - band.mean, expected, rtol=0.1)
    np.testing.assert_allclose(band.mean - band.low, expected, rtol=0.1)


def test_rows_are_compared_image_by_image():
    """A row that is slightly better for every image is the best in all resamplings, however much the images differ."""
    values = np.random.default_rng(0).normal(20, 5, 16)
    band = bootstrap.bootstrap_means(np.stack([values, values + 0.01, values - 3]))
    assert band.low[1] < band.mean[0] < band.high[1]
    np.testing.assert_array_equal(band.best, [0, 1, 0])
    equal = bootstrap.bootstrap_means(np.stack([values, values[::-1]])).best
    assert 0.3 < equal[0] < 0.7 and equal.sum() == 1


def test_the_band_depends_on_the_seed():
    values = np.random.default_rng(1).normal(size=(1, 20))
    assert (
        bootstrap.bootstrap_means(values, seed=3).low
        == bootstrap.bootstrap_means(values, seed=3).low
        != bootstrap.bootstrap_means(values, seed=4).low
    )


def test_one_image_has_no_band():
    assert bootstrap.bootstrap_means(np.array([[2.0]])) == (2, 2, 2, 1)


@pytest.mark.parametrize('shape', [(3,), (2, 0), (0, 2), (1, 2, 3)])
def test_other_shapes_are_refused(shape):
    with pytest.raises(ValueError, match='rows of the values of at least one image'):
        bootstrap.bootstrap_means(np.zeros(shape))
