"""What counts as monotone, on attributes that are made up."""

import numpy as np
import pytest

from benchmarks import editing


def test_summary():
    own = np.array(
        [
            [0.0, 0.5, 0.0, 0.9, 0.0],
            [0.5, 0.54, 0.5, 1.0, 0.0],
            [1.0, 0.5, 0.4, 0.99, 0.0],
            [1.0, 0.6, 0.45, 0.985, 0.0],
        ]
    )  # rises; falls by 0.04; falls by 0.1; is saturated and falls by 0.015; is not there
    still, moved = np.zeros_like(own), np.linspace(0, -0.5, 4)[:, None] * np.ones((1, 5))
    found = editing.summary(np.stack([still, own, moved], axis=-1), 'own', ['still', 'own', 'moved'])
    assert found['monotone'] == pytest.approx(4 / 5)
    assert found['of those that have it'] == pytest.approx(3 / 4)
    assert found['strictly'] == pytest.approx(3 / 5)
    assert found['largest fall'] == pytest.approx(0.1)
    assert found['rises'] == pytest.approx(3 / 5)
    assert found['its change'] == pytest.approx((1 + 0.1 + 0.45 + 0.085) / 5)
    assert found["others' change"] == pytest.approx(0.25)
    assert found['of these most'] == 'moved 0.50, still 0.00'
