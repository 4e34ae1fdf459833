"""From an image file to what an inversion starts from: the observation and, where it is known, the target."""

import contextlib
import zlib
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from mgan_jax import tasks
from mgan_jax.data import images, masks
from mgan_jax.data.sources import Source
from mgan_jax.models.generator import Generator

NO_HOLE = np.zeros((1, 1, 1), np.float32)


class ObservedImage(NamedTuple):
    """One image to restore, as a batch of one: every array is NumPy's and has the axis B = 1 first.

    naive [1 H W C]: the input without any restoration at the target's size, to compare with. target: None if unknown.
    number: of the image's content, for keys that depend on neither its name nor its place in the list.
    """

    source: Source
    observation: Any
    naive: np.ndarray
    target: np.ndarray | None
    number: int


def make_task(settings: dict, mask: np.ndarray = NO_HOLE, noise: np.ndarray | None = None) -> tasks.Task:
    """The task that a run's settings name; for inpainting and denoising with the mask [H W 1] of one image."""
    match settings['task']:
        case 'reconstruct' | 'edit':
            return tasks.reconstruct()
        case 'super_resolve':
            return tasks.super_resolve(settings['factor'], settings['method'])
        case 'colorize':
            return tasks.colorize()
        case 'inpaint':
            return tasks.inpaint(mask, settings['composite'])
        case 'denoise':
            return tasks.denoise(mask, noise, settings['composite'])
    raise ValueError(
        f"task '{settings['task']}' is given; reconstruct, super_resolve, colorize, inpaint, denoise or edit."
    )


def observe_image(source: Source, content: bytes, generator: Generator, settings: dict) -> ObservedImage:
    """Decodes the content of an image file and degrades the image as the task says, in any number of threads.

    The arithmetic is done by the host, so that nothing waits before or behind a step on an accelerator, and an image's case
    is the same whatever the accelerator. ValueError with one sentence if the content cannot be used.
    """
    with on_host():
        return _read(source, content, generator, settings)


def on_host() -> contextlib.AbstractContextManager:
    """For this thread. JAX has a CPU beside any accelerator, unless JAX_PLATFORMS leaves it out."""
    try:
        return jax.default_device(jax.local_devices(backend='cpu')[0])
    except RuntimeError:
        return contextlib.nullcontext()


def _read(source: Source, content: bytes, generator: Generator, settings: dict) -> ObservedImage:
    low_res = settings.get('low_res', False)
    height, width = generator.image_size
    shrunk = settings['factor'] if low_res else 1
    photo = images.decode_photo(content, source.title, (height // shrunk, width // shrunk))
    number = zlib.crc32(photo.pixels.tobytes())
    pixels = photo.pixels[None]  # [1 H W 3]
    if generator.image_channels == 1:
        pixels = np.asarray(tasks.gray(jnp.asarray(pixels)))
    if low_res:
        return ObservedImage(source, pixels, _enlarged(pixels, generator.image_size), None, number)
    observation = jax.device_get(_task_of(number, pixels, settings).degrade(pixels))
    unknown = settings.get('damaged', False) or (settings['task'] == 'colorize' and photo.grey)
    target = None if unknown else np.clip(pixels, -1, 1)
    return ObservedImage(source, observation, _naive(observation, generator), target, number)


def _task_of(number: int, pixels: np.ndarray, settings: dict) -> tasks.Task:
    if 'mask' not in settings:
        return make_task(settings)
    seed = settings['seed'] + number
    height, width = pixels.shape[1:3]
    mask = masks.parse_mask(settings['mask'], (height, width), seed)
    noise = None
    if settings['task'] == 'denoise' and not settings['damaged']:  # salt and pepper, each channel by itself
        noise = np.random.default_rng(seed).choice(np.array([-1, 1], np.float32), pixels.shape[1:])
    return make_task(settings, mask, noise)


def _naive(observation: Any, generator: Generator) -> np.ndarray:
    pixels = _enlarged(tasks.pixels(observation), generator.image_size)
    return np.broadcast_to(pixels, (*pixels.shape[:3], generator.image_channels))


def _enlarged(pixels: Any, size: tuple[int, int]) -> np.ndarray:
    """Bicubic enlargement, [1 h w C] -> [1 H W C]."""
    if pixels.shape[1:3] == size:
        return pixels
    return np.clip(np.asarray(jax.image.resize(pixels, (1, *size, pixels.shape[-1]), 'cubic')), -1, 1)
