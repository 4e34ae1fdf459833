"""The statistics of an edit, on invented attributes."""

import numpy as np
import pytest

from benchmarks import editing


def test_statistics_of_an_edit():
    own = np.array(
        [
            [0.0, 0.5, 0.0, 0.9, 0.0],
            [0.5, 0.54, 0.5, 1.0, 0.0],
            [1.0, 0.5, 0.4, 0.99, 0.0],
            [1.0, 0.6, 0.45, 0.985, 0.0],
        ]
    )  # rises; falls by 0.04; falls by 0.1; is saturated and falls by 0.015; is absent
    still, moved = np.zeros_like(own), np.linspace(0, -0.5, 4)[:, None] * np.ones((1, 5))
    statistics = editing.summarise_edits(np.stack([still, own, moved], axis=-1), 'own', ['still', 'own', 'moved'])
    assert statistics['monotone'] == pytest.approx(4 / 5)
    assert statistics['of those that have it'] == pytest.approx(3 / 4)
    assert statistics['strictly'] == pytest.approx(3 / 5)
    assert statistics['largest fall'] == pytest.approx(0.1)
    assert statistics['rises'] == pytest.approx(3 / 5)
    assert statistics['its change'] == pytest.approx((1 + 0.1 + 0.45 + 0.085) / 5)
    assert statistics["others' change"] == pytest.approx(0.25)
    assert statistics['of these most'] == 'moved 0.50, still 0.00'
