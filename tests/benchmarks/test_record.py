"""Tables and JSON files of the benchmarks."""

import json

import pytest

from benchmarks import record


def test_table_rounds_numbers_and_leaves_gaps():
    rows = [{'part': 'G1', 'seconds': 1.23456, 'GFLOP': 12345.6, 'N': 20}, {'part': 'rest', 'N': 20}]
    assert record.table(rows, ['part', 'seconds', 'GFLOP', 'N']).splitlines() == [
        '| part | seconds | GFLOP | N |',
        '| --- | --- | --- | --- |',
        '| G1 | 1.23 | 12346 | 20 |',
        '| rest |  |  | 20 |',
    ]


def test_a_saved_record_says_where_its_numbers_come_from(tmp_path):
    path = tmp_path / 'new' / 'step.json'
    record.save(path, 'step', ['--quick'], [{'seconds': 1.0}], device='cpu', more=3)
    saved = json.loads(path.read_text())
    assert saved['command'] == 'python -m benchmarks.step --quick'
    assert saved['rows'] == [{'seconds': 1.0}] and saved['device'] == 'cpu' and saved['more'] == 3
    assert saved['machine']['cores'] >= 1 and saved['machine']['cpu']
    assert saved['versions']['jax'] and saved['date'].endswith('+00:00')


def test_options(tmp_path):
    parser = record.parser('step', '')
    parser.add_argument('--layers', type=record.numbers)
    options = parser.parse_args(['--layers', '4,6,8'])
    assert options.layers == [4, 6, 8] and str(options.out) == 'results/benchmarks/step.json' and not options.quick
    with pytest.raises(SystemExit):
        parser.parse_args(['--layers', 'four'])
