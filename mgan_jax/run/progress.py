"""Figures of a running job: rates and remaining time from two snapshots of it, and memory."""

import contextlib
import os
from pathlib import Path
from typing import NamedTuple

import jax


class RunProgress(NamedTuple):
    """A snapshot of a run. Counts start at its beginning.

    seconds: since the beginning, by a monotonic clock. total: the images of this process: `done` have results from this
    run, `failed` have none, `skipped` had results before. advanced: progress of all images, in images: half of an image's
    steps are 0.5, one that finished early or failed is 1, a skipped one 0. working: seconds in which the device advanced
    images. loss: mean over the images on the device. read: prefetched images. unwritten: pending result writes.
    """

    seconds: float = 0.0
    total: int = 0
    done: int = 0
    failed: int = 0
    skipped: int = 0
    advanced: float = 0.0
    working: float = 0.0
    loss: float | None = None
    read: int = 0
    unwritten: int = 0


def progress_figures(before: RunProgress, now: RunProgress) -> dict[str, float]:
    """What happened between two snapshots: {TensorBoard tag: number}, without unknown ones."""
    numbers: dict[str, float] = {f'images/{name}': getattr(now, name) for name in ('done', 'failed', 'skipped')}
    numbers |= {'queue/read': now.read, 'queue/unwritten': now.unwritten}
    if now.loss is not None:
        numbers['loss'] = now.loss
    seconds = now.seconds - before.seconds
    if seconds <= 0:
        return numbers
    pace = (now.advanced - before.advanced) / seconds
    numbers['images/hour'] = 3600 * pace
    numbers['device/idle'] = min(1.0, max(0.0, 1 - (now.working - before.working) / seconds))
    if pace > 0:
        numbers['hours_left'] = max(0.0, now.total - now.skipped - now.advanced) / pace / 3600
    return numbers


def memory_figures(device: jax.Device | None = None) -> dict[str, float]:
    """Resident bytes of this process, and bytes in use on a device that reports them; None is the first local device."""
    device = jax.local_devices()[0] if device is None else device
    stats = device.memory_stats() or {}
    names = {'bytes_in_use': 'in_use', 'peak_bytes_in_use': 'peak', 'bytes_limit': 'limit'}
    numbers = {f'device_memory/{name}': float(stats[key]) for key, name in names.items() if key in stats}
    resident = _resident(Path('/proc/self/statm'))
    return numbers if resident is None else numbers | {'process/resident': float(resident)}


def _resident(statm: Path) -> int | None:
    """Resident bytes from Linux's /proc/PID/statm; None where there is no such file."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        return int(statm.read_text().split()[1]) * os.sysconf('SC_PAGE_SIZE')
    return None
