"""The training of the demo extractor, on a tiny network: loss, resumption and constant preprocessing."""

import csv
import functools
import json

import jax
import numpy as np
import pytest

from mgan_jax.demo import extractor, gan, landscape, scenes

pytestmark = pytest.mark.usefixtures('quick_compilation')
SIZES = {'RESOLUTION': 16, 'BATCH': 8, 'IMAGES': 1600, 'SAVE_EVERY': 2}
SCENES = {'MEASURED': 40, 'STANDARDISED': 16, 'HELD_OUT': 16, 'SCORED': 64}


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    monkeypatch.setattr(extractor, 'CONFIGURATION', extractor.CONFIGURATION | {'depths': [1, 2], 'channels': [4, 8]})
    for name, value in (SIZES | SCENES).items():
        monkeypatch.setattr(extractor, name, value)


def _assert_equal(a, b):
    jax.tree.map(np.testing.assert_array_equal, a, b)


@functools.cache
def _step():
    return extractor.make_extractor_step()


def _run(steps):
    """Weights and losses of `steps` steps on one batch."""
    state, step, key = extractor.init_extractor_state(seed=3), _step(), jax.random.key(0)
    batch = scenes.draw_batch(3, 0, extractor.BATCH, extractor.RESOLUTION)
    weights = np.ones(len(landscape.ATTRIBUTES), np.float32)
    images, losses = gan.prepare_images(batch.images, extractor.RESOLUTION), []
    for i in range(steps):
        state, loss = step(state, images, batch.attributes, weights, jax.random.fold_in(key, i))
        losses.append(float(loss))
    return state.params, losses


def _interrupt(monkeypatch, calls):
    """Raises KeyboardInterrupt instead of writing line `calls` of the log, after a checkpoint."""
    write, left = extractor._write_log, iter(range(calls - 1, -1, -1))

    def write_or_stop(*arguments):
        if next(left) == 0:
            raise KeyboardInterrupt
        write(*arguments)

    monkeypatch.setattr(extractor, '_write_log', write_or_stop)


@pytest.mark.slow
def test_steps_lower_the_loss_and_leave_the_preprocessing():
    before = extractor.init_extractor_state(seed=3).params
    after, losses = _run(40)
    assert np.mean(losses[-5:]) < 0.97 * np.mean(losses[:5])
    _assert_equal(before['input'], after['input'])
    assert all(np.any(before[name]['kernel'] != after[name]['kernel']) for name in before if name != 'input')


@pytest.mark.slow
def test_steps_are_deterministic():
    _assert_equal(_run(3), _run(3))


def test_preprocessing_normalises_each_channel():
    images = scenes.draw_batch(3, 0, 40, 16).images
    prepared = extractor.fit_preprocessing(images)
    pixels = images.reshape(-1, 3) / np.float32(255) @ prepared['kernel'] + prepared['bias'][None]
    np.testing.assert_allclose(pixels.mean(0), 0, atol=1e-4)
    np.testing.assert_allclose(pixels.std(0), 1, atol=1e-4)


def test_initial_weights_activate_half_of_everything_and_predict_the_mean():
    params = extractor.init_extractor_state(seed=3).params
    batch = scenes.draw_batch(3, 0, extractor.STANDARDISED, 16)
    images = gan.prepare_images(batch.images, 16)
    for layer in extractor.build_demo_extractor().layers:
        active = np.asarray(extractor.build_demo_extractor().features(params, images, layer))
        assert 0.25 < (active > 0).mean() < 0.75 and 0.4 < np.square(active).mean() < 0.6, layer  # of N(0, 1): a half
    means = scenes.draw_batch(3, 0, extractor.MEASURED, 16).attributes.mean(0)
    assert np.abs(extractor.predict_attributes(params, batch.images).mean(0) - means).max() < 0.1


def test_augmented_images_are_near_and_depend_on_the_key():
    images = gan.prepare_images(scenes.draw_batch(3, 0, 8, 16).images, 16)
    one, same, other = (np.asarray(extractor.augment_images(images, jax.random.key(seed))) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert one.shape == images.shape and np.any(one != other)
    flat = np.full_like(images, 0.5)
    bound = 0.5 * extractor.CONTRAST + extractor.BRIGHTNESS + 5 * extractor.NOISE
    assert 0 < np.abs(np.asarray(extractor.augment_images(flat, jax.random.key(1))) - flat).max() < bound


def test_cross_entropy_is_least_at_the_truth_and_finite_at_the_ends():
    true = np.float32([[0.0, 1.0, 0.3]])
    values = [extractor.cross_entropy(np.float32([told]), true).mean() for told in ([0, 1, 0.3], [1, 0, 0.4])]
    np.testing.assert_allclose(values[0], -(0.3 * np.log(0.3) + 0.7 * np.log(0.7)) / 3, rtol=1e-4)
    assert values[0] < values[1] < np.inf


def test_attribute_weights_are_the_inverse_of_the_variance():
    attributes = np.float32([[0, 0.4], [1, 0.6]])  # of variance 1 / 4 and 1 / 100
    np.testing.assert_allclose(extractor.weigh_attributes(attributes), [2 / 26, 50 / 26], rtol=1e-4)


def test_scores_name_what_each_attribute_needs(monkeypatch):
    monkeypatch.setitem(extractor.CONFIGURATION, 'attributes', ['part', 'height'])
    told, true = np.array([[0.9, 0.2], [0.6, 0.4], [0.2, 0.6]]), np.array([[1, 0.1], [0, 0.2], [0, 0.3]])
    assert extractor.score_extractor(told, true) == {
        'part': {'mean_absolute_error': 0.3, 'accuracy': 0.6667},
        'height': {'mean_absolute_error': 0.2, 'correlation': 1.0},
    }


@pytest.mark.slow
def test_training_continues_as_if_never_interrupted(tmp_path, monkeypatch):
    monkeypatch.setattr(extractor, 'IMAGES', 64)
    whole = extractor.train_extractor(tmp_path / 'whole', 1, 2)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        _interrupt(patch, calls=2)
        extractor.train_extractor(tmp_path / 'parts', 1, 2)
    _assert_equal(whole, extractor.train_extractor(tmp_path / 'parts', 1, 2))
    _assert_equal(whole, extractor.train_extractor(tmp_path / 'parts', 1, 2))  # nothing is left to do

    rows = list(csv.DictReader((tmp_path / 'whole' / 'extractor_log.csv').read_text().splitlines()))
    assert [row['images'] for row in rows] == ['16', '32', '48', '64']
    assert all(0 < float(row['mean_absolute_error']) < 1 and float(row['loss']) > 0 for row in rows)
    scores = [(tmp_path / name / 'extractor_scores.json').read_text() for name in ('whole', 'parts')]
    assert scores[0] == scores[1] and tuple(json.loads(scores[0])) == landscape.ATTRIBUTES
