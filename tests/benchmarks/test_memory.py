"""The benchmark of memory, on a network that compiles in seconds."""

import json
import sys

import pytest

from benchmarks import memory

SMALL = memory.StepSetting(32, 4, 3, 1, width=16, size=16)


@pytest.mark.usefixtures('quick_compilation')
def test_rows_of_a_sweep(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(memory, 'QUICK', {'batch': [SMALL]})
    memory.main(['--quick', '--out', str(tmp_path / 'memory.json')])
    record = json.loads((tmp_path / 'memory.json').read_text())
    assert record['command'].startswith('python -m benchmarks.memory --quick')
    kinds = [('float32', False), ('float32', True), ('bfloat16', False)]
    assert [(row['dtype'], row['winograd'], row['remat']) for row in record['rows']] == [
        (*kind, remat) for kind in kinds for remat in (False, True)
    ]
    plain, remat, _, _, half, _ = record['rows']
    assert plain['estimate'] > remat['estimate'] and plain['estimate'] > 1.5 * half['estimate']
    assert all(row['temp'] > 0 for row in record['rows'])
    assert capsys.readouterr().out.count('\n') == 2 + len(record['rows'])


def test_sweeps_change_one_thing_at_a_time():
    for name, settings in memory.SWEEPS.items():
        first = settings[0]._asdict()
        changed = {key for setting in settings for key, value in setting._asdict().items() if value != first[key]}
        assert changed == {name}


@pytest.mark.skipif(sys.platform != 'linux', reason='the peak comes from /proc')
def test_a_step_in_a_process_of_its_own():
    measured = memory._run_in_process(SMALL)
    assert measured['peak'] > measured['above'] and measured['peak'] > 50 and measured['seconds'] > 0
