"""Figures against counting by hand; what the system tells of memory."""

import os

import jax
import numpy as np
import pytest

from mgan_jax.run import progress
from mgan_jax.run.progress import RunProgress


def test_what_happened_between_two_looks():
    before = RunProgress(seconds=100, total=50, done=2, skipped=10, advanced=4.0, working=60)
    now = RunProgress(
        seconds=160, total=50, done=4, failed=1, skipped=10, advanced=10.0, working=105, loss=0.25, read=3, unwritten=2
    )
    assert progress.progress_figures(before, now) == {
        'images/done': 4,
        'images/failed': 1,
        'images/skipped': 10,
        'queue/read': 3,
        'queue/unwritten': 2,
        'loss': 0.25,
        'images/hour': pytest.approx(360),  # 6 in a minute
        'device/idle': pytest.approx(0.25),
        'hours_left': pytest.approx(30 / 360),
    }


def test_before_anything_happened_there_are_no_rates():
    assert progress.progress_figures(RunProgress(), RunProgress()).keys() == {
        'images/done', 'images/failed', 'images/skipped', 'queue/read', 'queue/unwritten'
    }  # fmt: skip
    still = progress.progress_figures(RunProgress(), RunProgress(seconds=9, total=3))
    assert (still['images/hour'], still['device/idle']) == (0, 1)
    assert 'hours_left' not in still


def test_shares_stay_shares_when_clocks_disagree():
    assert progress.progress_figures(RunProgress(), RunProgress(seconds=1, working=1.5))['device/idle'] == 0


def test_memory_of_this_process():
    before = progress.memory_figures()['process/resident']
    held = np.ones(30_000_000, np.uint8)
    assert 25e6 < progress.memory_figures()['process/resident'] - before < 60e6
    assert held[0] == 1


class Accelerator:
    def memory_stats(self):
        return {'bytes_in_use': 300, 'bytes_limit': 1000, 'num_allocs': 7}


def test_memory_of_a_device():
    told = progress.memory_figures(Accelerator())
    assert (told['device_memory/in_use'], told['device_memory/limit']) == (300, 1000)
    assert told.keys() == {'device_memory/in_use', 'device_memory/limit', 'process/resident'}
    assert progress.memory_figures(jax.devices('cpu')[0]).keys() == {'process/resident'}


@pytest.mark.parametrize('content, expected', [('9 3 2 1\n', 3 * os.sysconf('SC_PAGE_SIZE')), ('9', None), ('', None)])
def test_what_linux_tells(tmp_path, content, expected):
    (tmp_path / 'statm').write_text(content)
    assert progress._resident(tmp_path / 'statm') == expected
    assert progress._resident(tmp_path / 'none') is None
