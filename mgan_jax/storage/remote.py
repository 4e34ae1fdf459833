"""Reads and writes files behind URLs: gs://, s3://, https://, memory:// and the other schemes that fsspec knows.

Errors of services, networks and missing packages become an OSError or ValueError of one sentence with the URL. All
functions may be called from several threads. Nothing is cached between calls.
"""

# fsspec is used as it is. Its path classes were tried: universal_pathlib makes an object of each listed file, which takes
# 25 times as long, reports a refused file as absent and sends two requests for an https file; etils.epath knows
# neither https:// nor memory://.

import contextlib
import errno
import glob
import logging
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from mgan_jax.storage import prefetch

INSTALL = "pip install 'mgan_jax[remote]'"
PACKAGES = {
    'gs': 'gcsfs',
    'gcs': 'gcsfs',
    's3': 's3fs',
    's3a': 's3fs',
    'http': 'aiohttp',
    'https': 'aiohttp',
}  # by scheme
CONNECTIONS = 8  # files of a folder that are fetched at the same time
BLOCK = 2**15  # bytes of one ranged request: a larger one takes longer, a smaller one is not faster

for _name in ('gcsfs', 's3fs', 'fsspec'):  # they log what they raise, with tracebacks; a lower level shows it again
    logging.getLogger(_name).setLevel(logging.CRITICAL)

_SCHEME = re.compile(r'([a-z][a-z0-9+.-]*)://', re.IGNORECASE)
_fetched: list[tempfile.TemporaryDirectory] = []  # removed when the process ends


def is_remote(path: str | os.PathLike) -> bool:
    """Returns whether `path` is a URL, which includes 'file://'."""
    return isinstance(path, str) and _SCHEME.match(path) is not None


def require_scheme(url: str) -> None:
    """Raises ValueError if the scheme of `url` is unknown or its package is missing. Sends no request."""
    with _located(url):
        pass


def read_url(url: str, offset: int = 0, size: int | None = None) -> bytes:
    """Reads a file, or `size` bytes from `offset` on; fewer bytes are returned at the end of the file."""
    with _located(url) as (system, path):
        if size is None:
            return system.cat_file(path, start=offset or None)
        data = system.cat_file(path, start=offset, end=offset + size)
    if len(data) > size:
        raise OSError(errno.EIO, 'the server sends whole files where a part is asked for', url)
    return data


@contextlib.contextmanager
def open_ranges(url: str) -> Iterator[tuple[Callable[[int, int], bytes], int]]:
    """Opens a file for reading in parts. Yields a function read(offset, size) -> bytes and the size of the file."""
    with _located(url) as (system, path):
        file = system.open(path, 'rb', block_size=BLOCK, cache_type='readahead')

    def read(offset: int, size: int) -> bytes:
        with _explained(url):
            file.seek(offset)
            return file.read(size)

    with contextlib.closing(file):
        yield read, file.seek(0, os.SEEK_END)


def url_exists(url: str) -> bool:
    """Returns whether `url` is a file or a folder; a folder exists if the name of some file begins with 'url/'."""
    with _located(url) as (system, path):
        try:  # system.exists would return False if access is refused
            return bool(system.info(path))
        except FileNotFoundError:
            return False


def expand_url(url: str) -> list[str]:
    """Lists the files that a URL names, sorted: one file, the files of a folder without subfolders, or those of a glob.

    Returns [] for a folder or glob without files. Raises FileNotFoundError if no file or folder has this name.
    """
    with _located(url) as (system, path):
        try:
            kind = system.info(path)['type']
        except FileNotFoundError:
            if not glob.has_magic(path):
                raise
            entries = system.glob(path, detail=True).values()
        else:
            if kind != 'directory':
                return [url]
            entries = system.ls(path, detail=True)
        return _file_urls(url, system, path, entries)


def list_below(url: str) -> list[str]:
    """Lists all files in a folder and its subfolders, sorted; [] if the folder does not exist."""
    with _located(url) as (system, path):
        return _file_urls(url, system, path, system.find(path, detail=True).values())


def fetch_folder(url: str) -> Path:
    """Copies a folder with its subfolders to this machine.

    Returns the local folder, which is removed when the process ends. Raises FileNotFoundError if the folder has no files,
    ValueError if a file name leads out of it.
    """
    names = {file: _name_inside(url, file) for file in list_below(url)}
    if not names:
        raise FileNotFoundError(errno.ENOENT, 'there is no such folder', url)
    _fetched.append(tempfile.TemporaryDirectory(prefix='mgan_jax-'))
    local = Path(_fetched[-1].name)

    def copy(file: str) -> None:
        target = local / names[file]
        target.parent.mkdir(parents=True, exist_ok=True)
        with _located(file) as (system, path):
            system.get_file(path, str(target))

    with contextlib.closing(prefetch.prefetch(copy, names, workers=CONNECTIONS, depth=2 * CONNECTIONS)) as copies:
        for outcome in copies:
            if outcome.error is not None:
                raise outcome.error
    return local


