"""Names of result folders: unique, and valid in any file system."""

import itertools
import re
import unicodedata
from collections.abc import Iterator, Sequence

RESERVED = ('metrics.csv', 'config.json', 'report.html')  # files beside the result folders
MAX_NAME_BYTES = 160

_INVALID = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f\ud800-\udfff]')


def name_results(paths: Sequence[str]) -> list[str]:
    """Returns a folder name for each image, in order.

    A name is the stem of the file if no other file has this stem. Otherwise it also has the parent folders and the
    extension, as far as needed ('a-png', 'x-1', 'x-1-png'). Names differ even without case and never equal one of RESERVED.

    paths: absolute paths or URLs of the images, with '/' between folders.
    """
    names, groups = _name_by_stem(paths)
    taken = {_comparison_key(name) for name in RESERVED}
    taken.update(_comparison_key(name) for name in names if name)
    for group in sorted(groups, key=len):
        for candidates in _candidate_names([paths[index] for index in group]):
            keys = {_comparison_key(name) for name in candidates}
            if len(keys) == len(group) and not keys & taken:
                break
        taken |= keys
        for index, name in zip(group, candidates, strict=True):
            names[index] = name
    return names


def _name_by_stem(paths: Sequence[str]) -> tuple[list[str], list[list[int]]]:
    """Returns the stems of files whose stem is unique, '' for other files, and the indices of others grouped by stem."""
    names, owner = [''] * len(paths), {_comparison_key(name): -1 for name in RESERVED}
    groups: dict[str, list[int]] = {}
    for index, path in enumerate(paths):
        name = _to_valid_name(_split_suffix(path)[0])
        key = _comparison_key(name)
        first = owner.setdefault(key, index)
        if first == index:
            names[index] = name
            continue
        group = groups.setdefault(key, [first] if first >= 0 else [])
        if first >= 0:
            names[first] = ''
        group.append(index)
    return names, list(groups.values())


def _candidate_names(paths: list[str]) -> Iterator[list[str]]:
    """Yields ever longer names for files of one stem, with more parent folders; then numbered names without end."""
    folders = [[part for part in path.split('/')[:-1] if part] for path in paths]
    stems, suffixes = zip(*map(_split_suffix, paths), strict=True)
    for depth in range(1 + max(map(len, folders))):
        names = [
            '-'.join([*parts[len(parts) - min(depth, len(parts)) :], _to_valid_name(stem)])
            for parts, stem in zip(folders, stems, strict=True)
        ]
        yield [_to_valid_name(name) for name in names]
        yield [_to_valid_name(name + suffix.replace('.', '-')) for name, suffix in zip(names, suffixes, strict=True)]
    for first in itertools.count(1):
        yield [f'{_to_valid_name(stem)}-{first + i}' for i, stem in enumerate(stems)]


def _split_suffix(path: str) -> tuple[str, str]:
    """'x/a.png' -> ('a', '.png')."""
    name = path.rpartition('/')[2]
    dot = name.rfind('.')
    return (name[:dot], name[dot:]) if 0 < dot < len(name) - 1 else (name, '')


def _to_valid_name(name: str) -> str:
    """Returns a folder name that any file system accepts, not hidden, of at most MAX_NAME_BYTES."""
    name = _INVALID.sub('_', unicodedata.normalize('NFC', name))
    return name.encode()[:MAX_NAME_BYTES].decode(errors='ignore').strip('. ') or 'image'


def _comparison_key(name: str) -> str:
    """Returns equal keys for names that some file systems treat as one. Returns `name` itself, not a copy, if equal."""
    key = unicodedata.normalize('NFC', name.casefold())
    return name if key == name else key
