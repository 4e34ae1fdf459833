"""The configurations: every task with every preset, and the check of configurations that users write."""

import re
import runpy
from pathlib import Path

import pytest
from ml_collections import ConfigDict

import mgan_jax
from mgan_jax.settings import fields, presets

PACKAGE = Path(mgan_jax.__file__).parent
CONFIGS = PACKAGE.parent / 'configs'
FILES = {
    'reconstruct': 'invert.py',
    'super_resolve': 'sr.py',
    'colorize': 'colorize.py',
    'inpaint': 'inpaint.py',
    'denoise': 'denoise.py',
    'edit': 'edit.py',
}
NAMES = ('demo', 'fast', 'upstream', 'paper')


@pytest.mark.parametrize('preset', NAMES)
@pytest.mark.parametrize('task', presets.TASKS)
def test_every_preset_of_every_configuration(task, preset):
    config = runpy.run_path(str(CONFIGS / FILES[task]))['get_config'](preset)
    assert isinstance(config, ConfigDict)
    settings = config.to_dict()
    assert settings == presets.preset_settings(task, preset)
    assert settings['task'] == task
    assert settings['out'] == f'results/{task}'
    assert fields.flatten_settings(fields.parse_settings(settings)) == settings
    assert 1 <= settings['layer'] <= 14
    assert min(settings['num_codes'], settings['steps']) >= 1
    assert settings['batch_size'] == (1 if settings['optimizer'] == 'sgd' else 0)


@pytest.mark.parametrize('task', presets.TASKS)
def test_demo_is_the_default(task):
    config = runpy.run_path(str(CONFIGS / FILES[task]))['get_config']()
    assert config.to_dict() == presets.preset_settings(task, 'demo')
    assert (config.images, config.generator, config.extractor) == ('bundled', 'demo', 'demo-extractor')


@pytest.mark.parametrize('task', presets.TASKS)
def test_a_converted_generator_has_to_be_named(task):
    for preset in NAMES[1:]:
        settings = presets.preset_settings(task, preset)
        assert settings['images'] == settings['generator'] == settings['extractor'] == ''


def test_each_configuration_shows_its_own_command():
    owners = dict.fromkeys(FILES.values(), 'invert') | {'analysis.py': 'analyze'}
    paths = [path for path in CONFIGS.glob('*.py') if path.name != '__init__.py']
    assert {path.name for path in paths} == owners.keys()
    for path in paths:
        commands = re.findall(r'^python -m mgan_jax\.(\w+) --config configs/(\w+\.py)', path.read_text(), re.MULTILINE)
        assert commands == [(owners[path.name], path.name)] * 2


@pytest.mark.parametrize('task', presets.TASKS)
def test_each_configuration_shows_the_values_of_its_presets(task):
    """The docstring has a table: a column for each field that it names, a row for each preset."""
    rows = [line.split() for line in (CONFIGS / FILES[task]).read_text().splitlines()]
    header = next(row for row in rows if row[:1] == ['preset'])
    start = rows.index(header) + 1
    for name, row in zip(NAMES, rows[start : start + len(NAMES)], strict=True):
        settings = presets.preset_settings(task, name)
        assert row == [name, *(str(settings[field]) for field in header[1:])]


@pytest.mark.parametrize('task', presets.TASKS)
def test_upstream_is_the_released_code(task):
    """SGD of constant rate 1 one image at a time, alpha divided by N twice, the last iterate, no compositing."""
    settings = presets.preset_settings(task, 'upstream')
    expected = {
        'reconstruct': (8, 20, 3000, 0.001),
        'super_resolve': (6, 20, 2000, 0.001),
        'colorize': (6, 20, 1500, 0.001),
        'inpaint': (4, 30, 3000, 0.0001),
        'denoise': (4, 30, 3000, 0.0001),
        'edit': (6, 30, 2000, 0.001),
    }[task]
    assert tuple(settings[name] for name in ('layer', 'num_codes', 'steps', 'perceptual')) == expected
    assert (settings['optimizer'], settings['latent_rate'], settings['alpha_rate']) == ('sgd', 1.0, 1.0)
    assert (settings['alpha_over_n'], settings['keep'], settings['batch_size']) == (True, 'last', 1)
    assert (settings['extractor_layer'], settings['extractor_size']) == ('relu3_3', 256)
    assert not settings.get('composite', False)


@pytest.mark.parametrize('task', presets.TASKS)
def test_paper_differs_from_upstream_where_the_paper_says_so(task):
    paper, upstream = presets.preset_settings(task, 'paper'), presets.preset_settings(task, 'upstream')
    changed = {name for name in paper if paper[name] != upstream[name]}
    expected = {'extractor_layer', 'alpha_over_n'}
    expected |= {'layer'} if task == 'colorize' else set()
    expected |= {'composite'} if 'composite' in paper else set()
    assert changed == expected
    assert paper['extractor_layer'] == 'relu4_3'


@pytest.mark.parametrize('task', presets.TASKS)
def test_unknown_preset(task):
    with pytest.raises(ValueError, match=r"^there is no preset 'fasst'; choose one of demo, fast, upstream, paper\.$"):
        presets.preset_settings(task, 'fasst')


def test_settings_of_a_preset_with_changes():
    settings = presets.make_settings('inpaint', 'demo', layer=3, mask='random:0.5')
    assert settings.prior.layer == 3 and settings.task == fields.Inpaint(mask='random:0.5')
    expected = presets.preset_settings('inpaint', 'demo') | {'layer': 3, 'mask': 'random:0.5'}
    assert fields.flatten_settings(settings) == expected
    with pytest.raises(ValueError, match="^task 'restore' is given; reconstruct, super_resolve"):
        presets.make_settings('restore')
