"""Figures: what they show, and that the same figure gives the same file."""

import io

import numpy as np
import pytest
from PIL import Image

from mgan_jax.analysis import bootstrap, code_roles, curves, plots
from mgan_jax.analysis.runs import AnalysisRun

RUNS = tuple(AnalysisRun('colorize', 'demo', layer, 20) for layer in (2, 4, 6))


def make_curve(measure='psnr', values=((20, 22), (25, 24), (23, 23))):
    values = np.array(values, float)
    return curves.Curve('colorize', 'layer', measure, RUNS, ('a', 'b'), values, bootstrap.bootstrap_means(values))


def test_curves_show_means_and_bands_and_mark_the_best():
    figure = plots.plot_curves([[make_curve(), None], [make_curve('distance')]])
    assert len(figure.axes) == 2
    for axes, best in zip(figure.axes, (4, 2), strict=True):
        line, mark = axes.lines
        np.testing.assert_array_equal(line.get_xydata(), [[2, 21], [4, 24.5], [6, 23]])
        assert mark.get_xdata().tolist() == [best]
        assert f'at l = {best}' in axes.get_title()
        corners = axes.collections[0].get_paths()[0].vertices
        assert [corners[:, 1].min(), corners[:, 1].max()] == [20, 25]
    assert [axes.get_ylabel() for axes in figure.axes] == ['PSNR (dB)', 'difference of features']


def test_the_same_figure_is_the_same_file():
    first, second = (plots.encode_figure(plots.plot_curves([[make_curve()]])) for _ in range(2))
    assert first == second
    assert b'<dc:date>' not in first['svg']
    with Image.open(io.BytesIO(first['png'])) as image:
        assert image.width > image.height > 200


def test_roles_show_the_codes_of_the_largest_overlap():
    labels = np.repeat([[0], [0], [1], [1]], 4, axis=1)
    maps = np.stack([np.where(labels == 1, 0.5, 0.1), np.zeros((4, 4)), np.eye(4)])
    roles = code_roles.code_roles(maps, np.ones((3, 2)), labels, ('sky', 'roof'), 0.2)
    figure = plots.plot_roles(np.full((4, 4, 3), -1.0), labels, ('sky', 'roof'), maps, roles, num_shown=2)
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == ['inversion', 'segmentation', 'code 1\nroof, IoU 1.00', 'code 3\nsky, IoU 0.20']
    np.testing.assert_array_equal(figure.axes[2].images[0].get_array(), maps[0])
    legend = figure.legends[0]
    assert [text.get_text() for text in legend.texts] == ['sky', 'roof']
    shown = figure.axes[1].images[0].get_array()
    for row, patch in zip((0, 3), legend.get_patches(), strict=True):
        np.testing.assert_allclose(shown[row, 0] / 255, patch.get_facecolor()[:3], atol=1e-6)


@pytest.mark.parametrize('channels', [1, 3])
def test_a_grid_has_a_row_for_each_generator(channels):
    target = np.zeros((4, 4, channels))
    rows = {
        'one': {'l = 1': (target, '20.0 dB'), 'l = 2': (target + 1, '21.0 dB')},
        'two': {'l = 2': (target, '9.0 dB')},
    }
    figure = plots.plot_grid(target, rows)
    assert [axes.get_title() for axes in figure.axes] == [
        *('image', 'l = 1\n20.0 dB', 'l = 2\n21.0 dB'),
        *('image', 'l = 2\n9.0 dB'),
    ]
    assert np.all(figure.axes[2].images[0].get_array() == 255)
    assert plots.encode_figure(figure)['png'].startswith(b'\x89PNG')


def test_colours_differ():
    assert len(set(plots.COLOURS)) == len(plots.COLOURS) == 13
