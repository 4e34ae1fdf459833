"""Files that another machine keeps, named by a URL: gs://, s3://, https://, memory:// and whatever else fsspec knows.

What a service, a network or a missing package complains of becomes an OSError or ValueError of one sentence with the URL.
All functions may be called in several threads. Nothing is cached between calls.
"""

import contextlib
import errno
import glob
import logging
import os
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import fsspec

from mgan_jax.storage import prefetch

EXTRA = "pip install 'mgan_jax[remote]'"
PACKAGES = {
    'gs': 'gcsfs',
    'gcs': 'gcsfs',
    's3': 's3fs',
    's3a': 's3fs',
    'http': 'aiohttp',
    'https': 'aiohttp',
}  # the extra
CONNECTIONS = 8  # at once, for a folder of files
BLOCK = 2**15  # bytes of a request for a piece of a file; a larger one takes longer, a smaller one does not take less

for _name in ('gcsfs', 's3fs', 'fsspec'):  # they log what they raise, with tracebacks; another level brings that back
    logging.getLogger(_name).setLevel(logging.CRITICAL)

_SCHEME = re.compile(r'([a-z][a-z0-9+.-]*)://', re.IGNORECASE)
_folders: list[tempfile.TemporaryDirectory] = []  # they are removed when the process ends


def is_remote(path: str | os.PathLike) -> bool:
    """Whether `path` is a URL; 'file://' makes one, too."""
    return isinstance(path, str) and _SCHEME.match(path) is not None


def require_scheme(url: str) -> None:
    """ValueError with one sentence if nothing here can open such URLs. Asks no service."""
    with _place(url):
        pass


def read_url(url: str, offset: int = 0, size: int | None = None) -> bytes:
    """The content of a file, or `size` bytes of it from `offset` on (fewer where it ends)."""
    with _place(url) as (system, path):
        if size is None:
            return system.cat_file(path, start=offset or None)
        data = system.cat_file(path, start=offset, end=offset + size)
    if len(data) > size:
        raise OSError(errno.EIO, 'the server sends whole files where a part is asked for', url)
    return data


@contextlib.contextmanager
def open_ranges(url: str) -> Iterator[tuple[Callable[[int, int], bytes], int]]:
    """A file to be read here and there: yields read(offset, size) -> bytes, and the size of the file."""
    with _place(url) as (system, path):
        file = system.open(path, 'rb', block_size=BLOCK, cache_type='readahead')

    def piece(offset: int, size: int) -> bytes:
        with _telling(url):
            file.seek(offset)
            return file.read(size)

    with contextlib.closing(file):
        yield piece, file.seek(0, os.SEEK_END)


def url_exists(url: str) -> bool:
    """Whether a file or a folder, that is something whose name begins with 'url/', is there."""
    with _place(url) as (system, path):
        try:  # not system.exists, which takes a refusal for an absence
            return bool(system.info(path))
        except FileNotFoundError:
            return False


def expand_url(url: str) -> list[str]:
    """The files that a URL names, sorted: one file, those in a folder (not in its subfolders), or those of a glob.

    FileNotFoundError if there is nothing of that name; a folder or glob may have no files: [].
    """
    with _place(url) as (system, path):
        try:
            kind = system.info(path)['type']
        except FileNotFoundError:
            if not glob.has_magic(path):
                raise
            hits = system.glob(path, detail=True).values()
        else:
            if kind != 'directory':
                return [url]
            hits = system.ls(path, detail=True)
        return _files(url, system, path, hits)


def list_below(url: str) -> list[str]:
    """All files in a folder and its subfolders, sorted; [] if there is no such folder."""
    with _place(url) as (system, path):
        return _files(url, system, path, system.find(path, detail=True).values())


def fetch_folder(url: str) -> Path:
    """Copies a folder with its subfolders into a new local one, which lives as long as the process. -> the local folder.

    FileNotFoundError if there is nothing in it, ValueError if a name in it leads out of it.
    """
    names = {hit: _inside(url, hit) for hit in list_below(url)}
    if not names:
        raise FileNotFoundError(errno.ENOENT, 'there is no such folder', url)
    _folders.append(tempfile.TemporaryDirectory(prefix='mgan_jax-'))
    local = Path(_folders[-1].name)

    def copy(hit: str) -> None:
        target = local / names[hit]
        target.parent.mkdir(parents=True, exist_ok=True)
        with _place(hit) as (system, path):
            system.get_file(path, str(target))

    _all(copy, names)
    return local


