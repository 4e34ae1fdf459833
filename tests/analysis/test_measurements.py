"""Measures are stored, and a later run inverts only the images that it lacks."""

import numpy as np
import pytest

from mgan_jax import metrics
from mgan_jax.analysis import batch_inversion, measurements
from mgan_jax.metrics import colour
from mgan_jax.run import jobs
from mgan_jax.settings import presets
from mgan_jax.storage import stores
from tests import small_runs

pytestmark = pytest.mark.usefixtures('quick_compilation')


def prepare_job(folder, **changes):
    networks = {name: str(folder / name) for name in ('generator', 'extractor')}
    perception = {'extractor_layer': 'relu2_1', 'extractor_size': small_runs.SIDE}
    flat = small_runs.CODES | {'images': str(folder / 'photos'), 'out': 'unused'} | networks | perception | changes
    return jobs.prepare_job(presets.make_settings('colorize', 'fast', **flat))


@pytest.fixture(scope='module')
def job(folder):
    return prepare_job(folder)


@pytest.fixture
def store(tmp_path):
    with stores.open_store(str(tmp_path / 'out')) as store:
        yield store


def measure(store, job, count, pictured=False, distance=None):
    """Returns (rows, number of files that were added to the store)."""
    measured, before = [], list_stored(store)
    rows = measurements.measure_inversions(store, job, job.sources[:count], distance, pictured, measured.append)
    assert sum(measured) == count
    return rows, len(list_stored(store)) - len(before)


def list_stored(store):
    names = store.names(measurements.FOLDER)
    return [f'{name}/{file}' for name in names for file in store.names(f'{measurements.FOLDER}/{name}')]


@pytest.mark.slow
def test_rows_are_measures_of_the_results(folder, store, job):
    perception = jobs.load_networks(job.settings).perception
    distance = measurements.make_distance(perception, small_runs.SIDE)
    rows, _ = measure(store, job, 3, distance=distance)
    inverted = batch_inversion.invert_images(job, job.sources[:3])
    assert [row['image'] for row in rows] == ['photo0', 'photo1', 'photo2']
    for name, values in (('psnr', metrics.psnr), ('auc', colour.auc_ab)):
        np.testing.assert_allclose([row[name] for row in rows], values(inverted.result, inverted.targets), atol=1e-3)
    np.testing.assert_allclose([row['loss'] for row in rows], inverted.loss, rtol=1e-5)
    expected = perception.distance(perception.weights, inverted.result, inverted.targets)
    np.testing.assert_allclose([row['distance'] for row in rows], expected, rtol=1e-4)


@pytest.mark.slow
def test_only_missing_images_are_inverted(folder, store, job):
    rows, files = measure(store, job, 2)
    assert files == 2
    assert measure(store, job, 2) == (rows, 0)
    more, files = measure(store, job, 3)
    assert files == 1 and more[:2] == rows
    assert measure(store, prepare_job(folder, batch_size=4), 3) == (more, 0)  # batch_size does not change results
    again, files = measure(store, prepare_job(folder, seed=1), 2)
    assert files == 2 and [row['loss'] for row in again] != [row['loss'] for row in rows]


def test_images_are_known_by_their_content(folder, store, tmp_path, job):
    measure(store, job, 2)
    (tmp_path / 'others').mkdir()
    (tmp_path / 'others' / 'another name.png').write_bytes((folder / 'photos' / 'photo1.png').read_bytes())
    small_runs.photo(17).save(tmp_path / 'others' / 'photo0.png')
    rows, files = measure(store, prepare_job(folder, images=str(tmp_path / 'others')), 2)
    assert files == 1 and [row['image'] for row in rows] == ['another name', 'photo0']


def test_inversions_and_codes_of_pictured_images_are_stored(folder, store, job):
    measure(store, job, 2)
    _, files = measure(store, job, 2, pictured=True)
    assert files == 2
    inverted = batch_inversion.invert_images(job, job.sources[:2])
    stored = measurements.load_inversion(store, job, job.sources[1])
    np.testing.assert_array_equal(stored.inversion, inverted.inversion[1])
    np.testing.assert_array_equal(stored.codes.latents, inverted.codes.latents[1])
    np.testing.assert_array_equal(stored.codes.alpha, inverted.codes.alpha[1])
    with pytest.raises(ValueError, match='npz is damaged; remove it and run the command again'):
        measurements.load_inversion(store, job, job.sources[2])


def test_a_result_that_is_not_finite_has_a_reason_and_is_not_stored(folder, store):
    rows, files = measure(store, prepare_job(folder, generator=str(folder / 'broken')), 2)
    assert files == 0
    assert all('not finite' in row['failed'] and 'psnr' not in row for row in rows)


def test_damaged_measures_are_named(store, job):
    measure(store, job, 1)
    (name,) = list_stored(store)
    store.write(f'{measurements.FOLDER}/{name}', b'{')
    with pytest.raises(ValueError, match='json is damaged; remove it'):
        measure(store, job, 1)


def test_without_a_perceptual_loss_there_is_no_distance(folder):
    perception = jobs.load_networks(prepare_job(folder, perceptual=0.0).settings).perception
    assert measurements.make_distance(perception, small_runs.SIDE) is None
