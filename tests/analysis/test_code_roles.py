"""Roles of codes: differences without their large importances, Otsu's threshold and overlaps with classes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mgan_jax import composition
from mgan_jax.analysis import code_roles
from tests import toy

pytestmark = pytest.mark.usefixtures('quick_compilation')
N, LAYER, THRESHOLD = 3, 2, 0.2


@pytest.fixture(scope='module')
def own():
    """(generator, params, codes of two images). No importance of the last code is above the threshold."""
    generator, params = toy.generator()
    codes = composition.init(jax.random.key(0), generator, params, batch=2, num_codes=N, layer=LAYER)
    alpha = jnp.asarray(np.random.default_rng(0).normal(0, 0.4, codes.alpha.shape), jnp.float32)
    return generator, params, codes._replace(alpha=alpha.at[:, -1].min(THRESHOLD))


def test_differences_are_those_of_images_without_the_large_entries(own):
    generator, params, codes = own
    found = code_roles.code_differences(generator, params, codes, layer=LAYER, threshold=THRESHOLD)
    assert found.shape == (2, N, 16, 16)
    whole = np.clip(composition.compose(generator, params, codes, layer=LAYER), -1, 1)
    for n in range(N):
        alpha = np.array(codes.alpha)
        alpha[:, n][alpha[:, n] > THRESHOLD] = 0
        without = composition.compose(generator, params, codes._replace(alpha=jnp.asarray(alpha)), layer=LAYER)
        np.testing.assert_allclose(found[:, n], np.abs(whole - np.clip(without, -1, 1)).mean(-1), atol=1e-5)
    assert np.asarray(found[:, :-1]).max(axis=(2, 3)).min() > 0.01
    np.testing.assert_array_equal(found[:, -1], 0)


def test_entries_above_the_threshold_are_counted():
    alpha = {'rgb': np.array([[0.3, 0.1], [0.2, -0.5]]), 'features': np.array([[0.9, 0.8, 0.7], [0, 0, 0.21]])}
    assert code_roles.count_silenced(alpha, 0.2).tolist() == [4, 1]


def test_the_threshold_splits_the_values_best():
    values = np.random.default_rng(2).gamma(1.0, size=(7, 9)).round(1)

    def between(threshold):
        high = values > threshold
        return high.mean() * (~high).mean() * (values[high].mean() - values[~high].mean()) ** 2

    best = max(np.unique(values)[:-1], key=between)
    np.testing.assert_array_equal(code_roles.mark_large(values), values > best)


@pytest.mark.parametrize('values', [np.zeros((4, 4)), np.full((4, 4), 0.3), np.ones((1, 1))])
def test_equal_values_are_not_marked(values):
    assert not code_roles.mark_large(values).any()


def test_overlaps_with_each_class():
    labels = np.array([[0, 0, 1], [0, 1, 1]])
    marked = np.array([[True, False, True], [False, True, True]])
    np.testing.assert_allclose(code_roles.class_overlaps(marked, labels, 3), [1 / 6, 3 / 4, 0])
    np.testing.assert_array_equal(code_roles.class_overlaps(np.zeros((2, 3), bool), labels, 3), 0)


def test_a_role_is_the_class_of_the_largest_overlap():
    labels = np.array([[0, 0, 0], [1, 1, 1], [2, 2, 2]])
    roof = np.where(labels == 1, 0.5, 0.01)
    maps = np.stack([roof, np.zeros((3, 3))])
    alpha = np.array([[0.1, 0.3, 0.5], [0.1, 0.1, 0.2]])
    first, second = code_roles.code_roles(maps, alpha, labels, ('sky', 'roof', 'ground'), 0.2)
    assert first == (0, 2, pytest.approx(roof.mean()), pytest.approx(1 / 3), 'roof', 1.0)
    assert second == (1, 0, 0.0, 0.0, code_roles.NOTHING, 0.0)