def upload_folder(folder: str | os.PathLike, url: str, last: str) -> None:
    """Copies the files of a local folder into a remote one, `last`, a name in it, after all others: who sees it sees all.

    Files of the same names are replaced.
    """
    paths = sorted(path for path in Path(folder).rglob('*') if path.is_file())
    for path in sorted(paths, key=lambda path: path == Path(folder, last)):
        write_url(f'{url.rstrip("/")}/{path.relative_to(folder).as_posix()}', path.read_bytes())


def write_url(url: str, data: bytes) -> None:
    """Writes a file, which object stores show whole or not at all. What stands there is replaced."""
    with _place(url) as (system, path):
        system.pipe_file(path, data)


def delete_url(url: str) -> None:
    """Removes a file, or a folder with all that is in it. What is not there is no error."""
    with _place(url) as (system, path), contextlib.suppress(FileNotFoundError):
        system.rm(path, recursive=True)


def _all(function: Callable[[str], None], items: Iterable[str]) -> None:
    stream = prefetch.prefetch(function, items, workers=CONNECTIONS, depth=2 * CONNECTIONS)
    with contextlib.closing(stream):
        for outcome in stream:
            if outcome.error is not None:
                raise outcome.error


def _files(url: str, system: Any, path: str, hits: Any) -> list[str]:
    """The URLs of listed things that are files. What stands before the path in `url`, such as a host, does so again."""
    whole = url.rstrip('/')
    start = whole.removesuffix(path) if path and whole.endswith(path) else None
    names = [hit['name'] for hit in hits if hit['type'] != 'directory']
    return sorted(system.unstrip_protocol(name) if start is None else start + name for name in names)


def _inside(url: str, hit: str) -> str:
    """The part of a listed URL after the folder `url`, which is to stay in it."""
    name = hit.removeprefix(url.rstrip('/') + '/')
    if name == hit or '\\' in name or {'', '.', '..'} & set(name.split('/')):
        raise ValueError(f'{hit} has a name that leads out of the folder {url}; rename it.')
    return name


def _scheme(url: str) -> str:
    match = _SCHEME.match(url)
    if match is None:
        raise ValueError(f'{url} is no URL; one that begins with gs://, s3:// or the like is wanted.')
    if '::' in url:
        raise ValueError(f'{url} chains file systems with ::, which is not supported; give a plain URL.')
    return match[1].lower()


@contextlib.contextmanager
def _place(url: str) -> Iterator[tuple[Any, str]]:
    """The file system of a URL and the path there; errors of the block are told in one sentence."""
    local = _scheme(url) in ('file', 'local')
    with _telling(url):
        # Listings are not kept: what another thread or machine has written is to be seen.
        options = {'auto_mkdir': True} if local else {'use_listings_cache': False}
        yield fsspec.core.url_to_fs(url, **options)


@contextlib.contextmanager
def _telling(url: str) -> Iterator[None]:
    try:
        yield
    except MemoryError:
        raise
    except ImportError as error:
        package = PACKAGES.get(_scheme(url))
        advice = f'the package {package}: {EXTRA}' if package else f'a package that is missing: {_line(error)}'
        raise ValueError(f'{url} needs {advice}.') from error
    except Exception as error:  # services raise exceptions of many libraries
        if isinstance(error, ValueError) and 'Protocol not known' in str(error):
            raise ValueError(f'{url} has a scheme that nothing here knows; gs:// and s3:// are known.') from error
        raise OSError(*_reason(error), url) from error


def _reason(error: Exception) -> tuple[int, str]:
    """An error number and what it says."""
    name = type(error).__name__
    if isinstance(error, FileNotFoundError):
        return errno.ENOENT, 'there is no such file or folder'
    if 'Credential' in name or isinstance(error, PermissionError):
        return errno.EACCES, f'access is refused; log in to the service or ask for the right to it ({_line(error)})'
    if isinstance(error, TimeoutError):
        return errno.ETIMEDOUT, 'the service does not answer; try again later'
    number = error.errno if isinstance(error, OSError) and error.errno else errno.EIO
    return number, f'the service or the way to it failed ({_line(error)})'


def _line(error: Exception) -> str:
    text = ' '.join(str(error).split()) or type(error).__name__
    return text if len(text) <= 200 else text[:200] + '...'
