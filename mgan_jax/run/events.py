"""Writes the log of a run: events as lines of JSON, and figures as event files for TensorBoard.

A failure to write is reported once on standard error and does not end the run.
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
    """An open log. Both functions may be called from any thread.

    Attributes:
        tell: tell(event, **fields) writes one line.
        figures: figures(step, values, last=False) writes values {name: number}, at most once in an interval, or at any
            time with last=True. `values` may be a function without arguments; it is called only if they are written.
    """

    tell: Callable[..., None]
    figures: Callable[..., None]


def open_log(
    folder: str | os.PathLike,
    *,
    events: bool = True,
    interval: float = INTERVAL,
    clock: Callable[[], float] = time.time,
) -> EventLog:
    """Opens the log in a folder, which is made if it does not exist. No other process may write there.

    Lines are appended to `log.jsonl`. A line is in the file when the call returns. An incomplete last line, left by a
    machine that failed, is removed.

    Args:
        folder: local folder of the log.
        events: whether figures are also written to an event file for TensorBoard, one for each run.
        interval: seconds between figures.
        clock: time in seconds since 1970.
    """
    folder = Path(folder)
    written = -math.inf
    lock = threading.RLock()
    write_line, attempt = _line_writer(folder, clock), _failures_reported_once(folder)
    write_figures = _figure_writer(folder, clock) if events else None

    def tell(event: str, **fields: Any) -> None:
        with lock, attempt():
            write_line(event, fields)

    def figures(step: int, values: Mapping | Callable[[], Mapping], *, last: bool = False) -> None:
        nonlocal written
        with lock:
            now = clock()
            if not last and 0 <= now - written < interval:  # a clock that was set back does not delay figures
                return
            written = now
            numbers = values() if callable(values) else values
            tell('figures', step=step, **numbers)
            if write_figures is not None:
                with attempt():
                    write_figures(step, numbers)

    return EventLog(tell, figures)


def no_log() -> EventLog:
    """Returns a log that writes nothing."""
    return EventLog(lambda event, **fields: None, lambda step, values, last=False: None)


def read_events(path: str | os.PathLike) -> list[dict]:
    """Reads the events of a log and skips damaged lines."""
    events = []
    for line in Path(path).read_bytes().splitlines():
        with contextlib.suppress(ValueError):
            events.append(json.loads(line))
    return events


def _failures_reported_once(folder: str | os.PathLike) -> Callable[[], contextlib.AbstractContextManager]:
    """Returns attempt(), a context that suppresses OSError and reports the first one on standard error."""
    reported = False

    @contextlib.contextmanager
    def attempt():
        nonlocal reported
        try:
            yield
        except OSError as error:
            if not reported:
                reported = True
                reason = error.strerror or str(error)
                with contextlib.suppress(OSError):
                    print(f'the journal in {folder} cannot be written: {reason}; the run goes on.', file=sys.stderr)

    return attempt


def _line_writer(folder: Path, clock: Callable[[], float]) -> Callable[[str, Mapping], None]:
    """Returns write(event, fields), which appends a line."""
    repaired = False

    def write(event: str, fields: Mapping) -> None:
        nonlocal repaired
        if not repaired:
            _remove_incomplete_line(folder / LOG)
            repaired = True
        moment = datetime.datetime.fromtimestamp(clock(), datetime.UTC).isoformat(timespec='milliseconds')
        line = json.dumps({'time': moment, 'event': event, **_as_json(fields)}, allow_nan=False)
        atomic.append_bytes(folder / LOG, line.encode() + b'\n')

    return write


def _remove_incomplete_line(path: Path) -> None:
    """Removes everything after the last line end of a file, if it exists."""
    with contextlib.suppress(FileNotFoundError), open(path, 'r+b') as file:
        end = file.seek(0, os.SEEK_END)
        tail = b''
        while end and b'\n' not in tail:
            end = max(0, end - 4096)
            file.seek(end)
            tail = file.read(4096)
        file.truncate(end + tail.rfind(b'\n') + 1)


def _as_json(value: Any) -> Any:
    """Converts arrays to lists, numbers to Python's, infinite and NaN values to None, and other objects to text."""
    if isinstance(value, Mapping):
        return {str(key): _as_json(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_as_json(inner) for inner in value]
    if hasattr(value, 'dtype') and hasattr(value, 'tolist'):
        return _as_json(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, str | int | float | None) else str(value)


def _figure_writer(folder: Path, clock: Callable[[], float]) -> Callable[[int, Mapping], None]:
    """Returns write(step, {name: number}), which appends to an event file of this run.

    tensorboardX's SummaryWriter is not used: a full disk ends its thread, and then its methods block.
    """
    path: Path | None = None

    def write(step: int, numbers: Mapping) -> None:
        nonlocal path
        record = _record_encoder()
        if path is None:
            names = (f'events.out.tfevents.{clock():.0f}.{os.getpid()}.{i}' for i in itertools.count())
            path = next(folder / name for name in names if not (folder / name).exists())
        if not path.exists() or not path.stat().st_size:
            atomic.append_bytes(path, record(file_version='brain.Event:2', wall_time=clock()))
        values = [{'tag': name, 'simple_value': float(number)} for name, number in numbers.items()]
        atomic.append_bytes(path, record(step=step, wall_time=clock(), summary={'value': values}))

    return write


def _record_encoder() -> Callable[..., bytes]:
    """Returns record(**fields of an event), which gives the bytes of the event in an event file."""
    with _import_blocked('torch'):  # tensorboardX would import PyTorch, which is not needed here
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
def _import_blocked(module: str) -> Iterator[None]:
    """A context in which `module` cannot be imported, unless it was imported before."""
    if module in sys.modules:
        yield
        return
    sys.modules[module] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[module]
