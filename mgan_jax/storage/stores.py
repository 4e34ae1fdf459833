"""The place of a run's results: a local folder, or a remote one behind a URL.

Each file appears complete or not at all, and so does a folder in a local place. In a remote place the named last file of a
folder shows that it is complete. Names are relative to the place, with slashes. Process K of N owns the folder
`.run/K-of-N`: its log, its checkpoints, and in a local place its unfinished files.
"""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple

from mgan_jax.storage import atomic, remote

RUN = '.run'


class Store(NamedTuple):
    """An open place.

    Attributes:
        text: the place, as the user wrote it.
        own: name of the folder that belongs to this process.
        work: local folder for unfinished files.
        log: local folder for the log. It is kept as `own`; a remote place receives it at the end.
        read: read(name) -> the content of a file, or None if it does not exist.
        exists: exists(name) -> whether a file or folder exists.
        names: names(folder) -> sorted names in a folder; [] if it does not exist.
        write: write(name, content) writes or replaces a file.
        folder: folder(name, last) is a context that yields an empty local folder. At the end of the block it becomes the
            folder `name` and replaces an older one. A remote place receives the file `last` after all others.
        fetched: fetched(name) is a context that yields a local folder with the content of the folder `name`.
        remove: remove(name) removes a file or folder, if it exists.
    """

    text: str
    own: str
    work: Path
    log: Path
    read: Callable[[str], bytes | None]
    exists: Callable[[str], bool]
    names: Callable[[str], list[str]]
    write: Callable[[str, bytes], None]
    folder: Callable[[str, str], AbstractContextManager[Path]]
    fetched: Callable[[str], AbstractContextManager[Path]]
    remove: Callable[[str], None]


@contextlib.contextmanager
def open_store(text: str, index: int = 0, count: int = 1) -> Iterator[Store]:
    """Opens the place `text` for process `index` of `count` until the end of the block.

    A local folder is made if it does not exist. It is locked for this index, and unfinished files of a killed process with
    this index are removed. A remote place has no lock.

    Raises ValueError if a process with this index writes there already, or if the folder cannot be written.
    """
    own = f'{RUN}/{index}-of-{count}'
    if remote.is_remote(text):
        with tempfile.TemporaryDirectory(prefix='mgan_jax-') as local:
            store = _remote_store(text.rstrip('/'), own, Path(local))
            yield store
            for path in store.log.iterdir():
                store.write(f'{own}/{path.name}', path.read_bytes())
        return
    root = Path(text).expanduser().absolute()
    work = root / own / 'partial'
    with contextlib.ExitStack() as stack:
        try:
            work.mkdir(parents=True, exist_ok=True)
            if not stack.enter_context(atomic.lock_file(root / RUN / f'process-{index}.lock')):
                raise ValueError(
                    f'another run writes into {text} at this moment; wait for its end or choose another --config.out.'
                )
            for path in work.iterdir():
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        except OSError as error:
            raise ValueError(
                f'the output folder {text} cannot be used: {error.strerror}; choose another --config.out.'
            ) from error
        yield _local_store(text, root, own, work)


def place_has(text: str, name: str) -> bool:
    """Returns whether a file or folder exists in the place `text`. The place need not be open."""
    if remote.is_remote(text):
        return remote.url_exists(f'{text.rstrip("/")}/{name}')
    return (Path(text).expanduser() / name).exists()


def read_from_place(text: str, name: str) -> bytes | None:
    """Reads a file in the place `text`; returns None if it does not exist. The place need not be open."""
    if remote.is_remote(text):
        return _read_url(f'{text.rstrip("/")}/{name}')
    return _read_file(Path(text).expanduser() / name)


def _read_file(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None


def _read_url(url: str) -> bytes | None:
    return remote.read_url(url) if remote.url_exists(url) else None


def _local_store(text: str, root: Path, own: str, work: Path) -> Store:
    def names(folder: str) -> list[str]:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            return sorted(os.listdir(root / folder))
        return []

    return Store(
        text, own, work, root / own,
        read=lambda name: _read_file(root / name),
        exists=lambda name: os.path.lexists(root / name),
        names=names,
        write=lambda name, content: atomic.write_bytes(root / name, content, work),
        folder=lambda name, last: atomic.create_folder(root / name, replace=True, inside=work),
        fetched=lambda name: contextlib.nullcontext(root / name),
        remove=lambda name: atomic.remove_path(root / name, work),
    )  # fmt: skip


def _remote_store(url: str, own: str, local: Path) -> Store:
    work, log = local / 'partial', local / 'log'
    work.mkdir()
    log.mkdir()

    @contextlib.contextmanager
    def folder(name: str, last: str) -> Iterator[Path]:
        with tempfile.TemporaryDirectory(dir=work) as made:
            yield Path(made)
            remote.upload_folder(made, f'{url}/{name}', last)

    def names(folder: str) -> list[str]:
        start = f'{url}/{folder}/'
        return sorted({file.removeprefix(start).partition('/')[0] for file in remote.list_below(f'{url}/{folder}')})

    return Store(
        url, own, work, log,
        read=lambda name: _read_url(f'{url}/{name}'),
        exists=lambda name: remote.url_exists(f'{url}/{name}'),
        names=names,
        write=lambda name, content: remote.write_url(f'{url}/{name}', content),
        folder=folder,
        fetched=lambda name: contextlib.nullcontext(remote.fetch_folder(f'{url}/{name}')),
        remove=lambda name: remote.delete_url(f'{url}/{name}'),
    )  # fmt: skip
