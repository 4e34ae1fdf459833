"""From a file to an observation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from mgan_jax import tasks
from mgan_jax.data import images, observations, sources
from mgan_jax.data.sources import Source
from mgan_jax.models import pggan
from mgan_jax.settings import presets
from mgan_jax.storage import prefetch

SIDE = 16
GENERATOR = pggan.build_pggan(SIDE, latent_dim=8, fmaps_base=128, fmaps_max=16)
GREY_GENERATOR = pggan.build_pggan(SIDE, latent_dim=8, fmaps_base=128, fmaps_max=16, image_channels=1)


@pytest.fixture
def source(tmp_path):
    pixels = np.random.default_rng(0).integers(40, 220, (SIDE, SIDE, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / 'photo.png')
    return Source(str(tmp_path / 'photo.png'), 'photo')


def read(source, task, generator=GENERATOR, **fields):
    return observations.observe_image(
        source, sources.read_source(source), generator, presets.preset_settings(task, 'fast') | fields
    )


def test_reconstruction_observes_the_image(source):
    case = read(source, 'reconstruct')
    expected = images.read_image(source.path, SIDE).pixels[None]
    assert case.source == source
    for array in (case.observation, case.target, case.naive):
        assert array.shape == (1, SIDE, SIDE, 3)
        assert array.dtype == jnp.float32
        np.testing.assert_array_equal(array, expected)


def test_super_resolution_observes_the_shrunk_image(source):
    case = read(source, 'super_resolve', factor=4)
    assert case.observation.shape == (1, 4, 4, 3)
    assert case.naive.shape == case.target.shape == (1, SIDE, SIDE, 3)
    assert jnp.abs(case.naive).max() <= 1


@pytest.mark.parametrize('size', [(4, 4), (40, 24)])
def test_low_resolution_image_is_the_observation(tmp_path, size):
    Image.new('RGB', size, (200, 100, 50)).save(tmp_path / 'small.png')
    case = read(Source(str(tmp_path / 'small.png'), 'small'), 'super_resolve', factor=4, low_res=True)
    assert case.observation.shape == (1, 4, 4, 3)
    assert case.naive.shape == (1, SIDE, SIDE, 3)
    assert case.target is None
    np.testing.assert_allclose(case.naive[0, 0, 0], np.array([200, 100, 50]) / 127.5 - 1, atol=1e-5)


def test_colorization_observes_the_luminance(source):
    case = read(source, 'colorize')
    assert case.observation.shape == (1, SIDE, SIDE, 1)
    assert case.naive.shape == case.target.shape == (1, SIDE, SIDE, 3)
    np.testing.assert_allclose(case.observation, tasks.gray(case.target))


def test_grey_image_has_no_colours_to_compare_with(tmp_path):
    Image.new('L', (SIDE, SIDE), 90).save(tmp_path / 'grey.png')
    grey = Source(str(tmp_path / 'grey.png'), 'grey')
    assert read(grey, 'colorize').target is None
    assert read(grey, 'reconstruct').target is not None


@pytest.mark.parametrize('task', ['inpaint', 'denoise'])
def test_masked_image(source, task):
    case = read(source, task, mask='random:0.25')
    hole = np.asarray(case.observation.hole)[..., 0] > 0
    assert hole.mean() == 0.25
    np.testing.assert_array_equal(case.observation.pixels[~hole], case.target[~hole])
    given = np.asarray(case.observation.pixels[hole])
    assert set(given.flat) == ({0.0} if task == 'inpaint' else {-1.0, 1.0})
    assert len({tuple(pixel) for pixel in given}) == (1 if task == 'inpaint' else 8)


@pytest.mark.parametrize('task', ['inpaint', 'denoise'])
def test_damaged_image_is_taken_as_it_is(source, task):
    case = read(source, task, damaged=True, mask='center')
    assert case.target is None
    known = np.asarray(case.observation.hole)[..., 0] == 0
    pixels = images.read_image(source.path).pixels[None]
    np.testing.assert_array_equal(case.observation.pixels[known], pixels[known])
    if task == 'denoise':
        np.testing.assert_array_equal(case.observation.pixels, pixels)


@pytest.mark.parametrize('task', ['reconstruct', 'inpaint', 'denoise', 'super_resolve'])
def test_grey_generator(source, task):
    fields = {'factor': 4} if task == 'super_resolve' else {}
    case = read(source, task, GREY_GENERATOR, **fields)
    assert tasks.pixels(case.observation).shape[-1] == case.naive.shape[-1] == case.target.shape[-1] == 1


def test_number_depends_on_the_pixels_alone(source, tmp_path):
    with Image.open(source.path) as image:
        image.save(tmp_path / 'other.bmp')
        image.rotate(90).save(tmp_path / 'turned.png')
    number = read(source, 'reconstruct').number
    assert read(Source(str(tmp_path / 'other.bmp'), 'other'), 'reconstruct').number == number
    assert read(Source(str(tmp_path / 'turned.png'), 'turned'), 'reconstruct').number != number


def test_random_masks_and_noise_differ_between_images_and_seeds(source, tmp_path):
    with Image.open(source.path) as image:
        image.rotate(90).save(tmp_path / 'turned.png')
    turned = Source(str(tmp_path / 'turned.png'), 'turned')

    def hole(source, **fields):
        return np.asarray(read(source, 'denoise', **fields).observation.hole)

    np.testing.assert_array_equal(hole(source), hole(source))
    assert (hole(source) != hole(turned)).any()
    assert (hole(source) != hole(source, seed=1)).any()
    hole(source, seed=2**32 - 1)


@pytest.mark.parametrize('task', presets.TASKS)
def test_an_unreadable_file_raises(tmp_path, task):
    (tmp_path / 'photo.png').write_text('no image')
    with pytest.raises(ValueError, match='looks like a text file'):
        read(Source(str(tmp_path / 'photo.png'), 'photo'), task)


def test_threads_make_the_cases_that_one_thread_makes(tmp_path):
    found = []
    for seed in range(6):
        Image.fromarray(np.random.default_rng(seed).integers(0, 256, (24, 20, 3), np.uint8)).save(tmp_path / 'a.png')
        found.append(Source(str((tmp_path / 'a.png').rename(tmp_path / f'{seed}.png')), str(seed)))
    items = [(source, task) for source in found for task in presets.TASKS]
    expected = [read(*item, factor=4) if item[1] == 'super_resolve' else read(*item) for item in items]
    outcomes = prefetch.prefetch(
        lambda item: read(*item, factor=4) if item[1] == 'super_resolve' else read(*item), items, workers=4, depth=8
    )
    for outcome, case in zip(outcomes, expected, strict=True):
        assert outcome.error is None
        assert outcome.value[0] == case[0] and outcome.value.number == case.number
        for found_array, array in zip(jax.tree.leaves(outcome.value[1:4]), jax.tree.leaves(case[1:4]), strict=True):
            assert isinstance(found_array, np.ndarray)
            np.testing.assert_array_equal(found_array, array)


def test_the_host_degrades_whatever_the_device_of_the_step(source, monkeypatch):
    used = []

    def degrade(image):
        used.append((image + jnp.float32(1)).devices())
        return image

    monkeypatch.setattr(observations, 'make_task', lambda *arguments: tasks.custom(degrade))
    host, device = jax.local_devices(backend='cpu')
    with jax.default_device(device):
        read(source, 'reconstruct')
    assert used == [{host}]


def test_unknown_task():
    with pytest.raises(ValueError, match="task 'restore' is given; reconstruct, super_resolve"):
        observations.make_task({'task': 'restore'})
