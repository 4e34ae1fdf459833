"""Lists the files that a specification names: files, folders, globs and lists, local or behind URLs.

A folder may hold a million files. They are therefore examined by listing the folder, not one by one.
"""

import functools
import glob
import io
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from mgan_jax.settings.errors import one_sentence
from mgan_jax.storage import remote

EXTENSIONS = ('.png', '.jpg', '.jpeg', '.webp', '.bmp', '.tif', '.tiff', '.ppm', '.pgm', '.pbm', '.pnm')
SHARD = '.tar'
LISTS = ('.txt', '.lst')
BUNDLED = 'bundled'
WANTED = 'give an image file, a folder, a glob, a list or tar file, or a URL'


def list_paths(spec: str | os.PathLike | Sequence[str | os.PathLike], bundled: Path | None) -> list[str]:
    """Returns the image and tar files that `spec` names, each once; the parameters are those of `sources.find_images`.

    Raises ValueError or OSError if a file is missing or cannot be read, or if a part of `spec` names no image.
    """
    paths: dict[str, str] = {}  # by real path
    for item in _items(spec):
        for path, real in _expand(item, bundled):
            paths.setdefault(real, path)
    return list(paths.values())


def _items(spec) -> list[str]:
    """The parts of a specification. A string is divided at commas, unless it is a file or a glob as a whole."""
    if not isinstance(spec, str | os.PathLike):
        return [text for text in map(os.fspath, spec or ()) if text.strip()] or [BUNDLED]
    text = os.fspath(spec)
    path = os.path.expanduser(text)
    if os.path.exists(path) or (glob.has_magic(path) and any(True for _ in glob.iglob(path, recursive=True))):
        return [text]
    return [part.strip() for part in text.split(',') if part.strip()] or [BUNDLED]


def _expand(item: str, bundled: Path | None) -> Iterator[tuple[str, str]]:
    """The files of one part of a specification, as pairs (path, real path)."""
    if remote.is_remote(item):
        return _expand_url(item)
    path = os.path.expanduser(item)
    if item == BUNDLED and not os.path.exists(path):
        if bundled is None:
            raise ValueError('no images are named and none are bundled here: give an image file, a folder or a glob')
        path = os.fspath(bundled)
    if os.path.isdir(path):
        names = sorted(name for name in os.listdir(path) if _is_wanted(name) and not is_hidden(name))
        return _require_some(
            f'the folder {path} holds', _files(os.path.join('' if path == '.' else path, name) for name in names)
        )
    if os.path.exists(path):
        return _read_list(path) if path.lower().endswith(LISTS) else iter([(path, os.path.realpath(path))])
    if glob.has_magic(path):
        hits = sorted(filter(_is_wanted, glob.glob(path, recursive=True)), key=lambda hit: hit.split(os.sep))
        return _require_some(f'the glob {item} matches', _files(hits))
    raise ValueError(f'{item} does not exist: {WANTED}')


def _expand_url(url: str) -> Iterator[tuple[str, str]]:
    if url.lower().endswith(LISTS):
        return _read_list(url)
    hits = remote.expand_url(url)
    if hits == [url]:
        return iter([(url, url)])
    return _require_some(f'{url} holds', ((hit, hit) for hit in hits if _is_wanted(hit) and not is_hidden(hit)))


def _require_some(where: str, files: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Yields `files`. Raises ValueError at the end if there was none."""
    empty = True
    for pair in files:
        empty = False
        yield pair
    if empty:
        raise ValueError(f'{where} no image: give files whose names end in {", ".join(EXTENSIONS)}, or {SHARD}')


def _is_wanted(path: str) -> bool:
    return path.lower().endswith((*EXTENSIONS, SHARD))


def is_hidden(path: str) -> bool:
    """Returns whether the last part of a path begins with a dot."""
    return path.rpartition('/')[2].startswith('.')


def _files(paths: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yields (path, real path) of the paths that are files. Regular files need no system call of their own."""
    scan = functools.cache(_scan_folder)
    for path in paths:
        folder, name = os.path.split(path)
        real, others = scan(folder)
        if name not in others:
            yield path, path if real == folder else os.path.join(real, name)
        elif os.path.isfile(path):
            yield path, os.path.realpath(path)


def _scan_folder(folder: str) -> tuple[str, set[str]]:
    """Returns (real path of the folder, names in it that are no regular files)."""
    with os.scandir(folder or '.') as entries:
        others = {entry.name for entry in entries if not entry.is_file(follow_symlinks=False)}
    return os.path.realpath(folder), others


def _read_list(path: str) -> Iterator[tuple[str, str]]:
    """Yields the files that a list names. Raises ValueError with the line number if a line names no file."""
    base = path.rpartition('/')[0] if remote.is_remote(path) else os.path.dirname(path)
    real, empty = functools.cache(os.path.realpath), True
    schemes: set[str] = set()
    for number, line in enumerate(_lines(path), 1):
        text = line.decode('utf-8', 'surrogateescape').strip('\ufeff \t\r\n')
        if not text or text.startswith('#'):
            continue
        empty = False
        try:
            yield _listed(text, base, schemes, real)
        except (OSError, ValueError) as error:
            raise ValueError(f'line {number} of {path} names no image: {one_sentence(error)}') from error
    if empty:
        raise ValueError(f'the list {path} names no image: write a path or URL on each line')


def _lines(path: str) -> Iterator[bytes]:
    with io.BytesIO(remote.read_url(path)) if remote.is_remote(path) else open(path, 'rb') as file:
        yield from file


def _listed(text: str, base: str, schemes: set[str], real: Callable[[str], str]) -> tuple[str, str]:
    """(path, real path) of the file that a line names.

    base: folder of the list. schemes: usable schemes of URLs, which are added here. real: a cached os.path.realpath.
    """
    if text.lower().endswith(LISTS):
        raise ValueError(f'{text} is a list itself')
    path = os.path.join(base, os.path.expanduser(text)) if not remote.is_remote(text) else text
    if remote.is_remote(path):
        scheme = path.partition(':')[0]
        if scheme not in schemes:
            remote.require_scheme(path)
        schemes.add(scheme)
        return path, path
    mode = os.lstat(path).st_mode
    if stat.S_ISREG(mode):
        known = os.path.join(real(os.path.dirname(path)), os.path.basename(path))
        return path, path if known == path else known  # the same object twice saves memory in long lists
    if not os.path.isfile(path):
        raise ValueError(f'{path} is no file')
    return path, os.path.realpath(path)
