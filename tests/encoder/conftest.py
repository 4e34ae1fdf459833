"""Fixtures of the encoder's tests."""

import pytest

from mgan_jax.encoder import training, training_step


@pytest.fixture
def short_training(monkeypatch):
    """Trainings with small batches, few samples that are scored, and a checkpoint after each step."""
    for name, value in {'SAVE_SECONDS': 0.0, 'NUM_HELD_OUT': 4, 'SCORE_BATCH': 4, 'NUM_MEASURED': 64}.items():
        monkeypatch.setattr(training, name, value)
    monkeypatch.setattr(training_step, 'BATCH_SIZE', 8)
