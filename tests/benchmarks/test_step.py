"""The command in its quick form, with and without PyTorch."""

import importlib.util
import json

import numpy as np
import pytest

from benchmarks import problem, step, workers

TORCH = importlib.util.find_spec('torch') is not None


@pytest.fixture(scope='module', params=['with torch', 'without torch'])
def saved(request, tmp_path_factory):
    """What `step --quick` writes."""
    path = tmp_path_factory.mktemp('step') / 'step.json'
    find = importlib.util.find_spec
    with pytest.MonkeyPatch.context() as patch:
        if request.param == 'without torch':
            patch.setattr(
                importlib.util, 'find_spec', lambda name, *rest: None if name == 'torch' else find(name, *rest)
            )
        elif not TORCH:
            pytest.skip('torch is not installed')
        step.main(['--quick', '--out', str(path)])
    return json.loads(path.read_text()), request.param == 'with torch'


def test_quick_run_times_the_sides_in_turns(saved):
    record, torch = saved
    sides = ['ours', 'plain', 'best', 'original'] if torch else ['ours', 'plain']
    assert record['sides'] == sides and record['missing'] == ([] if torch else ['best', 'original'])
    (row,) = record['rows']
    assert set(row['seconds']) == {'matmul', *sides} and all(len(times) == 2 for times in row['seconds'].values())
    for side in sides:
        assert row[f'{side} s'] == pytest.approx(np.median(row['seconds'][side])) and row[f'{side} s'] > 0
    for side in sides[1:]:
        pairs = np.divide(row['seconds'][side], row['seconds']['ours'])
        assert row[f'{side}/ours'] == pytest.approx(np.median(pairs)) and row[f'{side}/ours work'] > 0
    assert row['cores at work'] > 0 and set(row['processor_seconds']) == set(row['seconds'])
    assert row['matmul GFLOP/s'] == pytest.approx(2 * 256**3 / np.median(row['seconds']['matmul']) / 1e9)


def test_unknown_sides_are_refused():
    with pytest.raises(ValueError, match='side fastest is given; ours, plain, best and original are known'):
        step.main(['--sides', 'ours,fastest'])


def test_sides_that_compute_something_else_are_refused():
    step._require_same_loss({'ours': [1.0, 2.0], 'best': [1.00001, 2.0]})
    with pytest.raises(RuntimeError, match="'best' computes something else"):
        step._require_same_loss({'ours': [1.0, 2.0], 'best': [1.01, 2.0]})


def test_a_failing_worker_is_named():
    worker = workers.start_worker('ours', 'benchmarks.jax_sides:nothing', None)
    try:
        with pytest.raises(RuntimeError, match="'ours' failed") as failure:
            workers.prepare_step(worker, problem.Setting(), None)
        assert "'nothing'" in str(failure.value.__cause__)
        worker.process.kill()
        with pytest.raises(RuntimeError, match="'ours' ended with code -9"):
            workers.time_step(worker)
    finally:
        workers.stop_worker(worker)
