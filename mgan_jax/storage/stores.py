"""Where results go: a folder of this machine, or a place that `remote` reaches. Whatever is written appears whole or not at all.

Names are relative to the place, with slashes. Every process of a run has a part of it to itself, `.run/K-of-N`: its lock, its
log, its checkpoints, and a local folder for what is not complete yet.
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
    """text: the place as users call it. own: the name of what belongs to this process. work: a local folder for what is not
    complete; log: one for what the process tells meanwhile, which has its place in `own`.

    read(name) -> the content, None if there is none; exists(name): of files and folders; names(folder) -> what is in it;
    write(name, content); folder(name, last): a context that yields an empty local folder, which becomes the one of that name
    at the end, in place of an older one; where files arrive one by one the one named `last` does so at the end;
    fetched(name): a context that yields a local folder with the content of that one; remove(name), if it is there.
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
    """The place `text`, for process `index` of `count` until the end of the block. What killed runs left in `work` goes.

    Raises ValueError if another run writes there, or if nothing can be written there.
    """
    own = f'{RUN}/{index}-of-{count}'
    if remote.is_remote(text):
        with tempfile.TemporaryDirectory(prefix='mgan_jax-') as local:
            store = _remote(text.rstrip('/'), own, Path(local))
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
            for path in work.iterdir():  # what a killed run was writing
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        except OSError as error:
            raise ValueError(
                f'the output folder {text} cannot be used: {error.strerror}; choose another --config.out.'
            ) from error
        yield _local(text, root, own, work)


def place_has(text: str, name: str) -> bool:
    """Whether a file or folder of that name is in the place `text`, which is not opened for it."""
    return (
        remote.url_exists(f'{text.rstrip("/")}/{name}')
        if remote.is_remote(text)
        else (Path(text).expanduser() / name).exists()
    )


def read_from_place(text: str, name: str) -> bytes | None:
    """The content of a file in the place `text`, which is not opened for it; None if there is none."""
    if not place_has(text, name):
        return None
    if remote.is_remote(text):
        return remote.read_url(f'{text.rstrip("/")}/{name}')
    return (Path(text).expanduser() / name).read_bytes()


def _local(text: str, root: Path, own: str, work: Path) -> Store:
    def read(name: str) -> bytes | None:
        try:
            return (root / name).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None

    def names(folder: str) -> list[str]:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            return sorted(os.listdir(root / folder))
        return []

    return Store(
        text, own, work, root / own,
        read=read,
        exists=lambda name: os.path.lexists(root / name),
        names=names,
        write=lambda name, content: atomic.write_bytes(root / name, content, work),
        folder=lambda name, last: atomic.create_folder(root / name, replace=True, inside=work),
        fetched=lambda name: contextlib.nullcontext(root / name),
        remove=lambda name: atomic.remove_path(root / name, work),
    )  # fmt: skip


def _remote(text: str, own: str, local: Path) -> Store:
    work, log = local / 'partial', local / 'log'
    work.mkdir()
    log.mkdir()

    @contextlib.contextmanager
    def folder(name: str, last: str) -> Iterator[Path]:
        with tempfile.TemporaryDirectory(dir=work) as made:
            yield Path(made)
            remote.upload_folder(made, f'{text}/{name}', last)

    def read(name: str) -> bytes | None:
        return remote.read_url(f'{text}/{name}') if remote.url_exists(f'{text}/{name}') else None

    def names(folder: str) -> list[str]:
        start = f'{text}/{folder}/'
        return sorted({url.removeprefix(start).partition('/')[0] for url in remote.list_below(f'{text}/{folder}')})

    return Store(
        text, own, work, log,
        read=read,
        exists=lambda name: remote.url_exists(f'{text}/{name}'),
        names=names,
        write=lambda name, content: remote.write_url(f'{text}/{name}', content),
        folder=folder,
        fetched=lambda name: contextlib.nullcontext(remote.fetch_folder(f'{text}/{name}')),
        remove=lambda name: remote.delete_url(f'{text}/{name}'),
    )  # fmt: skip
