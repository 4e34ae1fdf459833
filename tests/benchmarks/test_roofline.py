"""The command in its quick form."""

import json

import pytest

from benchmarks import roofline
from benchmarks.operations import Count


@pytest.fixture(scope='module')
def saved(tmp_path_factory):
    """What `roofline --quick` writes."""
    path = tmp_path_factory.mktemp('roofline') / 'roofline.json'
    roofline.main(['--quick', '--out', str(path)])
    return json.loads(path.read_text())


@pytest.mark.slow
def test_quick_run_measures_every_part(saved):
    rows = {row['part']: row for row in saved['rows']}
    assert list(rows) == ['G1', 'G2', 'extractor', 'rest', 'step']
    for name in ('G1', 'G2', 'extractor', 'step'):
        row = rows[name]
        assert row['seconds'] > 0 and len(saved['seconds'][name]) == 2
        assert row['GFLOP/s'] == pytest.approx(row['GFLOP'] / row['seconds'])
        assert row['of peak %'] == pytest.approx(100 * row['GFLOP/s'] / saved['peak_gflops']['float32'])
        assert row['core s'] > 0 and row['work of peak %'] > 0
    assert saved['cores_at_work'] > 0
    assert rows['step']['of step %'] == 100 and saved['peak_gflops']['bfloat16'] > 0


@pytest.mark.slow
def test_the_parts_are_the_step(saved):
    """Nearly all arithmetic is in the three networks, and nothing is counted in two of them."""
    operations = {row['part']: row['GFLOP'] for row in saved['rows']}
    networks = operations['G1'] + operations['G2'] + operations['extractor']
    assert 0.95 * operations['step'] < networks <= operations['step'] * (1 + 1e-9)


def test_rows_share_the_step_out():
    counts = {'G1': Count(60, 6, 1), 'G2': Count(20, 2, 1), 'extractor': Count(10, 1, 1), 'step': Count(90, 9, 7)}
    seconds = {'G1': [5.0, 6.0, 5.0], 'G2': [2.0] * 3, 'extractor': [1.0] * 3, 'step': [10.0, 12.0, 10.0]}
    rows = {row['part']: row for row in roofline._make_rows(counts, seconds, peak=24e-9)}
    assert rows['rest']['seconds'] == 2 and rows['rest']['GFLOP'] == 0 and rows['rest']['other GB, unfused'] == 4e-9
    assert rows['rest']['GFLOP/s'] is None and rows['G1']['GFLOP/s'] == 12e-9
    assert rows['G1']['of peak %'] == pytest.approx(50) and rows['G1']['of step %'] == 50


def test_work_is_compared_with_the_work_of_a_matrix_product():
    worked = {'G1': [4.0, 5.0, 6.0], 'step': [10.0, 10.0, 10.0]}
    row = roofline._make_work_columns({'part': 'G1', 'GFLOP': 60.0}, worked, peak=24.0)
    assert row == {'core s': 5.0, 'work of peak %': 50.0, 'work of step %': 50.0}
    assert roofline._make_work_columns({'part': 'step', 'GFLOP': 0.0}, worked, peak=24.0)['work of peak %'] is None
