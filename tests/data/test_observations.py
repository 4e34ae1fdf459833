"""Observations, inputs and targets of all tasks, from image files."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from mgan_jax import tasks
from mgan_jax.data import images, masks, observations, sources
from mgan_jax.data.sources import Source
from mgan_jax.settings import fields
from mgan_jax.settings.fields import Colorize, Denoise, Edit, Inpaint, Reconstruct, SuperResolve
from mgan_jax.storage import prefetch

SIDE = 16
ALL_TASKS = [Reconstruct(), SuperResolve(factor=4), Colorize(), Inpaint(), Denoise(), Edit()]


@pytest.fixture
def source(tmp_path):
    pixels = np.random.default_rng(0).integers(40, 220, (SIDE, SIDE, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / 'photo.png')
    return Source(str(tmp_path / 'photo.png'), 'photo')


def observe(source, task, channels=3, seed=0):
    content = sources.read_source(source)
    return observations.observe_image(source, content, task=task, image_size=(SIDE, SIDE), channels=channels, seed=seed)


def test_all_tasks_are_tested():
    assert [task.name for task in ALL_TASKS] == list(fields.TASKS)


@pytest.mark.parametrize('task', [Reconstruct(), Edit()])
def test_reconstruction_observes_the_image(source, task):
    observed = observe(source, task)
    expected = images.read_image(source.path, SIDE).pixels[None]
    assert observed.source == source
    for array in (observed.observation, observed.target, observed.input_image):
        assert array.shape == (1, SIDE, SIDE, 3)
        assert array.dtype == jnp.float32
        np.testing.assert_array_equal(array, expected)


def test_super_resolution_observes_the_shrunk_image(source):
    observed = observe(source, SuperResolve(factor=4))
    assert observed.observation.shape == (1, 4, 4, 3)
    assert observed.input_image.shape == observed.target.shape == (1, SIDE, SIDE, 3)
    assert jnp.abs(observed.input_image).max() <= 1


@pytest.mark.parametrize('size', [(4, 4), (40, 24)])
def test_a_low_resolution_image_is_the_observation(tmp_path, size):
    Image.new('RGB', size, (200, 100, 50)).save(tmp_path / 'small.png')
    observed = observe(Source(str(tmp_path / 'small.png'), 'small'), SuperResolve(factor=4, low_res=True))
    assert observed.observation.shape == (1, 4, 4, 3)
    assert observed.input_image.shape == (1, SIDE, SIDE, 3)
    assert observed.target is None
    np.testing.assert_allclose(observed.input_image[0, 0, 0], np.array([200, 100, 50]) / 127.5 - 1, atol=1e-5)


def test_colourisation_observes_the_luminance(source):
    observed = observe(source, Colorize())
    assert observed.observation.shape == (1, SIDE, SIDE, 1)
    assert observed.input_image.shape == observed.target.shape == (1, SIDE, SIDE, 3)
    np.testing.assert_allclose(observed.observation, tasks.gray(observed.target))


def test_a_grey_image_is_no_target_of_colourisation(tmp_path):
    Image.new('L', (SIDE, SIDE), 90).save(tmp_path / 'grey.png')
    grey = Source(str(tmp_path / 'grey.png'), 'grey')
    assert observe(grey, Colorize()).target is None
    assert observe(grey, Reconstruct()).target is not None


@pytest.mark.parametrize('task_type', [Inpaint, Denoise])
def test_masked_pixels_are_black_or_noise(source, task_type):
    observed = observe(source, task_type(mask='random:0.25'))
    hole = np.asarray(observed.observation.hole)[..., 0] > 0
    assert hole.mean() == 0.25
    np.testing.assert_array_equal(observed.observation.pixels[~hole], observed.target[~hole])
    masked = np.asarray(observed.observation.pixels[hole])
    assert set(masked.flat) == ({0.0} if task_type is Inpaint else {-1.0, 1.0})
    assert len({tuple(pixel) for pixel in masked}) == (1 if task_type is Inpaint else 8)


@pytest.mark.parametrize('task_type', [Inpaint, Denoise])
def test_a_damaged_image_is_observed_unchanged(source, task_type):
    observed = observe(source, task_type(damaged=True, mask='center'))
    assert observed.target is None
    known = np.asarray(observed.observation.hole)[..., 0] == 0
    pixels = images.read_image(source.path).pixels[None]
    np.testing.assert_array_equal(observed.observation.pixels[known], pixels[known])
    if task_type is Denoise:
        np.testing.assert_array_equal(observed.observation.pixels, pixels)


@pytest.mark.parametrize('task', [Reconstruct(), Inpaint(), Denoise(), SuperResolve(factor=4)])
def test_grey_images_have_one_channel(source, task):
    observed = observe(source, task, channels=1)
    arrays = (tasks.pixels(observed.observation), observed.input_image, observed.target)
    assert [array.shape[-1] for array in arrays] == [1, 1, 1]


def test_the_checksum_depends_only_on_the_pixels(source, tmp_path):
    with Image.open(source.path) as image:
        image.save(tmp_path / 'other.bmp')
        image.rotate(90).save(tmp_path / 'turned.png')
    checksum = observe(source, Reconstruct()).checksum
    assert observe(Source(str(tmp_path / 'other.bmp'), 'other'), Reconstruct()).checksum == checksum
    assert observe(Source(str(tmp_path / 'turned.png'), 'turned'), Reconstruct()).checksum != checksum


def test_random_masks_differ_between_images_and_seeds(source, tmp_path):
    with Image.open(source.path) as image:
        image.rotate(90).save(tmp_path / 'turned.png')
    turned = Source(str(tmp_path / 'turned.png'), 'turned')

    def hole(source, seed=0):
        return np.asarray(observe(source, Denoise(), seed=seed).observation.hole)

    np.testing.assert_array_equal(hole(source), hole(source))
    assert (hole(source) != hole(turned)).any()
    assert (hole(source) != hole(source, seed=1)).any()
    hole(source, seed=2**32 - 1)


@pytest.mark.parametrize('task', ALL_TASKS)
def test_an_unreadable_file_is_refused(tmp_path, task):
    (tmp_path / 'photo.png').write_text('no image')
    with pytest.raises(ValueError, match='looks like a text file'):
        observe(Source(str(tmp_path / 'photo.png'), 'photo'), task)


def test_threads_observe_what_one_thread_observes(tmp_path):
    found = []
    for seed in range(6):
        Image.fromarray(np.random.default_rng(seed).integers(0, 256, (24, 20, 3), np.uint8)).save(tmp_path / 'a.png')
        found.append(Source(str((tmp_path / 'a.png').rename(tmp_path / f'{seed}.png')), str(seed)))
    items = [(source, task) for source in found for task in ALL_TASKS]
    in_one_thread = [observe(*item) for item in items]
    in_threads = prefetch.prefetch(lambda item: observe(*item), items, workers=4, depth=8)
    for read, expected in zip(in_threads, in_one_thread, strict=True):
        assert read.error is None
        assert (read.value.source, read.value.checksum) == (expected.source, expected.checksum)
        for array, expected_array in zip(jax.tree.leaves(read.value[1:4]), jax.tree.leaves(expected[1:4]), strict=True):
            assert isinstance(array, np.ndarray)
            np.testing.assert_array_equal(array, expected_array)


def test_the_host_degrades_images_for_any_device(source, monkeypatch):
    used = []

    def degrade(image):
        used.append((image + jnp.float32(1)).devices())
        return image

    monkeypatch.setattr(observations, 'make_task', lambda *arguments: tasks.custom(degrade))
    host, device = jax.local_devices(backend='cpu')
    with jax.default_device(device):
        observe(source, Reconstruct())
    assert used == [{host}]


def test_the_mask_of_a_task():
    expected = masks.parse_mask('random:0.5', (8, 8), 3)
    for task in (Inpaint(mask='random:0.5'), Denoise(mask='random:0.5')):
        np.testing.assert_array_equal(observations.task_mask(task, (8, 8), 3), expected)
    for task in (Reconstruct(), SuperResolve(), Colorize(), Edit()):
        assert observations.task_mask(task, (8, 8), 3) is observations.NO_HOLE
    with pytest.raises(ValueError, match='neither a known form nor a file'):
        observations.task_mask(Inpaint(mask='middle'), (8, 8), 3)
