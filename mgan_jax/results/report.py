"""Writes report.html: a page of a run in one file, which needs no other file and no network.

The page embeds thumbnails, curves and metrics. The pictures at full size are in the folders of the images beside it. It is
made image by image; ROWS and BYTES bound its size, and the memory and time that it takes.
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
ROWS, BYTES = 50_000, 45_000_000  # images of a page at most; bytes of their rows and thumbnails at most
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
    """An image of the report.

    row: of metrics.csv. files: those of FILES that its folder has. thumbnail: a WebP, b'' for none. loss, psnr: values at
    the `CurveSteps` of the report.
    """

    row: dict
    files: frozenset[str] = frozenset()
    thumbnail: bytes = b''
    loss: tuple[float | None, ...] = ()
    psnr: tuple[float | None, ...] = ()


class CurveSteps(NamedTuple):
    """The steps at which the curves have points."""

    loss: Sequence[int]
    psnr: Sequence[int]


def write_report(store: Store) -> None:
    """Writes the report of all images in the table, unless other processes of the run have not finished yet."""
    if not records.all_processes_finished(store):
        return
    config = json.loads(store.read('config.json') or b'{}')
    rows, steps = records.read_table(store), _curve_steps(config.get('config', {}))
    shown_rows = rows[:ROWS]
    entries = prefetch.prefetch(
        functools.partial(_read_entry, store, steps), shown_rows, workers=THREADS, depth=4 * THREADS
    )
    with contextlib.closing(entries):
        content = render_report(config, steps, map(_require_entry, entries), len(rows) - len(shown_rows))
    if content != store.read(NAME):
        store.write(NAME, content)


# Rendering


def render_report(config: dict, steps: CurveSteps, entries: Iterable[ReportEntry], left_out: int = 0) -> bytes:
    """Returns the content of the page. config: the content of config.json. left_out: number of images without an entry."""
    columns = [name for name in records.COLUMNS if name not in ('name', 'status')]
    lines, encoded_thumbnails, bytes_left, panel_size = [], [], BYTES, None
    for entry in entries:
        line, encoded = _entry_json(entry, columns), base64.b64encode(entry.thumbnail).decode('ascii')
        bytes_left -= len(encoded) + len(line)
        if bytes_left < 0:
            line, encoded = _entry_json(entry._replace(loss=(), psnr=()), columns), ''
        panel_size = panel_size or (_panel_size(entry) if encoded else None)
        lines.append(line)
        encoded_thumbnails.append(encoded)
    settings = config.get('config', {})
    page_data = {
        'title': task_title(settings),
        'columns': columns,
        'files': FILES,
        'panels': thumbnails.TITLES,
        'shape': panel_size or (1, 1),
        'codes': settings.get('num_codes', 1),
        'loss_steps': steps.loss,
        'psnr_steps': steps.psnr,
        'left_out': f'{left_out} more are in metrics.csv' if left_out else '',
        'versions': list(config.get('versions', {}).items()),
        'devices': _count_devices(config.get('devices', [])),
        **command_line.describe_settings(settings),
    }
    return _fill_template(page_data, lines, encoded_thumbnails)


def task_title(settings: dict) -> str:
    """Returns the title of a run from its flat settings, such as 'Super-resolution x16'."""
    title = TITLES.get(settings.get('task', ''), 'A run')
    return f'{title} x{settings["factor"]}' if 'factor' in settings else title


def _fill_template(page_data: dict, lines: Sequence[str], encoded_thumbnails: Sequence[str]) -> bytes:
    """Fills report.html. Checksums in its security policy allow its own script and style, and no others."""
    style = _read_template('report.css')
    script = '\n'.join(map(_read_template, _SCRIPTS))
    return (
        string.Template(_read_template('report.html'))
        .substitute(
            title=html.escape(page_data['title']),
            style=style,
            script=script,
            style_sum=_checksum(style),
            script_sum=_checksum(script),
            run=encode_script_json(page_data),
            images=f'[{",".join(lines)}]',
            thumbs='\n'.join(encoded_thumbnails),
        )
        .encode()
    )


def encode_script_json(value: Any) -> str:
    """Returns JSON for a <script> element. It has no <, > or &, so that no text in it ends the element."""
    text = json.dumps(value, separators=(',', ':'), ensure_ascii=True, allow_nan=False)
    return text.replace('<', '\\u003c').replace('>', '\\u003e').replace('&', '\\u0026')


def _read_template(name: str) -> str:
    return (_TEMPLATES / name).read_text(encoding='utf-8')


def _checksum(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode('ascii')


def _entry_json(entry: ReportEntry, columns: Sequence[str]) -> str:
    """Encodes an image. Bit i of the fourth value says whether it has FILES[i]; dom.js decodes it."""
    row = entry.row
    values = [_finite_or_none(row.get(column)) for column in columns]
    file_bits = sum(1 << bit for bit, name in enumerate(FILES) if name in entry.files)
    return encode_script_json([row['name'], row['status'], values, file_bits, entry.loss, entry.psnr])


def _finite_or_none(value: Any) -> float | None:
    return value if isinstance(value, int | float) and math.isfinite(value) else None


def _panel_size(entry: ReportEntry) -> tuple[int, int]:
    """Returns (width, height) of one picture in a thumbnail."""
    with Image.open(io.BytesIO(entry.thumbnail)) as strip:
        return strip.width // (3 if 'target.png' in entry.files else 2), strip.height


def _count_devices(devices: Sequence[str]) -> list[tuple[str, str]]:
    """Returns (kind, number) of each kind of device."""
    return [(kind, str(devices.count(kind))) for kind in sorted(set(devices))]


# Reading the folders of images


def _read_entry(store: Store, steps: CurveSteps, row: dict) -> ReportEntry:
    """Reads the folder of an image. An image that failed before its first result has no folder."""
    if 'loss' not in row:
        return ReportEntry(row)
    name = row['name']
    files = frozenset(store.names(name))
    curves = history.parse_history(store.read(f'{name}/history.csv') or b'') if 'history.csv' in files else {}
    loss, psnr = (
        tuple(_round(curves.get(curve, {}).get(step)) for step in curve_steps)
        for curve, curve_steps in steps._asdict().items()
    )
    return ReportEntry(row, files & set(FILES), _read_thumbnail(store, name, files), loss, psnr)


def _read_thumbnail(store: Store, name: str, files: frozenset[str]) -> bytes:
    """Reads the preview of an image, or makes it from the pictures of an earlier release; b'' if both fail."""
    if PREVIEW in files and _is_webp(content := store.read(f'{name}/{PREVIEW}') or b''):
        return content
    pictures = [f'{title}.png' for title in thumbnails.TITLES if f'{title}.png' in files]
    contents = [store.read(f'{name}/{picture}') or b'' for picture in pictures]
    return thumbnails.make_thumbnail_from_files(contents) or b''


def _is_webp(content: bytes) -> bool:
    try:
        with Image.open(io.BytesIO(content), formats=['WEBP']):
            return True
    except (OSError, ValueError):
        return False


def _require_entry(read: prefetch.Prefetched) -> ReportEntry:
    """Returns an entry that was read. An unreadable folder leaves an entry without pictures."""
    if isinstance(read.error, OSError):
        return ReportEntry(read.item)
    if read.error is not None:
        raise read.error
    return read.value


def _round(value: float | None) -> float | None:
    return None if value is None else float(f'{value:.4g}')


def _curve_steps(settings: dict) -> CurveSteps:
    """Returns at most POINTS of the steps that history.csv has, from the flat settings of a run."""
    num_steps, every = settings.get('steps', 0), settings.get('history_every', 0)
    loss_steps = range(0, num_steps, history.choose_interval(num_steps, 1, history.MAX_LOSSES) or 1)
    interval = history.choose_interval(num_steps, every, history.FRAMES)
    psnr_steps = [*range(interval, num_steps, interval), num_steps] if interval else []
    return CurveSteps(_thin(loss_steps), psnr_steps)


def _thin(steps: Sequence[int]) -> list[int]:
    """Returns about POINTS evenly spaced steps, with the last one."""
    stride = max(1, math.ceil(len(steps) / POINTS))
    return sorted({*steps[::stride], *steps[-1:]})
