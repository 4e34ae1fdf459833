"""What a run tells of itself while it goes on: a log of events, one JSON object a line, and figures for TensorBoard.

Knows neither images nor devices: events have fields, figures have names. What cannot be written is told once on standard
error and ends nothing.
"""

import contextlib
import datetime
import itertools
import json
import math
import os
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from mgan_jax.storage import atomic

LOG = 'log.jsonl'
INTERVAL = 30.0  # seconds between figures


class EventLog(NamedTuple):
    """tell(event, **fields) writes a line. figures(step, values) writes those of {name: number} at most every `interval`
    seconds; values may be a function of no argument that returns them, called only when they are written; last=True
    writes them whenever it is. Both may be called from any thread."""

    tell: Callable[..., None]
    figures: Callable[..., None]


def open_log(
    folder: str | os.PathLike,
    *,
    events: bool = True,
    interval: float = INTERVAL,
    clock: Callable[[], float] = time.time,
) -> EventLog:
    """A journal in a folder that no other process writes to, made if it is not there: `log.jsonl`, which is continued, and
    with `events` an event file of TensorBoard's for each run.

    interval: seconds between figures. clock: seconds since 1970. A line stands in the log when the call returns, and outlives
    the process; a broken last line, left by a machine that failed, is cut off.
    """
    folder = Path(folder)
    written = -math.inf
    lock = threading.RLock()
    write, plot, attempt = _log(folder, clock), _plots(folder, clock) if events else None, _once_told(folder)

    def tell(event: str, **fields: Any) -> None:
        with lock, attempt():
            write(event, fields)

    def figures(step: int, values: Mapping | Callable[[], Mapping], *, last: bool = False) -> None:
        nonlocal written
        with lock:
            now = clock()
            if not last and 0 <= now - written < interval:  # a clock that was set back delays nothing
                return
            written = now
            numbers = values() if callable(values) else values
            tell('figures', step=step, **numbers)
            if plot is not None:
                with attempt():
                    plot(step, numbers)

    return EventLog(tell, figures)


def no_log() -> EventLog:
    """A journal that keeps nothing."""
    return EventLog(lambda event, **fields: None, lambda step, values, last=False: None)


def read_events(path: str | os.PathLike) -> list[dict]:
    """The events of a log, without lines that are broken."""
    events = []
    for line in Path(path).read_bytes().splitlines():
        with contextlib.suppress(ValueError):
            events.append(json.loads(line))
    return events


def _once_told(folder: str | os.PathLike) -> Callable[[], contextlib.AbstractContextManager]:
    """attempt() is a context in which writing may fail; the first failure of all is told."""
    told = False

    @contextlib.contextmanager
    def attempt():
        nonlocal told
        try:
            yield
        except OSError as error:
            if not told:
                told = True
                reason = error.strerror or str(error)
                with contextlib.suppress(OSError):
                    print(f'the journal in {folder} cannot be written: {reason}; the run goes on.', file=sys.stderr)

    return attempt


def _log(folder: Path, clock: Callable[[], float]) -> Callable[[str, Mapping], None]:
    """write(event, fields) -> a line more."""
    whole = False

    def write(event: str, fields: Mapping) -> None:
        nonlocal whole
        if not whole:
            _cut(folder / LOG)
            whole = True
        moment = datetime.datetime.fromtimestamp(clock(), datetime.UTC).isoformat(timespec='milliseconds')
        line = json.dumps({'time': moment, 'event': event, **_plain(fields)}, allow_nan=False)
        atomic.append_bytes(folder / LOG, line.encode() + b'\n')

    return write


def _cut(path: Path) -> None:
    """Removes what stands after the last end of a line."""
    with contextlib.suppress(FileNotFoundError), open(path, 'r+b') as file:
        end = file.seek(0, os.SEEK_END)
        tail = b''
        while end and b'\n' not in tail:
            end = max(0, end - 4096)
            file.seek(end)
            tail = file.read(4096)
        file.truncate(end + tail.rfind(b'\n') + 1)


def _plain(value: Any) -> Any:
    """What JSON can hold: NumPy's and JAX's numbers as Python's, no infinite ones, everything strange as text."""
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if hasattr(value, 'dtype') and hasattr(value, 'tolist'):
        return _plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, str | int | float | None) else str(value)


def _plots(folder: Path, clock: Callable[[], float]) -> Callable[[int, Mapping], None]:
    """plot(step, {name: number}) -> an event more in a file of its own.

    Without tensorboardX's SummaryWriter, whose thread dies of a full disk and then blocks who writes to it.
    """
    path: Path | None = None

    def plot(step: int, numbers: Mapping) -> None:
        nonlocal path
        record = _tensorboard()
        if path is None:
            names = (f'events.out.tfevents.{clock():.0f}.{os.getpid()}.{i}' for i in itertools.count())
            path = next(folder / name for name in names if not (folder / name).exists())
        if not path.exists() or not path.stat().st_size:
            atomic.append_bytes(path, record(file_version='brain.Event:2', wall_time=clock()))
        values = [{'tag': name, 'simple_value': float(number)} for name, number in numbers.items()]
        atomic.append_bytes(path, record(step=step, wall_time=clock(), summary={'value': values}))

    return plot


def _tensorboard() -> Callable[..., bytes]:
    """record(**fields of an event) -> what stands for it in an event file."""
    with _without('torch'):
        from tensorboardX.proto.event_pb2 import Event
        from tensorboardX.record_writer import masked_crc32c

    def record(**fields: Any) -> bytes:
        data = Event(**fields).SerializeToString()
        length = struct.pack('<Q', len(data))
        return b''.join(
            [length, struct.pack('<I', masked_crc32c(length)), data, struct.pack('<I', masked_crc32c(data))]
        )

    return record


@contextlib.contextmanager
def _without(module: str) -> Iterator[None]:
    """In the block, `module` cannot be imported unless it was before: tensorboardX would load the whole of PyTorch where it
    is installed, and needs nothing of it here."""
    if module in sys.modules:
        yield
        return
    sys.modules[module] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[module]
