"""python -m benchmarks.reading: every reader reads every image."""

import json

from benchmarks import reading


def test_table(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(reading, 'SIDE', 64)
    monkeypatch.setattr(reading.importlib.util, 'find_spec', lambda name: None)  # as without grain
    reading.main(['--quick', '--rounds=2', '--workers=1,2', f'--out={tmp_path / "reading.json"}'])
    saved = json.loads((tmp_path / 'reading.json').read_text())
    assert [(row['reader'], row['workers']) for row in saved['rows']] == [('threads', 1), ('threads', 2)]
    assert all(row['images/s'] > 0 and row['CPU ms/image'] > 0 for row in saved['rows'])
    assert capsys.readouterr().out.startswith('| reader | workers | images/s | CPU ms/image |')
