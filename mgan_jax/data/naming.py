"""Names of result folders: different from each other, and fit for any file system."""

import itertools
import re
import unicodedata
from collections.abc import Iterator, Sequence

RESERVED = ('metrics.csv', 'config.json', 'report.html')  # written beside the result folders

_UNFIT = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f\ud800-\udfff]')


def name_results(places: Sequence[str]) -> list[str]:
    """A folder name for each place, an absolute path or a URL, with folders that '/' divides.

    Names differ even where case is ignored and never equal one of RESERVED: the file's stem where only one file has it, else
    made from the extension and the parent folders ('a-png', 'x-1', 'x-1-png').
    """
    found, groups = _by_stem(places)
    taken = {_key(name) for name in RESERVED}
    taken.update(_key(name) for name in found if name)
    for members in sorted(groups, key=len):
        for attempt in _attempts([places[index] for index in members]):
            keys = {_key(name) for name in attempt}
            if len(keys) == len(members) and not keys & taken:
                break
        taken |= keys
        for index, name in zip(members, attempt, strict=True):
            found[index] = name
    return found


def _by_stem(places: Sequence[str]) -> tuple[list[str], list[list[int]]]:
    """-> (the names of files whose stem nobody else has, '' for the others; the others' indices, stem by stem)."""
    found, owner = [''] * len(places), {_key(name): -1 for name in RESERVED}
    groups: dict[str, list[int]] = {}
    for index, place in enumerate(places):
        name = _clean(_split(place)[0])
        key = _key(name)
        first = owner.setdefault(key, index)
        if first == index:
            found[index] = name
            continue
        group = groups.setdefault(key, [first] if first >= 0 else [])
        if first >= 0:
            found[first] = ''
        group.append(index)
    return found, list(groups.values())


def _attempts(places: list[str]) -> Iterator[list[str]]:
    """Ever longer names for files with the same stem; numbers when folders do not tell them apart."""
    folders = [[part for part in place.split('/')[:-1] if part] for place in places]
    stems, suffixes = zip(*map(_split, places), strict=True)
    for depth in range(1 + max(map(len, folders))):
        plain = [
            '-'.join([*parts[len(parts) - min(depth, len(parts)) :], _clean(stem)])
            for parts, stem in zip(folders, stems, strict=True)
        ]
        yield [_clean(name) for name in plain]
        yield [_clean(name + suffix.replace('.', '-')) for name, suffix in zip(plain, suffixes, strict=True)]
    for start in itertools.count(1):
        yield [f'{_clean(stem)}-{start + i}' for i, stem in enumerate(stems)]


def _split(place: str) -> tuple[str, str]:
    """'x/a.png' -> ('a', '.png')."""
    name = place.rpartition('/')[2]
    dot = name.rfind('.')
    return (name[:dot], name[dot:]) if 0 < dot < len(name) - 1 else (name, '')


def _clean(name: str) -> str:
    """A name that any file system takes for a folder, at most 160 bytes, never hidden."""
    name = _UNFIT.sub('_', unicodedata.normalize('NFC', name))
    return name.encode()[:160].decode(errors='ignore').strip('. ') or 'image'


def _key(name: str) -> str:
    """The same for names that some file systems take for one; `name` itself, not a copy, where it is its own key."""
    key = unicodedata.normalize('NFC', name.casefold())
    return name if key == name else key
