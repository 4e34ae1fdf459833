"""Tables and JSON files of the benchmarks."""

import json

import pytest

from benchmarks import commands, record


def test_table_rounds_numbers_and_leaves_gaps():
    rows = [{'part': 'G1', 'seconds': 1.23456, 'GFLOP': 12345.6, 'N': 20}, {'part': 'rest', 'N': 20}]
    assert record.format_table(rows, ['part', 'seconds', 'GFLOP', 'N']).splitlines() == [
        '| part | seconds | GFLOP | N |',
        '| --- | --- | --- | --- |',
        '| G1 | 1.23 | 12346 | 20 |',
        '| rest |  |  | 20 |',
    ]


def test_a_record_names_the_command_and_the_machine(tmp_path):
    path = tmp_path / 'new' / 'step.json'
    record.write_record(path, 'step', ['--quick'], [{'seconds': 1.0}], device='cpu', more=3)
    saved = json.loads(path.read_text())
    assert saved['command'] == 'python -m benchmarks.step --quick'
    assert saved['rows'] == [{'seconds': 1.0}] and saved['device'] == 'cpu' and saved['more'] == 3
    assert saved['machine']['cores'] >= 1 and saved['machine']['cpu']
    assert saved['versions']['jax'] and saved['date'].endswith('+00:00')


def test_options(tmp_path):
    parser = record.make_parser('step', '')
    parser.add_argument('--layers', type=commands.split_numbers)
    options = parser.parse_args(['--layers', '4,6,8'])
    assert options.layers == [4, 6, 8] and str(options.out) == 'results/benchmarks/step.json' and not options.quick
    with pytest.raises(ValueError, match='four'):
        parser.parse_args(['--layers', 'four'])
