"""What analyses measure, and the tables of it."""

import numpy as np
import pytest

from mgan_jax.analysis import curves
from mgan_jax.analysis.curves import AnalysisRun
from mgan_jax.settings import presets

DEMO = curves.analysis_settings('demo')


def test_the_defaults_can_be_used():
    for preset in ('demo', 'fast', 'upstream', 'paper'):
        given = curves.analysis_settings(preset) | {'segmentation': 'parts'}
        curves.require_analysis_settings(given)
        assert given.keys() == DEMO.keys()
    assert curves.analysis_settings('fast')['factor'] == 16 and DEMO['factor'] == 4


@pytest.mark.parametrize(
    ('fields', 'words'),
    [
        ({'preset': 'fasst'}, "there is no preset 'fasst'"),
        ({'count': 0}, 'count is 0; at least 1'),
        ({'pictured': -1}, 'pictured is -1; at least 1'),
        ({'count': 1.5}, 'count is 1.5; a whole number is wanted'),
        ({'nums': '1,x'}, "nums is '1,x'; whole numbers from 1 are wanted"),
        ({'nums': '0,1'}, 'nums is'),
        ({'nums': ''}, 'nums is'),
        ({'layers': '2,,4'}, 'layers is'),
        ({'threshold': float('nan')}, 'threshold is nan'),
        ({'threshold': -0.1}, 'threshold is -0.1'),
        ({'analyses': 'role'}, "analyses has 'role'; codes_layers, roles, generators, tasks, all are wanted"),
        ({'tasks': 'inpaint,'}, "tasks has ''; reconstruct, super_resolve"),
        (
            {'images': 'photos'},
            "the roles of codes need a segmentation .* or leave 'roles' out, as in .*=codes_layers,gen",
        ),
        ({'more': 1}, "has the unknown field 'more'"),
    ],
)
def test_unusable_fields_are_told(fields, words):
    with pytest.raises(ValueError, match=words):
        curves.require_analysis_settings(DEMO | fields)


def test_a_missing_field_is_told():
    with pytest.raises(ValueError, match="lacks the field 'nums'"):
        curves.require_analysis_settings({name: value for name, value in DEMO.items() if name != 'nums'})


def test_an_inversion_has_the_settings_of_its_task_but_for_what_is_given():
    given = DEMO | {'steps': 7, 'perceptual': 0.5, 'factor': 8}
    for task in curves.TASKS:
        found = curves.inversion_settings(given, AnalysisRun(task, 'dir', 3, 2))
        presets.require_fields(found)
        place = {'task': task, 'generator': 'dir', 'layer': 3, 'num_codes': 2, 'steps': 7, 'perceptual': 0.5}
        assert place.items() <= found.items()
        assert found['alpha_rate'] == presets.preset_settings(task, 'demo')['alpha_rate']
        assert not found['contributions']  # which would be computed for nothing
    assert curves.inversion_settings(given, AnalysisRun('super_resolve', 'dir', 3, 2))['factor'] == 8


def test_runs():
    given = DEMO | {'nums': '5, 2,2', 'layers': '', 'layer': 6, 'num_codes': 20}
    assert curves.runs_by_codes(given) == (
        AnalysisRun('reconstruct', 'demo', 6, 2),
        AnalysisRun('reconstruct', 'demo', 6, 5),
    )
    assert [run.layer for run in curves.runs_by_layers(given, 'inpaint', 'demo', 4)] == [1, 2, 3, 4]
    some = curves.runs_by_layers(given | {'layers': '2,6,8'}, 'inpaint', 'demo', 6)
    assert [(run.task, run.layer, run.num_codes) for run in some] == [('inpaint', 2, 20), ('inpaint', 6, 20)]
    assert curves.chosen_generators(given) == ('demo',)
    assert curves.chosen_generators(given | {'generators': 'a, b,a'}) == ('a', 'b')
    assert curves.chosen_analyses(given) == curves.ALL
    assert curves.chosen_analyses(given | {'analyses': 'tasks, roles'}) == ('roles', 'tasks')


def curve_of(values):
    """Of images a, b, ... with these PSNRs at l = 1, 2, ..."""
    runs = [AnalysisRun('inpaint', 'demo', layer, 20) for layer in range(1, len(values) + 1)]
    images = 'abcdef'
    found = {
        run: [{'image': images[i]} | ({} if value is None else {'psnr': value}) for i, value in enumerate(row)]
        for run, row in zip(runs, values, strict=True)
    }
    return curves.make_curve(found, runs, 'layer', 'psnr', seed=0)


def test_a_curve_is_of_the_images_that_all_runs_have():
    found = curve_of([[20.0, 21.0, None, 30.0], [22.0, 23.0, 24.0, float('inf')]])
    assert found.images == ('a', 'b') and found.places == [1, 2]
    np.testing.assert_array_equal(found.values, [[20, 21], [22, 23]])
    np.testing.assert_array_equal(found.band.mean, [20.5, 22.5])
    assert curve_of([[None, 21.0], [22.0, None]]) is None


def test_tables():
    found = curve_of([[20.0, 21.0, 22.0], [23.0, 24.0, 25.0], [24.0, 22.0, 25.0]])
    rows = curves.curve_means([found])
    assert [(row['layer'], row['mean'], row['images']) for row in rows] == [
        (1, 21, 3),
        (2, 24, 3),
        (3, pytest.approx(71 / 3), 3),
    ]
    assert all(row['low'] <= row['mean'] <= row['high'] for row in rows)
    (best,) = curves.best_layer_rows([found])
    assert (best['task'], best['measure'], best['layer'], best['mean']) == ('inpaint', 'psnr', 2, 24)
    assert 0.6 < best['best_share'] < 1  # of three images the third layer is better for one
