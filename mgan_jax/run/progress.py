"""The figures of a run while it goes on: pure functions of two looks at it."""

import contextlib
import os
from pathlib import Path
from typing import NamedTuple

import jax


class RunProgress(NamedTuple):
    """A look at a run; what only grows is counted from its beginning.

    seconds: by a clock that never goes back; total: the images of this process, of which `done` have results now, `failed`
    have none, and `skipped` had them before. advanced: how far all images are, in images (half of an image's steps are 0.5,
    one that ended early or failed is 1, one that was skipped 0); working: seconds that the device was advancing them. loss:
    the mean over the images on the device. read: images that wait for it; unwritten: results that wait for the disk.
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
    """What happened between two looks: names as TensorBoard groups them -> numbers, those that are known."""
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
    """Bytes that this process holds, and those of a device (None: the first of this process) where it tells them."""
    device = jax.local_devices()[0] if device is None else device
    told = device.memory_stats() or {}
    names = {'bytes_in_use': 'in_use', 'peak_bytes_in_use': 'peak', 'bytes_limit': 'limit'}
    numbers = {f'device_memory/{name}': float(told[key]) for key, name in names.items() if key in told}
    resident = _resident(Path('/proc/self/statm'))
    return numbers if resident is None else numbers | {'process/resident': float(resident)}


def _resident(statm: Path) -> int | None:
    """Bytes of memory of a process, from Linux's /proc/PID/statm; None where there is no such file."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        return int(statm.read_text().split()[1]) * os.sysconf('SC_PAGE_SIZE')
    return None
