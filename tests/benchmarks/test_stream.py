"""The benchmark of a run of many images, on few."""

import json

import pytest

from benchmarks import stream

pytestmark = pytest.mark.usefixtures('quick_compilation')


def test_rows_at_numbers_of_images(tmp_path, capsys):
    stream.main(['--images', '40', '--batch', '4', '--out', str(tmp_path / 'stream.json')])
    record = json.loads((tmp_path / 'stream.json').read_text())
    first, *_, last = record['rows']
    assert 20 <= first['images done'] < last['images done'] == 40 and record['batch'] == 2 + len(record['rows'])
    assert all(row['resident MB'] > 50 and row['images/s'] > 0 and 0 <= row['idle share'] < 1 for row in record['rows'])
    assert capsys.readouterr().out.count('\n') == 2 + len(record['rows'])
