"""The command that trains an encoder."""

import pytest

from mgan_jax import models
from mgan_jax.encoder import __main__ as command

pytestmark = pytest.mark.usefixtures('quick_compilation', 'short_training')


def make_arguments(folder, destination, *more):
    return [str(folder / 'generator'), str(destination), '--channels=4,8', *map(str, more)]


@pytest.mark.slow
def test_the_command_trains_and_prints_the_scores(folder, tmp_path, capsys):
    assert command.main(make_arguments(folder, tmp_path / 'encoder', '--images=8')) == 0
    output = capsys.readouterr().out.splitlines()
    assert output[0].startswith('0 images seen, ready after ') and output[1].startswith('images 8 seconds ')
    assert output[2].startswith(f'{tmp_path}/encoder: on 4 held-out samples, correlation ')
    assert models.load(tmp_path / 'encoder')[0].space == 'z'


@pytest.mark.slow
@pytest.mark.parametrize(
    'more, message',
    [
        (['--images=0'], 'give --images or --minutes'),
        (['--images=8', '--minutes=1'], 'give --images or --minutes'),
        (['--images=8', '--pixel=nan'], 'argument --pixel: nan is given; a finite number of at least 0 is wanted'),
        (['--images=few'], "argument --images: 'few' is given; a whole number is wanted"),
        (['--images=8', '--channels=4;8'], "'4;8' is given; a list of whole numbers separated by commas is wanted"),
        (['--images=8', '--space=w'], "only the space 'z'"),
        (['--images=8', '--label=1'], 'has no classes'),
        (['--images=8', '--extractor={folder}/none'], 'there is no model directory'),
    ],
)
def test_errors_are_one_sentence(folder, tmp_path, capsys, more, message):
    arguments = make_arguments(folder, tmp_path / 'encoder', *(text.format(folder=folder) for text in more))
    assert command.main(arguments) == 2
    captured = capsys.readouterr()
    assert message in captured.err and captured.err.count('\n') == 1 and 'Traceback' not in captured.err
    assert not list(tmp_path.iterdir())


def test_help_lists_all_arguments(capsys):
    with pytest.raises(SystemExit) as stopped:
        command.main(['--help'])
    assert stopped.value.code == 0
    text = capsys.readouterr().out
    for arguments in command.ARGUMENTS.values():
        assert all((argument.metavar or argument.name) in text for argument in arguments)
