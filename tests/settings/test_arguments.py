"""Tables of arguments: values, help and errors."""

from pathlib import Path

import pytest

from mgan_jax.settings import fields
from mgan_jax.settings.arguments import FLAG, NUMBER, PATH, WHOLE_NUMBER, WHOLE_NUMBERS, Argument, make_parser

PARSER = make_parser(
    'python -m something',
    'Does something.',
    {
        '': (Argument('folder', 'the folder to write', PATH, metavar='FOLDER'),),
        'numbers': (
            Argument('--size', 'pixels a side', WHOLE_NUMBER, 256, check=fields.at_least(1)),
            Argument('--share', 'share of 100 % of the samples', NUMBER, 0.5),
            Argument('--channels', 'of each layer', WHOLE_NUMBERS),
        ),
        'others': (
            Argument('--name', 'a name'),
            Argument('--space', 'the space', default='z', choices=('z', 'w')),
            Argument('--overwrite', 'replace FOLDER', FLAG),
        ),
    },
)


def test_defaults():
    values = vars(PARSER.parse_args(['out']))
    assert values == {
        'folder': Path('out'),
        'size': 256,
        'share': 0.5,
        'channels': None,
        'name': None,
        'space': 'z',
        'overwrite': False,
    }


def test_given_values():
    values = PARSER.parse_args(['--channels=4,8', '--size', '7', 'out', '--overwrite', '--space=w', '--name=100 %'])
    assert (values.channels, values.size, values.overwrite) == ([4, 8], 7, True)
    assert (values.folder, values.space, values.name) == (Path('out'), 'w', '100 %')


def test_help_has_the_meaning_type_and_default_of_each_argument(monkeypatch, capsys):
    monkeypatch.setenv('COLUMNS', '200')
    with pytest.raises(SystemExit) as stopped:
        PARSER.parse_args(['--help'])
    assert stopped.value.code == 0
    text = capsys.readouterr().out
    for line in (
        'Does something.',
        'the folder to write (a path)',
        'numbers:',
        'pixels a side (a whole number; default: 256)',
        'share of 100 % of the samples (a number; default: 0.5)',
        'of each layer (a list of whole numbers separated by commas; default: none)',
        'a name (a text; default: none)',
        'the space (a text; default: z)',
        'replace FOLDER (a flag; default: not set)',
    ):
        assert line in text


@pytest.mark.parametrize(
    'arguments, message',
    [
        ([], 'the following arguments are required: FOLDER'),
        (['out', '--size=big'], "argument --size: 'big' is given; a whole number is wanted"),
        (['out', '--size=0'], 'argument --size: 0 is given; at least 1 is wanted'),
        (['out', '--share=half'], "argument --share: 'half' is given; a number is wanted"),
        (['out', '--channels=4,'], "argument --channels: '4,' is given; a list of whole numbers separated by commas is wanted"),
        (['out', '--space=q'], "argument --space: invalid choice: 'q'"),
        (['out', '--size'], 'argument --size: expected one argument'),
        (['out', '--colour=1'], 'unrecognized arguments: --colour=1'),
        (['out', 'more'], 'unrecognized arguments: more'),
    ],
)  # fmt: skip
def test_an_error_is_one_sentence(capsys, arguments, message):
    with pytest.raises(ValueError) as raised:
        PARSER.parse_args(arguments)
    assert str(raised.value).startswith(message)
    assert str(raised.value).endswith('; see `python -m something --help`.')
    assert capsys.readouterr() == ('', '')
