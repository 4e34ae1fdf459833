"""Writes files and folders atomically: each appears complete or not at all.

Content is written under a hidden temporary name, flushed to the disk and renamed. The writer locks the temporary file or
folder, and the system drops the lock when the process dies. The next writer of the same target removes the temporaries
that no process has locked, and leaves the locked ones alone.
"""

import contextlib
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

import filelock


@contextlib.contextmanager
def create_folder(directory: str | os.PathLike, replace: bool = False, inside: Path | None = None) -> Iterator[Path]:
    """Yields an empty temporary folder, which becomes `directory` at the end of the block.

    Its content is flushed to the disk before it is renamed. If the block raises, also KeyboardInterrupt, the temporary
    folder is removed and nothing else has changed. Missing parents are made.

    Args:
        directory: the folder to create.
        replace: whether an existing file or folder of this name is replaced, at the end of the block.
        inside: existing folder for temporary files, on the same file system; the caller removes what killed processes
            leave there. The default is the parent of `directory`, where left-overs are searched and removed; the search
            is slow in a folder with very many files.

    Raises:
        ValueError: without `replace`, if `directory` exists before the block or at its end.
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
        with _locked(temporary):
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
    """Removes a file or folder, if it exists.

    It is renamed first, so that a reader never sees a part of a folder. inside: see `create_folder`.
    """
    if not os.path.lexists(path):
        return
    old = _temporary(path, inside)
    path.rename(old)
    if old.is_dir() and not old.is_symlink():
        shutil.rmtree(old, ignore_errors=True)
    else:
        old.unlink()


def write_text(path: str | os.PathLike, text: str) -> None:
    """Writes `text` as UTF-8 with its line ends unchanged; see `write_bytes`."""
    write_bytes(path, text.encode())


def write_bytes(path: str | os.PathLike, content: bytes, inside: Path | None = None) -> None:
    """Writes a file. A reader sees the old content or the new content, never a part.

    Missing parents are made; an existing file is replaced. inside: see `create_folder`. Raises ValueError if `path` is a
    folder.
    """
    path = Path(os.path.abspath(path))
    if path.is_dir():
        raise ValueError(f'{path} is a folder where a file is to be written: give another name or move the folder away')
    path.parent.mkdir(parents=True, exist_ok=True)
    if inside is None:
        _remove_stale(path)
    temporary = _temporary(path, inside)
    try:
        with open(temporary, 'xb') as file:
            _lock(file.fileno())
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
            os.replace(temporary, path)
        _flush_folder(path.parent)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def append_bytes(path: Path, data: bytes) -> None:
    """Appends all of `data` to a file, or nothing if it raises OSError. Makes the file and its folder."""
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
    """Locks a file, which is made if it does not exist, until the end of the block or of the process.

    Yields False if another process or block holds the lock; True if this one does, or if the file system has no locks.
    """
    with open(path, 'a') as file:
        yield _lock(file.fileno()) is not False


def _require_absent(directory: Path) -> None:
    if os.path.lexists(directory):
        raise ValueError(f'{directory} exists already and is never replaced: remove it or choose another name')


def _temporary(target: Path, inside: Path | None = None) -> Path:
    return (inside or target.parent) / f'.{target.name}.{secrets.token_hex(4)}.partial'


def _remove_stale(target: Path) -> None:
    """Removes the temporaries of `target` that no process has locked."""
    pattern = re.compile(re.escape(f'.{target.name}.') + r'[0-9a-f]{8}\.partial')
    for path in [path for path in target.parent.iterdir() if pattern.fullmatch(path.name)]:
        with contextlib.suppress(OSError), _locked(path) as locked:
            if locked and path.is_dir():
                shutil.rmtree(path)
            elif locked:
                path.unlink()


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[bool]:
    """Locks a file or folder until the end of the block. Yields whether this process holds the lock."""
    with contextlib.ExitStack() as stack:
        locked = False
        with contextlib.suppress(OSError):  # the path is gone, or the system cannot open folders
            descriptor = os.open(path, os.O_RDONLY)
            stack.callback(os.close, descriptor)
            locked = _lock(descriptor) is True
        yield locked


def _lock(descriptor: int) -> bool | None:
    """Locks an open file until it is closed. Returns False if another one holds the lock.

    Returns None if the file system has no locks, as some network file systems: left-overs then stay.
    """
    try:
        return filelock.lock_descriptor(descriptor, blocking=False)
    except OSError:
        return None


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
