"""Configurations of any command: what `read` does with fields of any names. More of it is tested with `invert`."""

import pytest

from mgan_jax.settings import flags

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
    ('flags', 'words'),
    [
        (['--config.cuont=4'], "the configuration has no field 'cuont'; did you mean 'count'?"),
        (['--config.zzz=4'], "the configuration has no field 'zzz'; the fields are count, on, preset, share."),
        (['--config.count=x'], 'a whole number is wanted, as in --config.count=3.'),
        (['more'], f"'more' is not a flag; usage: {USAGE}."),
        (['--count=4'], f"there is no flag 'count'; usage: {USAGE}."),
    ],
)
def test_what_is_wrong_is_told_in_one_sentence(file, flags, words):
    with pytest.raises(ValueError) as error:
        flags.read_config(['--config', file, *flags], USAGE)
    assert words in str(error.value)


def test_without_a_file_the_usage_is_told():
    with pytest.raises(ValueError, match=f'no --config was given; usage: {USAGE}'):
        flags.read_config([], USAGE)
