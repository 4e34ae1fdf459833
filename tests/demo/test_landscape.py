"""Scenes as numbers."""

import numpy as np

from mgan_jax.demo import landscape


def test_samples_stay_in_their_documented_ranges():
    for i in range(300):
        scene = landscape.sample_scene(np.random.default_rng(i))
        for name, (low, high) in landscape.RANGES.items():
            assert low <= getattr(scene, name) <= high, name
        assert all(getattr(scene, name) in (0, 1) for name in (*landscape.CHANCES, 'lit'))
        assert all(0 <= getattr(scene, name) <= 1 for name in landscape.PAINTS)
        assert 0 <= scene.hour < 1 and 0 <= scene.season < 1


def test_attribute_names_are_unique():
    assert len(set(landscape.ATTRIBUTES)) == len(landscape.ATTRIBUTES)
