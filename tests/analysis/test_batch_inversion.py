"""Images inverted in memory are those that a run writes into files."""

import numpy as np
import pytest
from PIL import Image

from mgan_jax.analysis import batch_inversion
from mgan_jax.demo import scenes
from mgan_jax.run import jobs
from mgan_jax.settings import presets
from mgan_jax.settings.fields import flatten_settings, parse_settings

pytestmark = pytest.mark.usefixtures('quick_compilation')
SMALL = {'steps': 4, 'num_codes': 2, 'layer': 2, 'batch_size': 2, 'history_every': 0, 'contributions': False}


@pytest.fixture(scope='module')
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp('images')
    for number, pixels in enumerate(scenes.draw_batch(5, 0, 3).images):
        Image.fromarray(pixels).save(folder / f'{number}.png')
    return folder


def prepare_job(images, **changes):
    settings = presets.make_settings('inpaint', 'demo', **SMALL | {'images': str(images), 'out': 'unused'} | changes)
    return jobs.prepare_job(settings)


def test_the_files_of_a_run_are_the_same(images, tmp_path):
    job = prepare_job(images)
    inverted = batch_inversion.invert_images(job)
    rows = jobs.run_job(parse_settings(flatten_settings(job.settings) | {'out': str(tmp_path)}))
    assert [image.source.name for image in inverted.observed] == [row['name'] for row in rows]
    np.testing.assert_allclose(inverted.loss, [row['loss'] for row in rows], rtol=1e-6)
    for row, alpha in zip(rows, inverted.codes.alpha, strict=True):
        np.testing.assert_array_equal(np.load(tmp_path / row['name'] / 'latents.npz')['alpha'], alpha)
    assert inverted.targets.shape == inverted.result.shape == inverted.inversion.shape == (3, 64, 64, 3)
    assert np.abs(inverted.result).max() <= 1


def test_iterates_are_those_of_the_run(images):
    job = prepare_job(images)
    batches = dict(batch_inversion.invert_batch(job, job.sources[:2], [1, 2, 9]))
    assert list(batches) == [1, 2, 4]
    whole = batch_inversion.invert_images(job, job.sources[:2])
    np.testing.assert_array_equal(batches[4].inversion, whole.inversion)
    assert (batches[4].loss <= batches[1].loss).all() and (batches[4].loss < batches[1].loss).any()


def test_the_iterate_is_the_one_that_the_settings_keep(images):
    after_one_step = []
    for keep in ('best', 'last'):
        job = prepare_job(images, keep=keep)
        after_one_step.append(next(batch_inversion.invert_batch(job, job.sources[:2], [1]))[1])
    best, last = after_one_step
    np.testing.assert_array_equal(best.loss, last.loss)  # the loss of the initial codes, the best so far
    np.testing.assert_array_equal(best.codes.alpha, np.float32(1 / 2))  # the initial alpha
    assert (last.codes.alpha != best.codes.alpha).any()


def test_an_image_without_a_target_is_an_error(images):
    inverted = batch_inversion.invert_images(prepare_job(images, damaged=True))
    with pytest.raises(ValueError, match="target of '0' is not known"):
        inverted.targets  # noqa: B018
