"""Settings of the analyses: presets, checks, and the way from flat fields and back."""

import dataclasses
import runpy

import pytest
from ml_collections import ConfigDict

from mgan_jax.settings import analysis_fields, fields, presets
from mgan_jax.settings.analysis_fields import parse_analysis_settings
from tests import small_runs

DEMO = analysis_fields.analysis_preset('demo')


@pytest.mark.parametrize('preset', presets.PRESETS)
def test_presets_are_usable(preset):
    flat = analysis_fields.analysis_preset(preset) | {'segmentation': 'parts'}
    settings = parse_analysis_settings(flat)
    assert analysis_fields.flatten_analysis_settings(settings) == flat
    assert list(flat) == list(DEMO)
    assert flat['factor'] == presets.preset_settings('super_resolve', preset)['factor']
    for name in ('layer', 'num_codes', 'perceptual', 'winograd'):
        assert flat[name] == presets.preset_settings('reconstruct', preset)[name]


def test_the_configuration_file_has_the_fields():
    get_config = runpy.run_path(str(small_runs.ROOT / 'configs' / 'analysis.py'))['get_config']
    assert isinstance(get_config(), ConfigDict)
    assert get_config().to_dict() == DEMO and get_config('fast').to_dict()['preset'] == 'fast'
    assert (DEMO['images'], DEMO['steps'], DEMO['batch_size']) == ('held-out', 50, 4)


def test_shared_fields_have_the_options_of_inversions():
    shared = {field.name: field for field in dataclasses.fields(analysis_fields.InversionSettings)}
    owners = [field for group in fields.GROUPS.values() for field in dataclasses.fields(group)]
    for field in owners:
        if field.name in shared:
            copy = shared.pop(field.name)
            assert (copy.type, copy.default, copy.metadata) == (field.type, field.default, field.metadata)
    assert not shared


@pytest.mark.parametrize(
    ('changes', 'words'),
    [
        ({'preset': 'fasst'}, "preset is 'fasst'; 'demo', 'fast', 'upstream' or 'paper' is wanted"),
        ({'count': 0}, 'count is 0; at least 1'),
        ({'pictured': -1}, 'pictured is -1; at least 1'),
        ({'count': 1.5}, 'count is 1.5; a whole number is wanted'),
        ({'nums': '1,x'}, "nums is '1,x'; whole numbers from 1 are wanted, separated by commas, as in 1,2,5"),
        ({'nums': '0,1'}, 'nums is'),
        ({'nums': ''}, 'nums is'),
        ({'layers': '2,,4'}, 'layers is'),
        ({'threshold': float('nan')}, 'threshold is nan'),
        ({'threshold': -0.1}, 'threshold is -0.1; a number of at least 0 is wanted'),
        ({'steps': 0}, 'steps is 0; at least 1 is wanted'),
        ({'analyses': 'tasks,role'}, "some of codes_layers, roles, generators, tasks, all .*; 'role' is none of them"),
        ({'tasks': 'inpaint,'}, "tasks is 'inpaint,'; some of reconstruct, super_resolve, .*; '' is none of them"),
        (
            {'images': 'photos'},
            "the roles of codes need a segmentation .* or leave 'roles' out, as in .*=codes_layers,gen",
        ),
        ({'more': 1}, "has the unknown field 'more'"),
    ],
)
def test_unusable_fields_are_named(changes, words):
    with pytest.raises(ValueError, match=words):
        parse_analysis_settings(DEMO | changes)


def test_a_missing_field_is_named():
    with pytest.raises(ValueError, match="lacks the field 'nums'"):
        parse_analysis_settings({name: value for name, value in DEMO.items() if name != 'nums'})


def test_lists():
    assert analysis_fields.split_numbers('5, 2,2') == (2, 5)
    assert analysis_fields.split_words('b, a,b') == ('b', 'a')
    assert analysis_fields.select_analyses(parse_analysis_settings(DEMO)) == analysis_fields.ANALYSES
    some = parse_analysis_settings(DEMO | {'analyses': 'tasks, roles'})
    assert analysis_fields.select_analyses(some) == ('roles', 'tasks')
