"""Images inverted in memory are those that the pool restores into files."""

import numpy as np
import pytest
from PIL import Image

from mgan_jax.analysis import batches
from mgan_jax.demo import scenes
from mgan_jax.run import jobs
from mgan_jax.settings import presets

pytestmark = pytest.mark.usefixtures('quick_compilation')
SMALL = {'steps': 4, 'num_codes': 2, 'layer': 2, 'batch_size': 2, 'history_every': 0, 'contributions': False}


@pytest.fixture(scope='module')
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp('images')
    for number, pixels in enumerate(scenes.draw_batch(5, 0, 3).images):
        Image.fromarray(pixels).save(folder / f'{number}.png')
    return folder


def job_of(images, out='', **fields):
    settings = presets.preset_settings('inpaint', 'demo') | SMALL | {'images': str(images), 'out': str(out or 'unused')}
    return jobs.prepare_job(settings | fields)


def test_the_files_of_a_run_are_the_same(images, tmp_path):
    job = job_of(images)
    inverted = batches.invert_images(job)
    rows = jobs.run_job(job.settings | {'out': str(tmp_path)})
    assert [case.source.name for case in inverted.cases] == [row['name'] for row in rows]
    np.testing.assert_allclose(inverted.loss, [row['loss'] for row in rows], rtol=1e-6)
    for row, alpha in zip(rows, inverted.codes.alpha, strict=True):
        np.testing.assert_array_equal(np.load(tmp_path / row['name'] / 'latents.npz')['alpha'], alpha)
    assert inverted.targets.shape == inverted.result.shape == inverted.inversion.shape == (3, 64, 64, 3)
    assert np.abs(inverted.result).max() <= 1


def test_iterates_are_those_of_the_run(images):
    job = job_of(images)
    found = dict(batches.invert_batch(job, job.sources[:2], [1, 2, 9]))
    assert list(found) == [1, 2, 4]
    whole = batches.invert_images(job, job.sources[:2])
    np.testing.assert_array_equal(found[4].inversion, whole.inversion)
    assert (found[4].loss <= found[1].loss).all() and (found[4].loss < found[1].loss).any()


def test_the_iterate_is_the_one_to_be_kept(images):
    firsts = []
    for keep in ('best', 'last'):
        job = job_of(images, keep=keep)
        firsts.append(next(batches.invert_batch(job, job.sources[:2], [1]))[1])
    best, last = firsts
    np.testing.assert_array_equal(best.loss, last.loss)  # of the codes before the first step, the best so far
    np.testing.assert_array_equal(best.codes.alpha, np.float32(1 / 2))  # which these are
    assert (last.codes.alpha != best.codes.alpha).any()


def test_a_target_that_is_not_known_is_asked_for(images):
    inverted = batches.invert_images(job_of(images, damaged=True))
    with pytest.raises(ValueError, match="target of '0' is not known"):
        inverted.targets  # noqa: B018
