"""Which files a specification names: files, folders, globs, lists, here or behind URLs.

Of a file no more is asked than the listing of its folder tells, since there may be a million of them.
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
    """The image and tar files that `spec` names, each once; see `sources.find_images`. OSError or ValueError as it happens."""
    once: dict[str, str] = {}
    for item in _items(spec):
        for path, real in _expand(item, bundled):
            once.setdefault(real, path)
    return list(once.values())


def _items(spec) -> list[str]:
    if not isinstance(spec, str | os.PathLike):
        return [text for text in map(os.fspath, spec or ()) if text.strip()] or [BUNDLED]
    text = os.fspath(spec)
    whole = os.path.expanduser(text)
    if os.path.exists(whole) or (glob.has_magic(whole) and any(True for _ in glob.iglob(whole, recursive=True))):
        return [text]
    return [part.strip() for part in text.split(',') if part.strip()] or [BUNDLED]


def _expand(item: str, bundled: Path | None) -> Iterator[tuple[str, str]]:
    """The files of one part of a specification, each with the one path by which it is known, however it is reached."""
    if remote.is_remote(item):
        return _expand_url(item)
    path = os.path.expanduser(item)
    if item == BUNDLED and not os.path.exists(path):
        if bundled is None:
            raise ValueError('no images are named and none are bundled here: give an image file, a folder or a glob')
        path = os.fspath(bundled)
    if os.path.isdir(path):
        names = sorted(name for name in os.listdir(path) if _is_wanted(name) and not is_hidden(name))
        return _chosen(
            f'the folder {path} holds', _files(os.path.join('' if path == '.' else path, name) for name in names)
        )
    if os.path.exists(path):
        return _read_list(path) if path.lower().endswith(LISTS) else iter([(path, os.path.realpath(path))])
    if glob.has_magic(path):
        hits = sorted(filter(_is_wanted, glob.glob(path, recursive=True)), key=lambda hit: hit.split(os.sep))
        return _chosen(f'the glob {item} matches', _files(hits))
    raise ValueError(f'{item} does not exist: {WANTED}')


def _expand_url(url: str) -> Iterator[tuple[str, str]]:
    if url.lower().endswith(LISTS):
        return _read_list(url)
    hits = remote.expand_url(url)
    if hits == [url]:
        return iter([(url, url)])
    return _chosen(f'{url} holds', ((hit, hit) for hit in hits if _is_wanted(hit) and not is_hidden(hit)))


def _chosen(where: str, files: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """The files, of which there is to be one at least."""
    empty = True
    for pair in files:
        empty = False
        yield pair
    if empty:
        raise ValueError(f'{where} no image: give files whose names end in {", ".join(EXTENSIONS)}, or {SHARD}')


def _is_wanted(path: str) -> bool:
    return path.lower().endswith((*EXTENSIONS, SHARD))


def is_hidden(path: str) -> bool:
    return path.rpartition('/')[2].startswith('.')


def _files(paths: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Those that are files, and by which one path each is known; asks about folders, not about every file."""
    look = functools.cache(_look)
    for path in paths:
        folder, name = os.path.split(path)
        real, others = look(folder)
        if name not in others:
            yield path, path if real == folder else os.path.join(real, name)
        elif os.path.isfile(path):
            yield path, os.path.realpath(path)


def _look(folder: str) -> tuple[str, set[str]]:
    """-> (its one path, the names in it that are links, folders or the like)."""
    with os.scandir(folder or '.') as entries:
        others = {entry.name for entry in entries if not entry.is_file(follow_symlinks=False)}
    return os.path.realpath(folder), others


def _read_list(path: str) -> Iterator[tuple[str, str]]:
    """The files that a list names. ValueError with the number of the first line that names none."""
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
    """A file that a line names, and its one path. schemes: of URLs that are known to be usable."""
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
        return path, path if known == path else known
    if not os.path.isfile(path):
        raise ValueError(f'{path} is no file')
    return path, os.path.realpath(path)
