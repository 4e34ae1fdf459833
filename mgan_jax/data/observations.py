"""Observations: decodes an image file, degrades the image as the task says, and keeps the target if it is known."""

import contextlib
import zlib
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from mgan_jax import tasks
from mgan_jax.data import images, masks
from mgan_jax.data.sources import Source
from mgan_jax.settings import fields

NO_HOLE = np.zeros((1, 1, 1), np.float32)


class ObservedImage(NamedTuple):
    """An image to restore, as a batch of one: NumPy arrays with the axis B = 1 first, in [-1, 1].

    source: the image file.
    observation: an array [1 h w C], or `tasks.Masked`.
    input_image [1 H W C]: the observation at the size and with the channels of the target. Metrics compare it with the
        result; an encoder predicts codes from it.
    target [1 H W C]: the image before its degradation; None if it is unknown.
    checksum: CRC-32 of the decoded pixels. Random keys derive from it, so that they depend on neither the name of the image
        nor its place in the list.
    """

    source: Source
    observation: Any
    input_image: np.ndarray
    target: np.ndarray | None
    checksum: int


def make_task(task: fields.Task, mask: np.ndarray = NO_HOLE, noise: np.ndarray | None = None) -> tasks.Task:
    """Returns the functions of a task.

    mask: [H W 1] of one image, for inpainting and denoising. noise: [H W C] in [-1, 1], which denoising puts at the masked
    pixels; None if the images are corrupted already.
    """
    match task:
        case fields.Reconstruct() | fields.Edit():
            return tasks.reconstruct()
        case fields.SuperResolve():
            return tasks.super_resolve(task.factor, task.method)
        case fields.Colorize():
            return tasks.colorize()
        case fields.Inpaint():
            return tasks.inpaint(mask, task.composite)
        case fields.Denoise():
            return tasks.denoise(mask, noise, task.composite)


def task_mask(task: fields.Task, size: tuple[int, int], seed: int) -> np.ndarray:
    """Returns the mask of a task for an image of `size` (H, W): [H W 1]; NO_HOLE for tasks without masks.

    Raises ValueError as `masks.parse_mask` does.
    """
    if isinstance(task, fields.Inpaint | fields.Denoise):
        return masks.parse_mask(task.mask, size, seed)
    return NO_HOLE


def observe_image(
    source: Source, content: bytes, *, task: fields.Task, image_size: tuple[int, int], channels: int, seed: int
) -> ObservedImage:
    """Decodes the content of an image file and degrades the image as the task says. Thread-safe.

    All arithmetic runs on the host. It never waits for a step on an accelerator, and observations are the same on all
    accelerators.

    Args:
        source: the image file, for error messages.
        content: of the image file.
        task: its masks and noise are random for each image, with a seed from `seed` and the checksum of the image.
        image_size: (H, W) of the target in pixels.
        channels: 3, or 1 for a generator of grey images.
        seed: of the run.

    Raises:
        ValueError: the content cannot be decoded, or the task does not apply to the image; one sentence.
    """
    with on_host():
        if isinstance(task, fields.SuperResolve) and task.low_res:
            height, width = image_size
            photo, checksum = _decode(source, content, (height // task.factor, width // task.factor))
            pixels = _to_channels(photo.pixels, channels)
            return ObservedImage(source, pixels, _to_input_image(pixels, image_size, channels), None, checksum)
        photo, checksum = _decode(source, content, image_size)
        pixels = _to_channels(photo.pixels, channels)
        observation = jax.device_get(_image_task(task, pixels, seed + checksum).degrade(pixels))
        target = np.clip(pixels, -1, 1) if _has_target(task, photo) else None
        input_image = _to_input_image(tasks.pixels(observation), image_size, channels)
        return ObservedImage(source, observation, input_image, target, checksum)


def on_host() -> contextlib.AbstractContextManager:
    """Returns a context in which JAX computes on the CPU in this thread, or on the default device without a CPU backend.

    JAX has a CPU backend beside any accelerator unless JAX_PLATFORMS excludes it.
    """
    try:
        return jax.default_device(jax.local_devices(backend='cpu')[0])
    except RuntimeError:
        return contextlib.nullcontext()


def _decode(source: Source, content: bytes, size: tuple[int, int]) -> tuple[images.Photo, int]:
    """Returns the image at `size` and its checksum."""
    photo = images.decode_photo(content, source.title, size)
    return photo, zlib.crc32(photo.pixels.tobytes())


def _to_channels(pixels: np.ndarray, channels: int) -> np.ndarray:
    """[H W 3] -> [1 H W C]."""
    if channels == 1:
        return np.asarray(tasks.gray(jnp.asarray(pixels[None])))
    return pixels[None]


def _image_task(task: fields.Task, pixels: np.ndarray, seed: int) -> tasks.Task:
    """Returns the task with the mask and the noise of one image."""
    height, width = pixels.shape[1:3]
    mask, noise = task_mask(task, (height, width), seed), None
    if isinstance(task, fields.Denoise) and not task.damaged:  # salt and pepper, independent in each channel
        noise = np.random.default_rng(seed).choice(np.array([-1, 1], np.float32), pixels.shape[1:])
    return make_task(task, mask, noise)


def _has_target(task: fields.Task, photo: images.Photo) -> bool:
    """Whether the given image is undamaged, and coloured where the task is colourisation."""
    if isinstance(task, fields.Inpaint | fields.Denoise):
        return not task.damaged
    return not (isinstance(task, fields.Colorize) and photo.grey)


def _to_input_image(pixels: Any, size: tuple[int, int], channels: int) -> np.ndarray:
    """Enlarges [1 h w c] to [1 H W C] with a bicubic filter; repeats a single channel."""
    if pixels.shape[1:3] != size:
        pixels = np.clip(np.asarray(jax.image.resize(pixels, (1, *size, pixels.shape[-1]), 'cubic')), -1, 1)
    return np.broadcast_to(pixels, (*pixels.shape[:3], channels))
