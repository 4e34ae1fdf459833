"""The whole training of the demo GAN, on tiny stages: an interrupted training ends with the same weights."""

import csv

import jax
import numpy as np
import pytest

from mgan_jax.demo import gan, train

pytestmark = pytest.mark.usefixtures('quick_compilation')
STAGES = (gan.Stage(8, 32, 1e-2, decay=32), gan.Stage(8, 32, 5e-3, adversarial=True))


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    for name, value in {'BATCH': 8, 'FMAPS_BASE': 64, 'FMAPS_MAX': 8}.items():
        monkeypatch.setattr(gan, name, value)
    for name, value in {'LOG_EVERY': 2, 'SAVE_EVERY': 2}.items():
        monkeypatch.setattr(train, name, value)


def _stop_after(monkeypatch, checkpoints):
    left = iter(range(checkpoints - 1, -1, -1))

    def sheet_or_stop(*arguments):
        if next(left) == 0:
            raise KeyboardInterrupt

    monkeypatch.setattr(train, '_sample_sheet', sheet_or_stop)


def _rows(folder):
    rows = list(csv.DictReader((folder / 'gan_log.csv').read_text().splitlines()))
    return [{name: value for name, value in row.items() if name != 'seconds_per_step'} for row in rows]


@pytest.mark.slow
def test_training_continues_as_if_never_interrupted(tmp_path, monkeypatch):
    whole = train.train_gan(tmp_path / 'whole', STAGES)
    for checkpoints in (1, 1, 1):  # within the first stage, between the stages, within the second
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            _stop_after(patch, checkpoints)
            train.train_gan(tmp_path / 'parts', STAGES)
    jax.tree.map(np.testing.assert_array_equal, whole, train.train_gan(tmp_path / 'parts', STAGES))
    jax.tree.map(
        np.testing.assert_array_equal, whole, train.train_gan(tmp_path / 'parts', STAGES)
    )  # nothing is left to do

    rows = _rows(tmp_path / 'whole')
    assert [row['images'] for row in rows] == ['16', '32', '48', '64']
    assert rows[0]['on_real'] == 'nan' and rows[-1]['on_real'] != 'nan'
    assert _rows(tmp_path / 'parts') == rows
    sheets = sorted(path.name for path in (tmp_path / 'whole').glob('*.png'))
    assert sheets == [f'samples_00000{images}.png' for images in (16, 32, 48, 64)]


def test_without_a_folder_the_command_says_how_it_is_used(capsys):
    assert train.main([]) == 2
    assert 'FOLDER' in capsys.readouterr().err
