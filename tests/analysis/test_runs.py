"""The inversions that each analysis needs, and their settings."""

import pytest

from mgan_jax.analysis import runs
from mgan_jax.analysis.runs import AnalysisRun
from mgan_jax.settings import analysis_fields, fields, presets

DEMO = analysis_fields.analysis_preset('demo') | {
    'nums': '1,20',
    'layers': '2,6',
    'layer': 6,
    'num_codes': 20,
    'count': 9,
    'pictured': 2,
}


def parse(**changes):
    return analysis_fields.parse_analysis_settings(DEMO | changes)


def test_an_inversion_has_the_settings_of_its_task_and_of_the_analysis():
    settings = parse(steps=7, perceptual=0.5, factor=8)
    for task in analysis_fields.TASKS:
        flat = fields.flatten_settings(runs.make_inversion_settings(settings, AnalysisRun(task, 'dir', 3, 2)))
        expected = {'task': task, 'generator': 'dir', 'layer': 3, 'num_codes': 2, 'steps': 7, 'perceptual': 0.5}
        assert expected.items() <= flat.items()
        assert flat['alpha_rate'] == presets.preset_settings(task, 'demo')['alpha_rate']
        assert not flat['contributions']  # which would be computed for nothing
    run = AnalysisRun('super_resolve', 'dir', 3, 2)
    assert runs.make_inversion_settings(settings, run).task == fields.SuperResolve(factor=8)


def test_runs_against_n_and_l():
    settings = parse(nums='5, 2,2', layers='')
    assert runs.list_runs_by_codes(settings) == (
        AnalysisRun('reconstruct', 'demo', 6, 2),
        AnalysisRun('reconstruct', 'demo', 6, 5),
    )
    assert [run.layer for run in runs.list_runs_by_layers(settings, 'inpaint', 'demo', 4)] == [1, 2, 3, 4]
    some = runs.list_runs_by_layers(parse(layers='2,6,8'), 'inpaint', 'demo', 6)
    assert [(run.task, run.layer, run.num_codes) for run in some] == [('inpaint', 2, 20), ('inpaint', 6, 20)]


def test_generators():
    assert runs.select_generators(parse()) == ('demo',)
    assert runs.select_generators(parse(generators='a, b,a')) == ('a', 'b')


def test_pictured_runs_come_first_and_no_run_twice():
    plan = runs.plan_runs(parse(tasks='reconstruct,inpaint'), {'demo': 10})
    two, six, one = (AnalysisRun('reconstruct', 'demo', layer, n) for layer, n in ((2, 20), (6, 20), (6, 1)))
    holes = [AnalysisRun('inpaint', 'demo', layer, 20) for layer in (2, 6)]
    assert plan == [
        *((run, 2, True) for run in (six, two)),
        *((run, 9, False) for run in (one, six, two, *holes)),
    ]


@pytest.mark.parametrize(('name', 'count'), [('codes_layers', 3), ('roles', 1), ('generators', 4), ('tasks', 10)])
def test_runs_of_each_analysis(name, count):
    plan = runs.plan_runs(parse(analyses=name, generators='demo,other'), {'demo': 10, 'other': 8})
    assert len(plan) == count
    assert {run.generator for run, *_ in plan} == ({'demo', 'other'} if name == 'generators' else {'demo'})


def test_every_layer_of_each_generator():
    settings = parse(analyses='generators', generators='demo,other', layers='')
    plan = runs.plan_runs(settings, {'demo': 4, 'other': 3})
    assert [(run.generator, run.layer) for run, *_ in plan] == [
        *(('demo', layer) for layer in (1, 2, 3, 4)),
        *(('other', layer) for layer in (1, 2, 3)),
    ]


def test_the_largest_run_of_each_task():
    plan = runs.plan_runs(parse(analyses='codes_layers,tasks', nums='1,30', tasks='inpaint'), {'demo': 10})
    assert runs.select_largest_runs(plan) == [
        AnalysisRun('reconstruct', 'demo', 6, 30),
        AnalysisRun('inpaint', 'demo', 6, 20),
    ]
