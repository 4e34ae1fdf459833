"""The command line of a run makes the same settings again."""

import shlex

import pytest

from mgan_jax import invert
from mgan_jax.settings import command_line, fields, presets

pytestmark = pytest.mark.usefixtures('in_the_repository')


@pytest.mark.parametrize('task', presets.TASKS)
@pytest.mark.parametrize('preset', presets.PRESETS)
def test_the_command_makes_the_settings(task, preset):
    changes = {'images': "it's <b>; $(here)", 'seed': 7, 'alpha_rate': 0.125, 'noise': True, 'out': '', 'space': 'w+'}
    settings = presets.preset_settings(task, preset) | changes
    told = command_line.describe_settings(settings)
    python, minus_m, module, *arguments = shlex.split(told['command'])
    assert (python, minus_m, module) == ('python', '-m', 'mgan_jax.invert')
    assert fields.flatten_settings(invert.read_settings(arguments)) == settings


def test_what_differs_comes_first():
    told = command_line.describe_settings(
        presets.preset_settings('inpaint', 'upstream') | {'seed': 3, 'mask': 'random:0.5'}
    )
    assert told['preset'] == 'upstream'
    assert {row[:1] + row[1:] for row in told['settings'][:2]} == {
        ('seed', '3', '0'),
        ('mask', 'random:0.5', 'center'),
    }
    assert all(row[2] is None for row in told['settings'][2:])
    assert len(told['settings']) == len(presets.preset_settings('inpaint', 'upstream'))


def test_a_preset_as_it_is():
    told = command_line.describe_settings(presets.preset_settings('denoise', 'demo'))
    assert told['command'] == 'python -m mgan_jax.invert --config configs/denoise.py:demo'


def test_no_command_line_names_a_generator_of_ones_own():
    told = command_line.describe_settings(
        presets.preset_settings('denoise', 'demo') | {'generator': command_line.OWN_GENERATOR}
    )
    assert told['command'] == '' and told['settings'][0][0] == 'generator'


def test_settings_of_another_release():
    told = command_line.describe_settings({'task': 'dream', 'depth': 3})
    assert told == {'preset': 'none', 'settings': [('task', 'dream', None), ('depth', '3', None)], 'command': ''}
    assert command_line.describe_settings(presets.preset_settings('inpaint', 'demo') | {'gone': 1})['preset'] == 'demo'
