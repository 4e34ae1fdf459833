"""benchmarks.commands: fields as text, and how a benchmark ends."""

import pytest

from benchmarks import commands


def test_fields_take_the_kind_that_they_have():
    settings = {'task': 'sr', 'layer': 4, 'latent_rate': 0.1, 'winograd': True, 'images': ''}
    given = commands.pairs(['layer=6', 'latent_rate=1e-2', 'winograd=False', 'images=a=b'])
    changed = {'layer': 6, 'latent_rate': 0.01, 'winograd': False, 'images': 'a=b'}
    assert commands.override(settings, given) == settings | changed


@pytest.mark.parametrize('text', ['layer', '=4', 'layer='])
def test_pairs_of_another_form(text):
    with pytest.raises(ValueError, match=f"^'{text}' is given; FIELD=VALUE is wanted"):
        commands.pairs([text])


@pytest.mark.parametrize(('error', 'code'), [(ValueError('no such\nthing'), 2), (None, 0)])
def test_how_a_benchmark_ends(capsys, error, code):
    def main(arguments):
        if error:
            raise error

    with pytest.raises(SystemExit) as caught:
        commands.run(main)
    assert (caught.value.code or 0) == code
    assert capsys.readouterr().err == ('no such thing\n' if error else '')
