"""The output folder: a folder per image, whole or not at all, and the table of all of them."""

import csv
import io
import json
import os
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mgan_jax import files, images, sources
from mgan_jax.sources import Source

COLUMNS = ('name', 'status', 'loss', 'psnr', 'ssim', 'lpips', 'input_psnr', 'steps', 'seconds')
DONE = 'done'
NOT_PART_OF_THE_RESULT = ('images', 'out', 'batch_size', 'remat')


class Result(NamedTuple):
    """What is kept of one image. Pictures [H W C] in [-1, 1]; codes: latents [N D], alpha [N C], ...; row: see COLUMNS."""

    pictures: dict[str, np.ndarray]
    codes: dict[str, np.ndarray]
    row: dict


def start(out: Path, settings: dict, machine: dict, found: Iterable[Source]) -> None:
    """Writes config.json. ValueError if the folder cannot be written, or holds something else than results of this run."""
    path = out / 'config.json'
    try:
        started = path.exists()
        if started:
            _require_same(out, _read(path, 'config', dict)['config'], settings)
        for source in found:
            _require_own(out, source, started)
        _write(path, json.dumps({'config': settings, **machine}, indent=2) + '\n')
    except OSError as error:
        raise ValueError(
            f'the output folder {out} cannot be used: {error.strerror}; choose another --config.out.'
        ) from error


def _require_same(out: Path, before: dict, now: dict) -> None:
    for field in sorted((before.keys() | now.keys()) - set(NOT_PART_OF_THE_RESULT)):
        if before.get(field) != now.get(field):
            raise ValueError(
                f'{out} holds results with {field} {before.get(field)!r}, and {now.get(field)!r} is asked for now; '
                'choose another --config.out, or the same settings to go on.'
            )


def _require_own(out: Path, source: Source, started: bool) -> None:
    """What stands in an image's place must be that image's result."""
    folder = out / source.name
    if not os.path.lexists(folder):
        return
    if not started or not is_done(out, source.name):
        raise ValueError(
            f'{folder} is in the way and is no result of this run; move it or choose another --config.out.'
        )
    if _read(folder / 'metrics.json', 'crc32', str)['crc32'] != _checksum(source):
        raise ValueError(f'{folder} is the result of another image than {source.title}; choose another --config.out.')


def _checksum(source: Source) -> str:
    return f'{zlib.crc32(sources.load(source)):08x}'


def _read(path: Path, key: str, kind: type) -> dict:
    """A JSON object that has a `kind` under `key`."""
    try:
        value = json.loads(path.read_text(encoding='utf-8'))
        if not isinstance(value[key], kind):
            raise TypeError(f'{key} is no {kind.__name__}')
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f'{path} is damaged; move {path.parent} away or choose another --config.out.') from error
    return value


def _write(path: Path, text: str) -> None:
    """Leaves a file alone that holds this text already."""
    if not path.exists() or path.read_bytes() != text.encode():
        files.write_text_atomically(path, text)


def is_done(out: Path, name: str) -> bool:
    """Whether an image's folder is there; it appears whole."""
    return (out / name / 'metrics.json').is_file()


def write(out: Path, source: Source, result: Result) -> None:
    """Writes the folder of one image."""
    row = result.row | {'crc32': _checksum(source)}  # of the image file, to recognise it in a later run
    with files.whole(out / source.name) as folder:
        for title, picture in result.pictures.items():
            images.write_png(folder / f'{title}.png', picture)
        np.savez(folder / 'latents.npz', allow_pickle=False, **result.codes)
        (folder / 'metrics.json').write_text(json.dumps(row, indent=2) + '\n', encoding='utf-8')


def write_table(out: Path, names: Iterable[str], failed: dict[str, str]) -> list[dict]:
    """Writes metrics.csv: a row per image in the order of the list, from the folders that are there. -> the rows."""
    rows = []
    for name in names:
        if is_done(out, name):
            rows.append(_read(out / name / 'metrics.json', 'status', str))
        elif name in failed:
            rows.append({'name': name, 'status': failed[name]})
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, restval='', extrasaction='ignore', lineterminator='\n')
    writer.writeheader()
    writer.writerows(rows)
    _write(out / 'metrics.csv', text.getvalue())
    return rows
