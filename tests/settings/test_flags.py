"""Configurations with fields of any names, their flags and their help. `tests/test_invert.py` tests them with real fields."""

import dataclasses

import pytest

from mgan_jax.settings import fields, flags, presets

USAGE = 'python -m something --config FILE'


@pytest.fixture
def file(tmp_path):
    path = tmp_path / 'fields.py'
    text = "from ml_collections import ConfigDict\n\n\ndef get_config(preset='a'):\n"
    path.write_text(text + "    return ConfigDict({'preset': preset, 'count': 3, 'share': 0.5, 'on': False})\n")
    return str(path)


def test_fields_and_flags(file):
    assert flags.read_config(['--config', file], USAGE) == {'preset': 'a', 'count': 3, 'share': 0.5, 'on': False}
    found = flags.read_config([f'--config={file}:b', '--config.count=4', '--config.share=1', '--config.on=True'], USAGE)
    assert found == {'preset': 'b', 'count': 4, 'share': 1.0, 'on': True}


@pytest.mark.parametrize(
    ('arguments', 'words'),
    [
        (['--config.cuont=4'], "the configuration has no field 'cuont'; did you mean 'count'?"),
        (['--config.zzz=4'], "the configuration has no field 'zzz'; the fields are count, on, preset, share."),
        (['--config.count=x'], 'a whole number is wanted, as in --config.count=3.'),
        (['more'], f"'more' is not a flag; usage: {USAGE}."),
        (['--count=4'], f"there is no flag 'count'; usage: {USAGE}."),
    ],
)
def test_what_is_wrong_is_told_in_one_sentence(file, arguments, words):
    with pytest.raises(ValueError) as error:
        flags.read_config(['--config', file, *arguments], USAGE)
    assert words in str(error.value)


def test_without_a_file_the_usage_is_told():
    with pytest.raises(ValueError, match=f'no --config was given; usage: {USAGE}'):
        flags.read_config([], USAGE)


@pytest.mark.parametrize(
    'name, task', [('sr', 'super_resolve'), ('inpaint', 'inpaint'), ('reconstruct', 'reconstruct')]
)
def test_a_task_names_its_configuration(name, task, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert flags.read_config(['--config', name], USAGE) == presets.preset_settings(task, 'demo')
    found = flags.read_config([f'--config={name}:paper', '--config.layer=3'], USAGE)
    assert found == presets.preset_settings(task, 'paper') | {'layer': 3}


def test_names_that_are_neither_files_nor_tasks(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, words in [
        ('srr', "there is no configuration file 'srr', and no task of this name"),
        ('sr:best', 'sr:best'),
    ]:
        with pytest.raises(ValueError, match=words):
            flags.read_config(['--config', name], USAGE)


def test_help_lists_every_field():
    text = flags.help_text({'Prior': fields.PriorSettings, 'Loss.': fields.LossSettings}, USAGE)
    assert text.startswith(f'usage: {USAGE}\n') and '\nPrior:\n' in text and '\nLoss:\n' in text
    for group in (fields.PriorSettings, fields.LossSettings):
        for field in dataclasses.fields(group):
            assert f'--config.{field.name}=' in text
    words = ' '.join(text.split())
    assert '--config.tail=learned|own' in text and "(default: 'learned')" in words and '[pixels]' in words
    assert max(map(len, text.splitlines())) <= 120
    assert flags.wants_help(['--config', 'sr', '--help']) and not flags.wants_help(['--config', 'help'])
