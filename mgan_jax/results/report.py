"""report.html: a run to look at, in one file that needs no other and no network.

Thumbnails, curves and figures are in it; the pictures at their full size lie beside it in the folders of the images. Made image
by image from small files of theirs; what it holds at once, and so what it takes to make, is bounded by ROWS and BYTES.
"""

import base64
import contextlib
import functools
import hashlib
import html
import io
import json
import math
import os
import string
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image

from mgan_jax.results import history, records, thumbnails
from mgan_jax.results.evaluation import PREVIEW
from mgan_jax.settings import command_line
from mgan_jax.storage import prefetch
from mgan_jax.storage.stores import Store

NAME = 'report.html'
ROWS, BYTES = 50_000, 45_000_000  # images that it tells of, and what their thumbnails may take
POINTS = 64  # of each curve
FILES = (
    'input.png', 'result.png', 'inversion.png', 'target.png', 'history.webp', 'history.mp4', 'codes.png', 'alpha.png',
    'edit.png', 'edit.webp', 'edit.mp4',
)  # fmt: skip
TITLES = {
    'reconstruct': 'Reconstruction',
    'super_resolve': 'Super-resolution',
    'colorize': 'Colourisation',
    'inpaint': 'Inpainting',
    'denoise': 'Denoising',
    'edit': 'Semantic editing',
}
THREADS = min(8, os.cpu_count() or 1)
_TEMPLATES = Path(__file__).parent / 'templates'
_SCRIPTS = ('dom.js', 'charts.js', 'gallery.js', 'view.js', 'report.js')


class ReportEntry(NamedTuple):
    """An image of the report. files: which of FILES its folder has; thumb: the content of its preview, b'' for none; loss,
    psnr: at the steps of the report."""

    row: dict
    files: frozenset[str] = frozenset()
    thumb: bytes = b''
    loss: tuple[float | None, ...] = ()
    psnr: tuple[float | None, ...] = ()


class CurveSteps(NamedTuple):
    """The steps at which curves are told."""

    loss: Sequence[int]
    psnr: Sequence[int]


def write_report(store: Store) -> None:
    """Writes the report of the images that the table has; of a run of many processes the one that ends last does so."""
    if not records.all_processes_finished(store):
        return
    config = json.loads(store.read('config.json') or b'{}')
    rows, steps = records.read_table(store), _steps(config.get('config', {}))
    told = rows[:ROWS]
    gathered = prefetch.prefetch(functools.partial(_entry, store, steps), told, workers=THREADS, depth=4 * THREADS)
    with contextlib.closing(gathered):
        content = render_report(config, steps, map(_require, gathered), len(rows) - len(told))
    if content != store.read(NAME):
        store.write(NAME, content)


def render_report(config: dict, steps: CurveSteps, entries: Iterable[ReportEntry], left_out: int = 0) -> bytes:
    """The file. config: what config.json holds; left_out: how many images there were besides."""
    columns = [name for name in records.COLUMNS if name not in ('name', 'status')]
    lines, thumbs, room, shape = [], [], BYTES, None
    for entry in entries:
        line, thumb = _line(entry, columns), base64.b64encode(entry.thumb).decode('ascii')
        room -= len(thumb) + len(line)
        if room < 0:
            line, thumb = _line(entry._replace(loss=(), psnr=()), columns), ''
        shape = shape or (_panel(entry) if thumb else None)
        lines.append(line)
        thumbs.append(thumb)
    settings = config.get('config', {})
    told = {
        'title': task_title(settings),
        'columns': columns,
        'files': FILES,
        'panels': thumbnails.TITLES,
        'shape': shape or (1, 1),
        'codes': settings.get('num_codes', 1),
        'loss_steps': steps.loss,
        'psnr_steps': steps.psnr,
        'left_out': f'{left_out} more are in metrics.csv' if left_out else '',
        'versions': list(config.get('versions', {}).items()),
        'devices': _counted(config.get('devices', [])),
        **command_line.describe_settings(settings),
    }
    return _filled(told, lines, thumbs)


def task_title(settings: dict) -> str:
    task = TITLES.get(settings.get('task', ''), 'A run')
    return f'{task} x{settings["factor"]}' if 'factor' in settings else task


