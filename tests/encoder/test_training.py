"""Training of an encoder: continuation after an interruption, the files, and what is refused."""

import csv

import jax
import numpy as np
import pytest

from mgan_jax import models
from mgan_jax.encoder import training
from mgan_jax.encoder.training import TrainingProgress
from mgan_jax.encoder.training_setup import TrainingOptions
from mgan_jax.models import stylegan2
from mgan_jax.models.encoder import weights_checksum
from tests import toy

pytestmark = pytest.mark.usefixtures('quick_compilation', 'short_training')


def make_options(folder, **changes):
    values = {'generator': str(folder / 'generator'), 'channels': [4, 8], 'images': 24}
    return TrainingOptions(**(values | changes))


def read_log(destination):
    """The rows of log.csv without the seconds."""
    with open(destination.with_name(destination.name + '.training') / 'log.csv', newline='') as file:
        return [{name: value for name, value in row.items() if name != 'seconds'} for row in csv.DictReader(file)]


@pytest.mark.slow
def test_an_interrupted_training_continues_with_the_same_bits(folder, tmp_path):
    options = make_options(folder, extractor=str(folder / 'extractor'), extractor_layer='relu2_1')
    lines = []
    scores = training.train_encoder(options, tmp_path / 'whole', report=lines.append)
    assert lines[0].startswith('0 images seen') and len(lines) == 4
    assert lines[-1].endswith(f'correlation {scores["correlation"]} psnr {scores["psnr"]}')

    def interrupt(line):
        if line.startswith('images 8 '):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        training.train_encoder(options, tmp_path / 'parts', report=interrupt)
    assert not (tmp_path / 'parts').exists()
    assert training.train_encoder(options, tmp_path / 'parts') == scores
    (encoder, whole), (_, parts) = (models.load(tmp_path / name) for name in ('whole', 'parts'))
    jax.tree.map(np.testing.assert_array_equal, whole, parts)
    assert encoder.made_for == weights_checksum(models.load(folder / 'generator')[1])
    assert read_log(tmp_path / 'parts') == read_log(tmp_path / 'whole')
    assert [row['images'] for row in read_log(tmp_path / 'whole')] == ['8', '16', '24']
    assert float(read_log(tmp_path / 'whole')[0]['features']) > 0


@pytest.mark.slow
def test_an_encoder_of_w_has_the_measured_mean_and_deviation(tmp_path):
    sizes = {'resolution': 8, 'latent_dim': 6, 'style_dim': 5, 'fmaps_base': 64, 'fmaps_max': 8, 'mapping_layers': 1}
    network = stylegan2.build_stylegan2(**sizes)
    params = toy.draw_weights(network.init)
    models.save(tmp_path / 'generator', 'stylegan2', sizes, params)
    training.train_encoder(make_options(tmp_path, space='w', channels=[8], images=8), tmp_path / 'encoder')
    encoder, encoder_params = models.load(tmp_path / 'encoder')
    assert encoder.space == 'w' and encoder(encoder_params, np.zeros((2, 8, 8, 3), np.float32)).shape == (2, 5)
    w = network.styles.of(params, jax.random.normal(jax.random.key(0), (2000, 6)), 'z')
    np.testing.assert_allclose(encoder_params['mean'], w.mean(axis=0), atol=0.5 * float(w.std()))
    np.testing.assert_allclose(encoder_params['deviation'], w.std(axis=0), rtol=0.4)


@pytest.mark.slow
def test_a_longer_training_continues_and_one_of_another_network_is_refused(folder, tmp_path):
    destination = tmp_path / 'encoder'
    training.train_encoder(make_options(folder, images=8), destination)
    with pytest.raises(ValueError, match='encoder exists already; name another, or --overwrite an encoder'):
        training.train_encoder(make_options(folder, images=8), destination)
    with pytest.raises(ValueError, match='keeps a training of another generator or network'):
        training.train_encoder(make_options(folder, images=16, channels=[4, 4]), destination, overwrite=True)
    assert models.is_model_directory(destination)
    training.train_encoder(make_options(folder, images=16), destination, overwrite=True)
    assert [row['images'] for row in read_log(destination)] == ['8', '16']


@pytest.mark.parametrize(
    'length', [{'images': 0}, {'images': 8, 'minutes': 1.0}, {'images': 0, 'minutes': float('inf')}, {'images': -1}]
)
def test_one_length_is_wanted(folder, tmp_path, length):
    with pytest.raises(ValueError, match='^images is .* and minutes is .*: give --images or --minutes.$'):
        training.train_encoder(make_options(folder, **length), tmp_path / 'encoder')
    assert not list(tmp_path.iterdir())


def test_the_share_that_is_done_is_of_images_or_minutes():
    progress = TrainingProgress(None, images=25, seconds=30)
    assert training.measure_progress(TrainingOptions('demo', images=100), progress) == 0.25
    assert training.measure_progress(TrainingOptions('demo', minutes=2), progress) == 0.25


def test_the_learning_rate_rises_and_falls():
    assert training.schedule_rate(0) == 0
    assert training.schedule_rate(training.WARM_UP / 2) == pytest.approx(training.RATE / 2, rel=1e-3)
    assert training.schedule_rate(0.5) == pytest.approx(training.RATE / 2)
    assert training.schedule_rate(1) == pytest.approx(0, abs=1e-12)
