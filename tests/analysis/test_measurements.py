"""What was measured is known the next time, and only the rest is done."""

import numpy as np
import pytest

from mgan_jax import metrics
from mgan_jax.analysis import batches, measurements
from mgan_jax.engine import networks
from mgan_jax.metrics import colour
from mgan_jax.run import jobs
from mgan_jax.settings import presets
from mgan_jax.storage import stores
from tests import small_runs

pytestmark = pytest.mark.usefixtures('quick_compilation')


def job_of(folder, **fields):
    settings = (
        presets.preset_settings('colorize', 'fast')
        | small_runs.CODES
        | {'images': str(folder / 'photos'), 'out': 'unused'}
    )
    names = {name: str(folder / name) for name in ('generator', 'extractor')}
    look = {'extractor_layer': 'relu2_1', 'extractor_size': small_runs.SIDE}
    return jobs.prepare_job(settings | names | look | fields)


@pytest.fixture(scope='module')
def job(folder):
    return job_of(folder)


@pytest.fixture
def store(tmp_path):
    with stores.open_store(str(tmp_path / 'out')) as store:
        yield store


def measure(store, job, count, pictured=False, look=None):
    """-> rows, and which images were inverted for them."""
    done, before = [], written(store)
    rows = measurements.measure_inversions(store, job, job.sources[:count], look, pictured, done.append)
    assert sum(done) == count
    return rows, len(written(store)) - len(before)


def written(store):
    names = store.names(measurements.FOLDER)
    return [f'{name}/{file}' for name in names for file in store.names(f'{measurements.FOLDER}/{name}')]


def test_rows_are_measures_of_the_results(folder, store, job):
    look = measurements.perceptual_distance(job.settings, job.generator.image_size)
    rows, _ = measure(store, job, 3, look=look)
    inverted = batches.invert_images(job, job.sources[:3])
    assert [row['image'] for row in rows] == ['photo0', 'photo1', 'photo2']
    for name, values in (('psnr', metrics.psnr), ('auc', colour.auc_ab)):
        np.testing.assert_allclose([row[name] for row in rows], values(inverted.result, inverted.targets), atol=1e-3)
    np.testing.assert_allclose([row['loss'] for row in rows], inverted.loss, rtol=1e-5)
    perception = networks.load_perception(job.settings, job.generator.image_size)
    expected = perception.distance(perception.weights, inverted.result, inverted.targets)
    np.testing.assert_allclose([row['distance'] for row in rows], expected, rtol=1e-4)


def test_only_what_is_missing_is_done(folder, store, job):
    rows, files = measure(store, job, 2)
    assert files == 2
    assert measure(store, job, 2) == (rows, 0)
    more, files = measure(store, job, 3)
    assert files == 1 and more[:2] == rows
    assert measure(store, job_of(folder, batch_size=4), 3) == (more, 0)  # which is not part of a result
    again, files = measure(store, job_of(folder, seed=1), 2)
    assert files == 2 and [row['loss'] for row in again] != [row['loss'] for row in rows]


def test_images_are_known_by_their_content(folder, store, tmp_path, job):
    measure(store, job, 2)
    (tmp_path / 'others').mkdir()
    (tmp_path / 'others' / 'another name.png').write_bytes((folder / 'photos' / 'photo1.png').read_bytes())
    small_runs.photo(17).save(tmp_path / 'others' / 'photo0.png')
    rows, files = measure(store, job_of(folder, images=str(tmp_path / 'others')), 2)
    assert files == 1 and [row['image'] for row in rows] == ['another name', 'photo0']


def test_inversions_and_codes_are_kept_where_they_are_asked_for(folder, store, job):
    measure(store, job, 2)
    _, files = measure(store, job, 2, pictured=True)
    assert files == 2
    inverted = batches.invert_images(job, job.sources[:2])
    kept = measurements.kept_inversion(store, job, job.sources[1])
    np.testing.assert_array_equal(kept.inversion, inverted.inversion[1])
    np.testing.assert_array_equal(kept.codes.latents, inverted.codes.latents[1])
    np.testing.assert_array_equal(kept.codes.alpha, inverted.codes.alpha[1])
    with pytest.raises(ValueError, match='npz is damaged; remove it and run the command again'):
        measurements.kept_inversion(store, job, job.sources[2])


def test_what_is_not_finite_is_told_and_not_kept(folder, store):
    rows, files = measure(store, job_of(folder, generator=str(folder / 'broken')), 2)
    assert files == 0
    assert all('not finite' in row['failed'] and 'psnr' not in row for row in rows)


def test_damage_is_told(store, job):
    measure(store, job, 1)
    (name,) = written(store)
    store.write(f'{measurements.FOLDER}/{name}', b'{')
    with pytest.raises(ValueError, match='json is damaged; remove it'):
        measure(store, job, 1)


def test_without_a_perceptual_loss_there_is_no_distance(folder):
    settings = job_of(folder, perceptual=0.0).settings
    assert measurements.perceptual_distance(settings, (small_runs.SIDE, small_runs.SIDE)) is None
