"""Curves: which images they are of, and the tables of their points."""

import numpy as np
import pytest

from mgan_jax.analysis import curves
from mgan_jax.analysis.runs import AnalysisRun


def make_curve(values):
    """The curve of images a, b, ... with these PSNRs at l = 1, 2, ..."""
    runs = [AnalysisRun('inpaint', 'demo', layer, 20) for layer in range(1, len(values) + 1)]
    images = 'abcdef'
    rows = {
        run: [{'image': images[i]} | ({} if value is None else {'psnr': value}) for i, value in enumerate(row)]
        for run, row in zip(runs, values, strict=True)
    }
    return curves.make_curve(rows, runs, 'layer', 'psnr', seed=0)


def test_a_curve_is_of_the_images_that_all_runs_have():
    curve = make_curve([[20.0, 21.0, None, 30.0], [22.0, 23.0, 24.0, float('inf')]])
    assert curve.images == ('a', 'b') and curve.positions == [1, 2]
    np.testing.assert_array_equal(curve.values, [[20, 21], [22, 23]])
    np.testing.assert_array_equal(curve.band.mean, [20.5, 22.5])
    assert make_curve([[None, 21.0], [22.0, None]]) is None


def test_tables():
    curve = make_curve([[20.0, 21.0, 22.0], [23.0, 24.0, 25.0], [24.0, 22.0, 25.0]])
    rows = curves.tabulate_curves([curve])
    assert [(row['layer'], row['mean'], row['images']) for row in rows] == [
        (1, 21, 3),
        (2, 24, 3),
        (3, pytest.approx(71 / 3), 3),
    ]
    assert all(row['low'] <= row['mean'] <= row['high'] for row in rows)
    (best,) = curves.tabulate_best_layers([curve])
    assert (best['task'], best['measure'], best['layer'], best['mean']) == ('inpaint', 'psnr', 2, 24)
    assert 0.6 < best['best_share'] < 1  # the third layer is better for one of three images