def _filled(told: dict, lines: Sequence[str], thumbs: Sequence[str]) -> bytes:
    """The template with all its parts. The page says by checksum which script and style are its own; nothing else runs."""
    style = _read('report.css')
    script = '\n'.join(map(_read, _SCRIPTS))
    return (
        string.Template(_read('report.html'))
        .substitute(
            title=html.escape(told['title']),
            style=style,
            script=script,
            style_sum=_checksum(style),
            script_sum=_checksum(script),
            run=json_for_script(told),
            images=f'[{",".join(lines)}]',
            thumbs='\n'.join(thumbs),
        )
        .encode()
    )


def json_for_script(value: Any) -> str:
    """JSON for a <script> element: no character in it can end that, whatever the names are."""
    text = json.dumps(value, separators=(',', ':'), ensure_ascii=True, allow_nan=False)
    return text.replace('<', '\\u003c').replace('>', '\\u003e').replace('&', '\\u0026')


def _read(name: str) -> str:
    return (_TEMPLATES / name).read_text(encoding='utf-8')


def _checksum(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode('ascii')


def _line(entry: ReportEntry, columns: Sequence[str]) -> str:
    row = entry.row
    values = [_finite(row.get(column)) for column in columns]
    files = sum(1 << bit for bit, name in enumerate(FILES) if name in entry.files)
    return json_for_script([row['name'], row['status'], values, files, entry.loss, entry.psnr])


def _finite(value: Any) -> float | None:
    return value if isinstance(value, int | float) and math.isfinite(value) else None


def _panel(entry: ReportEntry) -> tuple[int, int]:
    """Width and height of a thumbnail."""
    with Image.open(io.BytesIO(entry.thumb)) as strip:
        return strip.width // (3 if 'target.png' in entry.files else 2), strip.height


def _counted(devices: Sequence[str]) -> list[tuple[str, str]]:
    return [
        (kind, f'{devices.count(kind)} of them' if devices.count(kind) > 1 else '1') for kind in sorted(set(devices))
    ]


# Image by image


def _entry(store: Store, steps: CurveSteps, row: dict) -> ReportEntry:
    """What a folder gives; an image that failed before its first result has none."""
    if 'loss' not in row:
        return ReportEntry(row)
    name = row['name']
    there = frozenset(store.names(name))
    curves = history.parse_history(store.read(f'{name}/history.csv') or b'') if 'history.csv' in there else {}
    loss, psnr = (
        tuple(_rounded(curves.get(title, {}).get(step)) for step in part) for title, part in steps._asdict().items()
    )
    return ReportEntry(row, there & set(FILES), _thumb(store, name, there), loss, psnr)


def _thumb(store: Store, name: str, there: frozenset[str]) -> bytes:
    if PREVIEW in there and _is_picture(content := store.read(f'{name}/{PREVIEW}') or b''):
        return content
    files = [f'{title}.png' for title in thumbnails.TITLES if f'{title}.png' in there]  # results of an earlier release
    return thumbnails.thumbnail_from_files([store.read(f'{name}/{file}') or b'' for file in files]) or b''


def _is_picture(content: bytes) -> bool:
    try:
        with Image.open(io.BytesIO(content), formats=['WEBP']):
            return True
    except (OSError, ValueError):
        return False


def _require(outcome: prefetch.Prefetched) -> ReportEntry:
    if isinstance(outcome.error, OSError):  # a folder that cannot be read costs its own pictures only
        return ReportEntry(outcome.item)
    if outcome.error is not None:
        raise outcome.error
    return outcome.value


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f'{value:.4g}')


def _steps(settings: dict) -> CurveSteps:
    total, every = settings.get('steps', 0), settings.get('history_every', 0)
    loss = range(0, total, history.keep_interval(total, 1, history.CURVE) or 1)
    seen = history.keep_interval(total, every, history.FRAMES)
    psnr = [*range(seen, total, seen), total] if seen else []
    return CurveSteps(_thinned(loss), psnr)


def _thinned(steps: Sequence[int]) -> list[int]:
    """At most POINTS of them, evenly, and the last one."""
    every = max(1, math.ceil(len(steps) / POINTS))
    return sorted({*steps[::every], *steps[-1:]})
