"""The command that trains an encoder: interrupted, it goes on as if it had not been; what it cannot use; what it learns."""

import csv

import jax
import numpy as np
import pytest

from mgan_jax import models
from mgan_jax.encoder import training, training_step
from mgan_jax.models import stylegan2
from mgan_jax.models.encoder import weights_checksum
from tests import toy

pytestmark = pytest.mark.usefixtures('quick_compilation')


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    for name, value in {'SAVE_SECONDS': 0.0, 'HELD_OUT': 4, 'SCORED': 4, 'MEASURED': 64}.items():
        monkeypatch.setattr(training, name, value)
    monkeypatch.setattr(training_step, 'BATCH', 8)


def command(folder, destination, *more, images=24):
    return [str(folder / 'generator'), str(destination), f'--images={images}', '--channels=4,8', *map(str, more)]


def rows(destination):
    with open(destination.with_name(destination.name + '.training') / 'log.csv', newline='') as file:
        return [{name: value for name, value in row.items() if name != 'seconds'} for row in csv.DictReader(file)]


def test_training_goes_on_as_if_never_interrupted(folder, tmp_path, monkeypatch, capsys):
    extractor = f'--extractor={folder}/extractor', '--extractor-layer=relu2_1'
    assert training.main(command(folder, tmp_path / 'whole', *extractor)) == 0
    assert 'on 4 other samples, correlation ' in capsys.readouterr().out
    write = training._write_log

    def stop_after(path, row):
        write(path, row)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(training, '_write_log', stop_after)
        training.main(command(folder, tmp_path / 'parts', *extractor))
    assert not (tmp_path / 'parts').exists()
    assert training.main(command(folder, tmp_path / 'parts', *extractor)) == 0
    (told, whole), (_, parts) = (models.load(tmp_path / name) for name in ('whole', 'parts'))
    jax.tree.map(np.testing.assert_array_equal, whole, parts)
    assert told.made_for == weights_checksum(models.load(folder / 'generator')[1])
    assert rows(tmp_path / 'parts') == rows(tmp_path / 'whole')
    assert [row['images'] for row in rows(tmp_path / 'whole')] == ['8', '16', '24']
    assert float(rows(tmp_path / 'whole')[0]['features']) > 0


def test_w_of_a_generator_with_styles(folder, tmp_path):
    sizes = {'resolution': 8, 'latent_dim': 6, 'style_dim': 5, 'fmaps_base': 64, 'fmaps_max': 8, 'mapping_layers': 1}
    params = toy.draw_weights(stylegan2.build_stylegan2(**sizes).init)
    models.save(tmp_path / 'generator', 'stylegan2', sizes, params)
    arguments = command(tmp_path, tmp_path / 'encoder', '--space=w', images=8)
    assert training.main([*arguments[:-2], '--space=w', '--channels=8']) == 0
    told, own = models.load(tmp_path / 'encoder')
    assert told.space == 'w' and told(own, np.zeros((2, 8, 8, 3), np.float32)).shape == (2, 5)
    z = jax.random.normal(jax.random.key(0), (2000, 6))
    w = stylegan2.build_stylegan2(**sizes).styles.of(params, z, 'z')
    np.testing.assert_allclose(own['mean'], w.mean(axis=0), atol=0.5 * float(w.std()))
    np.testing.assert_allclose(own['deviation'], w.std(axis=0), rtol=0.4)


def test_a_training_of_another_network_is_not_continued(folder, tmp_path, capsys):
    assert training.main(command(folder, tmp_path / 'encoder', images=8)) == 0
    assert training.main(command(folder, tmp_path / 'encoder', images=8)) == 2
    assert 'exists already' in capsys.readouterr().err
    other = [*command(folder, tmp_path / 'encoder', '--overwrite', images=16)[:-2], '--channels=4,4', '--overwrite']
    assert training.main(other) == 2
    assert 'keeps a training of another generator or network' in capsys.readouterr().err
    assert models.is_model_directory(tmp_path / 'encoder')  # what was there stays
    assert training.main(command(folder, tmp_path / 'encoder', '--overwrite', images=16)) == 0
    assert [row['images'] for row in rows(tmp_path / 'encoder')] == ['8', '16']


@pytest.mark.parametrize(
    'more, message',
    [
        (['--images=0'], 'give --images or --minutes'),
        (['--minutes=1'], 'give --images or --minutes'),
        (['--pixel=nan'], '--pixel and --perceptual are finite numbers'),
        (['--space=w'], "only the space 'z'"),
        (['--label=1'], 'has no classes'),
        (['--channels=0'], 'numbers from 1 are wanted'),
        (['--extractor={folder}/generator'], 'a feature extractor is wanted'),
        (['--extractor={folder}/extractor', '--extractor-layer=relu9_9'], "layer 'relu9_9' is given"),
        (['--extractor={folder}/none'], 'there is no model directory'),
    ],
)
def test_what_cannot_be_used(folder, tmp_path, capsys, more, message):
    arguments = command(folder, tmp_path / 'encoder', *(text.format(folder=folder) for text in more))
    assert training.main(arguments) == 2
    error = capsys.readouterr().err
    assert message in error and error.count('\n') == 1 and 'Traceback' not in error
    assert not list(tmp_path.iterdir())


def test_a_generator_is_wanted(folder, tmp_path, capsys):
    assert training.main([str(folder / 'extractor'), str(tmp_path / 'encoder'), '--images=8']) == 2
    assert 'a generator is wanted' in capsys.readouterr().err


@pytest.mark.parametrize(
    'size, channels',
    [((16, 16), [16, 32]), ((64, 64), [16, 32, 64, 128]), ((1024, 1024), [16, 32, 64, 128, 128, 128]), ((4, 8), [16])],
)
def test_a_network_of_the_size_of_the_images(size, channels):
    assert training.default_channels(size) == channels


def test_the_learning_rate_is_of_the_share_that_is_done():
    options = training._options(['demo', 'there', '--images=100'])
    assert training._share(options, training.TrainingProgress(None, 25, 999)) == 0.25
    options = training._options(['demo', 'there', '--minutes=2'])
    assert training._share(options, training.TrainingProgress(None, 25, 30)) == 0.25
