"""The output folder: a folder per image, whole or not at all, and the table of all of them."""

import csv
import io
import json
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mgan_jax import files, images

COLUMNS = ('name', 'status', 'loss', 'psnr', 'ssim', 'input_psnr', 'steps', 'seconds')
DONE = 'done'
NOT_PART_OF_THE_RESULT = ('images', 'out', 'batch_size')


class Result(NamedTuple):
    """What is kept of one image. Pictures [H W C] in [-1, 1]; latents [N D], alpha [N C]; row: see COLUMNS."""

    pictures: dict[str, np.ndarray]
    latents: np.ndarray
    alpha: np.ndarray
    row: dict


def start(out: Path, settings: dict, machine: dict) -> None:
    """Writes config.json. ValueError if the folder holds results of other settings, or cannot be written."""
    path = out / 'config.json'
    try:
        if path.exists():
            _require_same(out, json.loads(path.read_text(encoding='utf-8'))['config'], settings)
        files.write_text_atomically(path, json.dumps({'config': settings, **machine}, indent=2) + '\n')
    except (OSError, KeyError, TypeError, json.JSONDecodeError) as error:
        reason = getattr(error, 'strerror', None) or f'its config.json is damaged ({error})'
        raise ValueError(f'the output folder {out} cannot be used: {reason}; choose another --config.out.') from error


def _require_same(out: Path, before: dict, now: dict) -> None:
    for field in sorted(before.keys() | now.keys() - set(NOT_PART_OF_THE_RESULT)):
        if field not in NOT_PART_OF_THE_RESULT and before.get(field) != now.get(field):
            raise ValueError(
                f'{out} holds results with {field} {before.get(field)!r}, and {now.get(field)!r} is asked for now; '
                'choose another --config.out, or the same settings to go on.'
            )


def is_done(out: Path, name: str) -> bool:
    """Whether an image's folder is there; it appears whole."""
    return (out / name).is_dir()


def write(out: Path, name: str, result: Result) -> None:
    """Writes the folder of one image."""
    with files.whole(out / name) as folder:
        for title, picture in result.pictures.items():
            images.write_png(folder / f'{title}.png', picture)
        np.savez(folder / 'latents.npz', latents=result.latents, alpha=result.alpha)
        (folder / 'metrics.json').write_text(json.dumps(result.row, indent=2) + '\n', encoding='utf-8')


def write_table(out: Path, names: Iterable[str], failed: dict[str, str]) -> list[dict]:
    """Writes metrics.csv: a row per image in the order of the list, from the folders that are there. -> the rows."""
    rows = []
    for name in names:
        if is_done(out, name):
            rows.append(json.loads((out / name / 'metrics.json').read_text(encoding='utf-8')))
        elif name in failed:
            rows.append({'name': name, 'status': failed[name]})
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, restval='', lineterminator='\n')
    writer.writeheader()
    writer.writerows(rows)
    files.write_text_atomically(out / 'metrics.csv', text.getvalue())
    return rows
