"""The command that fits a NIQE model to a folder of images."""

import numpy as np
import pytest

from mgan_jax import pristine
from mgan_jax.data import images
from mgan_jax.metrics import niqe
from mgan_jax.results import evaluation
from tests.metrics.test_niqe import photo

pytestmark = pytest.mark.usefixtures('quick_compilation')


@pytest.fixture
def photos(tmp_path):
    """A folder of 12 photos of another size and aspect ratio than the model's."""
    (tmp_path / 'photos').mkdir()
    for seed in range(12):
        images.write_png(tmp_path / 'photos' / f'{seed}.png', photo(seed, (80, 96)))
    return tmp_path / 'photos'


def test_the_model_is_fitted_to_the_resized_images(photos, tmp_path, capsys):
    path = tmp_path / 'model.npz'
    assert pristine.main([str(photos), str(path), '--size=64', '--patch_size=8']) == 0
    assert 'patches of 8 pixels a side, from 12 images' in capsys.readouterr().out
    pixels = [
        images.read_image(photos / f'{seed}.png', 64).pixels for seed in (0, 1, 10, 11, *range(2, 10))
    ]  # sorted by name
    expected, model = niqe.fit_niqe_model(pixels, 8), evaluation.read_niqe_model(str(path))
    assert model.patch_size == 8 and model.source == str(photos)
    np.testing.assert_allclose(model.mean, expected.mean, rtol=1e-6)
    np.testing.assert_allclose(model.covariance, expected.covariance, rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize(
    'arguments, message',
    [
        ([], 'the following arguments are required: IMAGES, MODEL.npz; see `python -m mgan_jax.pristine --help`'),
        (['{photos}', '{model}', '--size=big'], "argument --size: 'big' is given; a whole number is wanted"),
        (['{photos}', '{model}', '--patch_size=0'], 'argument --patch_size: 0 is given; at least 1 is wanted'),
        (['{photos}', '{model}', '--colour=1'], 'unrecognized arguments: --colour=1'),
        (['{photos}/none', '{model}'], 'none'),
        (['{photos}/0.png', '{model}', '--size=32', '--patch_size=16'], 'sharp patches of 16 pixels a side; more than 36'),
        (['{photos}', '{model}', '--size=64', '--patch_size=96'], 'patches of 96 pixels a side are asked for, of images of'),
        (['{photos}/text.png', '{model}'], 'text.png'),
    ],
)  # fmt: skip
def test_errors_are_one_sentence(photos, tmp_path, capsys, arguments, message):
    (photos / 'text.png').write_text('no image')
    names = {'photos': photos, 'model': tmp_path / 'model.npz'}
    assert pristine.main([text.format(**names) for text in arguments]) == 2
    captured = capsys.readouterr()
    assert message in captured.err and captured.err.count('\n') == 1 and 'Traceback' not in captured.err
    assert not names['model'].exists()


def test_a_folder_is_never_overwritten(photos, capsys):
    assert pristine.main([str(photos), str(photos), '--size=64', '--patch_size=8']) == 2
    assert 'is a folder where a file is to be written' in capsys.readouterr().err


def test_help_lists_all_arguments(capsys):
    with pytest.raises(SystemExit) as stopped:
        pristine.main(['--help'])
    assert stopped.value.code == 0
    text = capsys.readouterr().out
    assert all(name in text for name in ('IMAGES', 'MODEL.npz', 'default: 256', 'default: 96'))
