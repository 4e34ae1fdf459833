"""Which image files a run takes: finding them, and naming their results."""

import glob
import itertools
import os
import re
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

EXTENSIONS = ('.png', '.jpg', '.jpeg', '.webp', '.bmp', '.tif', '.tiff', '.ppm', '.pgm', '.pbm', '.pnm')  # in a folder
BUNDLED = 'bundled'
RESERVED = ('metrics.csv', 'config.json', 'report.html')  # written beside the result folders


class Source(NamedTuple):
    """An image file, and the name of its result folder."""

    path: Path
    name: str


def find(spec: str | os.PathLike | Sequence[str | os.PathLike], bundled: Path | None = None) -> list[Source]:
    """The image files that `spec` names, in its order, each once.

    Args:
        spec: a file, a folder (its image files, sorted, hidden ones skipped, subfolders not searched), a glob (sorted,
            `**` goes through subfolders), or several of them in a sequence or in one string separated by commas. What
            exists as a whole is never split, and a path that exists is not taken for a glob. Nothing, or the word
            'bundled', stands for the folder `bundled`.
        bundled: the folder of images that come with the library, if there is one.

    Returns:
        Sources with names that differ even where case is ignored and that never equal a name in RESERVED: the file's
        stem where only one file has it, else made from the extension and the parent folders ('a-png', 'x-1',
        'x-1-png').

    Raises:
        ValueError: a file is missing, or a folder or glob holds no image.
    """
    paths = [path for item in _items(spec) for path in _expand(item, bundled)]
    once: dict[Path, Path] = {}
    for path in paths:
        once.setdefault(path.resolve(), path)
    return [Source(path, name) for path, name in zip(once.values(), _names(list(once.values())), strict=True)]


def _items(spec) -> list[str]:
    if not isinstance(spec, str | os.PathLike):
        return [text for text in map(os.fspath, spec or ()) if text.strip()] or [BUNDLED]
    text = os.fspath(spec)
    whole = os.path.expanduser(text)
    if os.path.exists(whole) or (glob.has_magic(whole) and glob.glob(whole, recursive=True)):
        return [text]
    return [part.strip() for part in text.split(',') if part.strip()] or [BUNDLED]


def _expand(item: str, bundled: Path | None) -> list[Path]:
    """The files of one part of a specification."""
    path = Path(os.path.expanduser(item))
    if item == BUNDLED and not path.exists():
        if bundled is None:
            raise ValueError('no images are named and none are bundled here: give an image file, a folder or a glob')
        path = Path(bundled)
    if path.is_dir():
        hits = [hit for hit in path.iterdir() if not hit.name.startswith('.')]
    elif path.exists():
        return [path]
    elif glob.has_magic(item):
        hits = [Path(hit) for hit in glob.glob(str(path), recursive=True)]
    else:
        raise ValueError(f'{item} does not exist: give an image file, a folder or a glob')
    hits = sorted(hit for hit in hits if hit.suffix.lower() in EXTENSIONS and hit.is_file())
    if not hits:
        where = f'the folder {path} holds' if path.is_dir() else f'the glob {item} matches'
        raise ValueError(f'{where} no image: give files whose names end in {", ".join(EXTENSIONS)}')
    return hits


def _names(paths: list[Path]) -> list[str]:
    """A folder name for each path; files that share a stem are told apart in the same way."""
    groups: dict[str, list[int]] = {}
    for index, path in enumerate(paths):
        groups.setdefault(_key(_clean(path.stem)), []).append(index)
    names, taken = [''] * len(paths), {_key(name) for name in RESERVED}
    for members in sorted(groups.values(), key=len):  # a stem that is alone comes first, and keeps its name
        for attempt in _attempts([paths[index] for index in members]):
            keys = {_key(name) for name in attempt}
            if len(keys) == len(members) and not keys & taken:
                break
        taken |= keys
        for index, name in zip(members, attempt, strict=True):
            names[index] = name
    return names


def _attempts(paths: list[Path]) -> Iterator[list[str]]:
    """Ever longer names for files with the same stem; numbers when folders do not tell them apart."""
    full = [Path(os.path.abspath(path)) for path in paths]
    for depth in range(max(len(path.parts) for path in full) - 1):
        plain = ['-'.join([*path.parts[1:][-depth - 1 : -1], _clean(path.stem)]) for path in full]
        yield [_clean(name) for name in plain]
        yield [_clean(name + path.suffix.replace('.', '-')) for name, path in zip(plain, full, strict=True)]
    for start in itertools.count(1):
        yield [f'{_clean(path.stem)}-{start + i}' for i, path in enumerate(full)]


def _clean(name: str) -> str:
    """A name that any file system takes for a folder, at most 160 bytes, never hidden."""
    name = re.sub(r'[<>:"/\\|?*\x00-\x1f\x7f\ud800-\udfff]', '_', unicodedata.normalize('NFC', name))
    return name.encode()[:160].decode(errors='ignore').strip('. ') or 'image'


def _key(name: str) -> str:
    return unicodedata.normalize('NFC', name.casefold())
