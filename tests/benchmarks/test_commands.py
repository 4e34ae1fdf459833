"""benchmarks.commands: fields as text, and the exit code and the message of a benchmark."""

import importlib

import pytest

from benchmarks import commands
from mgan_jax.settings.errors import one_sentence


def test_values_take_the_type_of_their_field():
    flat = {'task': 'sr', 'layer': 4, 'latent_rate': 0.1, 'winograd': True, 'images': ''}
    pairs = commands.split_pairs(['layer=6', 'latent_rate=1e-2', 'winograd=False', 'images=a=b'])
    changed = {'layer': 6, 'latent_rate': 0.01, 'winograd': False, 'images': 'a=b'}
    assert commands.override_fields(flat, pairs) == flat | changed


@pytest.mark.parametrize('text', ['layer', '=4', 'layer='])
def test_pairs_of_another_form_are_refused(text):
    with pytest.raises(ValueError, match=f"^'{text}' is given; FIELD=VALUE is wanted"):
        commands.split_pairs([text])


@pytest.mark.parametrize(('error', 'code'), [(ValueError('no such\nthing'), 2), (None, 0)])
def test_exit_codes(capsys, error, code):
    def main(arguments):
        if error:
            raise error

    with pytest.raises(SystemExit) as caught:
        commands.run_command(main)
    assert (caught.value.code or 0) == code
    assert capsys.readouterr().err == ('no such thing\n' if error else '')


def test_unusable_arguments_are_one_sentence(capsys, monkeypatch):
    def main(arguments):
        parser = commands.make_parser('memory', 'Measures memory.')
        parser.add_argument('folder')
        parser.parse_args(arguments)

    monkeypatch.setattr(commands.sys, 'argv', ['memory'])
    with pytest.raises(SystemExit) as caught:
        commands.run_command(main)
    assert caught.value.code == 2
    output = capsys.readouterr().err
    assert 'folder' in output and output.count('\n') == 1


def test_values_below_a_limit_are_refused():
    commands.require_at_least(1, kills=1, rounds=3)
    with pytest.raises(ValueError, match='rounds is 0; at least 1 is wanted'):
        commands.require_at_least(1, kills=1, rounds=0)


@pytest.mark.parametrize(
    ('name', 'arguments', 'words'),
    [
        ('demo_results', [], 'folder'),
        ('style_spaces', [], 'folder'),
        ('full_size', [], 'folder'),
        ('full_size', ['{}/out', '{}/missing'], 'missing'),
        ('interruptions', ['--kills=0'], 'kills is 0; at least 1 is wanted.'),
        ('interruptions', ['--kills=many'], 'many'),
        ('reading', ['--images=1'], 'images is 1; at least 2 is wanted.'),
        ('reading', ['--workers=0,2'], 'workers is 0; at least 1 is wanted.'),
        ('reading', ['--rounds=0'], 'rounds is 0; at least 1 is wanted.'),
        ('screenshots', ['--run={}/missing'], 'missing/report.html does not exist; give the folder of a run.'),
        ('demo_results', ['{}/file'], 'file'),
    ],
)
def test_benchmarks_refuse_unusable_arguments(tmp_path, name, arguments, words):
    (tmp_path / 'file').touch()
    benchmark = importlib.import_module(f'benchmarks.{name}')
    with pytest.raises((OSError, ValueError)) as caught:
        benchmark.main([argument.format(tmp_path) for argument in arguments])
    assert words in one_sentence(caught.value)
    assert {path.name for path in tmp_path.iterdir()} == {'file'}