def upload_folder(folder: str | os.PathLike, url: str, last: str) -> None:
    """Copies the files of a local folder into a remote one, and replaces files of the same names.

    The file named `last` is copied after all others: if it exists, the remote folder is complete.
    """
    paths = sorted(path for path in Path(folder).rglob('*') if path.is_file())
    for path in sorted(paths, key=lambda path: path == Path(folder, last)):
        write_url(f'{url.rstrip("/")}/{path.relative_to(folder).as_posix()}', path.read_bytes())


def write_url(url: str, data: bytes) -> None:
    """Writes or replaces a file. Object stores show it complete or not at all."""
    with _located(url) as (system, path):
        system.pipe_file(path, data)


def delete_url(url: str) -> None:
    """Removes a file, or a folder with all its content, if it exists."""
    with _located(url) as (system, path), contextlib.suppress(FileNotFoundError):
        system.rm(path, recursive=True)


def _file_urls(url: str, system: Any, path: str, entries: Any) -> list[str]:
    """The URLs of the listed files, sorted. They begin as `url` does, for example with the same host."""
    whole = url.rstrip('/')
    start = whole.removesuffix(path) if path and whole.endswith(path) else None
    names = [entry['name'] for entry in entries if entry['type'] != 'directory']
    return sorted(system.unstrip_protocol(name) if start is None else start + name for name in names)


def _name_inside(url: str, file: str) -> str:
    """The part of a listed URL after the folder `url`. Raises ValueError if it leads out of the folder."""
    name = file.removeprefix(url.rstrip('/') + '/')
    if name == file or '\\' in name or {'', '.', '..'} & set(name.split('/')):
        raise ValueError(f'{file} has a name that leads out of the folder {url}; rename it.')
    return name


def _scheme(url: str) -> str:
    match = _SCHEME.match(url)
    if match is None:
        raise ValueError(f'{url} is no URL; one that begins with gs://, s3:// or the like is wanted.')
    if '::' in url:
        raise ValueError(f'{url} chains file systems with ::, which is not supported; give a plain URL.')
    return match[1].lower()


@contextlib.contextmanager
def _located(url: str) -> Iterator[tuple[Any, str]]:
    """Yields the fsspec file system of a URL and the path there. Errors of the block are explained in one sentence."""
    import fsspec  # its import takes a while, and most runs use local files only

    local = _scheme(url) in ('file', 'local')
    with _explained(url):
        # Listings are not cached: other threads and machines write files, too.
        options = {'auto_mkdir': True} if local else {'use_listings_cache': False}
        yield fsspec.core.url_to_fs(url, **options)


@contextlib.contextmanager
def _explained(url: str) -> Iterator[None]:
    """Turns exceptions of the block into OSError or ValueError of one sentence with the URL."""
    try:
        yield
    except MemoryError:
        raise
    except ImportError as error:
        package = PACKAGES.get(_scheme(url))
        advice = f'the package {package}: {INSTALL}' if package else f'a package that is missing: {_line(error)}'
        raise ValueError(f'{url} needs {advice}.') from error
    except Exception as error:  # services raise exceptions of many libraries
        if isinstance(error, ValueError) and 'Protocol not known' in str(error):
            raise ValueError(f'{url} has a scheme that nothing here knows; gs:// and s3:// are known.') from error
        raise OSError(*_reason(error), url) from error


def _reason(error: Exception) -> tuple[int, str]:
    """The error number and the sentence for an exception of a service."""
    name = type(error).__name__
    if isinstance(error, FileNotFoundError):
        return errno.ENOENT, 'there is no such file or folder'
    if 'Credential' in name or isinstance(error, PermissionError):
        return errno.EACCES, f'access is refused; log in to the service or ask for the right to it ({_line(error)})'
    if isinstance(error, TimeoutError):
        return errno.ETIMEDOUT, 'the service does not answer; try again later'
    number = error.errno if isinstance(error, OSError) and error.errno else errno.EIO
    return number, f'the service or the connection to it failed ({_line(error)})'


def _line(error: Exception) -> str:
    text = ' '.join(str(error).split()) or type(error).__name__
    return text if len(text) <= 200 else text[:200] + '...'
