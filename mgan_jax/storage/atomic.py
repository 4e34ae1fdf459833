"""Writing results so that each appears whole or not at all.

Everything is first written under a hidden name beside its target, flushed to the disk and then renamed. The writer
holds a lock on the hidden file or folder; the system drops that lock when a process dies, so the next writer of the
same target can tell what a killed run left behind (and removes it) from what another run is writing now (and leaves it
alone).
"""

import contextlib
import fcntl
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def create_folder(directory: str | os.PathLike, replace: bool = False, inside: Path | None = None) -> Iterator[Path]:
    """A new folder that comes into being complete.

    Yields an empty temporary folder beside `directory` to write into. When the block ends, its content is flushed to
    the disk and the folder takes its final name; when the block raises, KeyboardInterrupt included, the folder is
    removed and nothing else has changed. Missing parents are made. With `replace`, what stood at `directory` gives way
    at the end. inside: a folder of the same file system for what is temporary, whose left-overs are the caller's to
    remove: beside a million folders, looking for left-overs takes too long.

    Raises ValueError if `directory` exists and is not to be replaced, before the block runs or by the time it ends.
    """
    directory = Path(os.path.abspath(directory))
    if not replace:
        _require_absent(directory)
    directory.parent.mkdir(parents=True, exist_ok=True)
    if inside is None:
        _remove_stale(directory)
    temporary = _temporary(directory, inside)
    temporary.mkdir()
    try:
        with _held(temporary):
            yield temporary
            _flush_tree(temporary)
            if replace:
                remove_path(directory, inside)
            _require_absent(directory)  # a rename would silently replace an empty folder
            temporary.rename(directory)
            _flush_folder(directory.parent)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def remove_path(path: Path, inside: Path | None = None) -> None:
    """Moves what stands there aside, so that the name is free at once and no part is ever seen under it, and removes it."""
    if not os.path.lexists(path):
        return
    old = _temporary(path, inside)
    path.rename(old)
    if old.is_dir() and not old.is_symlink():
        shutil.rmtree(old, ignore_errors=True)
    else:
        old.unlink()


def write_text(path: str | os.PathLike, text: str) -> None:
    """Writes `text` as UTF-8, line ends as they are; see `write_bytes`."""
    write_bytes(path, text.encode())


def write_bytes(path: str | os.PathLike, content: bytes, inside: Path | None = None) -> None:
    """Writes a file; a reader sees the old content or the new, never a part.

    Missing parents are made; an existing file is replaced. inside: as in `create_folder`. Raises ValueError if `path` is a folder.
    """
    path = Path(os.path.abspath(path))
    if path.is_dir():
        raise ValueError(f'{path} is a folder where a file is to be written: give another name or move the folder away')
    path.parent.mkdir(parents=True, exist_ok=True)
    if inside is None:
        _remove_stale(path)
    temporary = _temporary(path, inside)
    try:
        with open(temporary, 'xb') as file, _held(temporary):
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
            os.replace(temporary, path)
        _flush_folder(path.parent)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def append_bytes(path: Path, data: bytes) -> None:
    """Adds all of it to a file, or nothing. Makes the file and its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, 'ab', buffering=0) as file:
        end = file.seek(0, os.SEEK_END)
        try:
            while data:  # a disk that becomes full takes a part of it first
                data = data[file.write(data) :]
        except OSError:
            with contextlib.suppress(OSError):
                file.truncate(end)
            raise


@contextlib.contextmanager
def lock_file(path: Path) -> Iterator[bool]:
    """Holds a lock on a file, which is made if it is not there, until the end of the block; the system drops it when the
    process dies. Yields whether it could be had: False where another holds it, True where the file system has no locks."""
    with open(path, 'a') as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        except OSError:
            pass
        yield True


def _require_absent(directory: Path) -> None:
    if os.path.lexists(directory):
        raise ValueError(f'{directory} exists already and is never replaced: remove it or choose another name')


def _temporary(target: Path, inside: Path | None = None) -> Path:
    return (inside or target.parent) / f'.{target.name}.{secrets.token_hex(4)}.partial'


def _remove_stale(target: Path) -> None:
    """Removes the temporaries of `target` that no living process holds."""
    pattern = re.compile(re.escape(f'.{target.name}.') + r'[0-9a-f]{8}\.partial')
    for path in [path for path in target.parent.iterdir() if pattern.fullmatch(path.name)]:
        with contextlib.suppress(OSError), _locked(path):  # locked elsewhere, or gone meanwhile: not ours to remove
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Holds an exclusive lock on a file or folder; raises OSError where another holds it or locks do not work."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _held(path: Path) -> Iterator[None]:
    """The writer's lock. Some network file systems have none: writing works there, and left-overs stay."""
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):
            stack.enter_context(_locked(path))
        yield


def _flush_tree(directory: Path) -> None:
    for folder, _, names in os.walk(directory):
        for name in names:
            _flush(Path(folder, name))
        _flush_folder(Path(folder))


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _flush_folder(path: Path) -> None:
    with contextlib.suppress(OSError):  # not every file system can flush a folder; its files have been flushed
        _flush(path)
