"""`python -m benchmarks.report [--images 5000] [--side 256] [--folder FOLDER]` measures the report of a run of many images.

Prints its size, the time to write it, and the time to open it in Chromium. The run is simulated: its images are 32 different
pictures of noise as smooth as photographs, whose thumbnails have about the size of those of photographs.
"""

import json
import resource
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks import commands
from mgan_jax.results import history, records, report, thumbnails
from mgan_jax.settings import fields, presets
from mgan_jax.storage import stores
from tests import browser

COPIES = 32  # different images


def main(arguments: Sequence[str]) -> None:
    parser = commands.make_parser('report', __doc__)
    parser.add_argument('--images', type=int, default=5000)
    parser.add_argument('--side', type=int, default=256, help='of the images, in pixels')
    parser.add_argument('--folder', help='where the run is kept; otherwise it is removed at the end')
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as temporary:
        out = options.folder or temporary
        with stores.open_store(out) as store:
            simulate_run(store, options.images, options.side)
            print(json.dumps(measure_report(store, Path(out) / report.NAME), indent=2))


def measure_report(store: stores.Store, path: Path) -> dict:
    """Writes the report of a run and opens it; returns its size in MB, seconds, and what the page shows."""
    began, cpu = time.monotonic(), time.process_time()
    report.write_report(store)
    measures = {
        'seconds to write': time.monotonic() - began,
        'CPU seconds to write': time.process_time() - cpu,
        'MB of the process': resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000,
        'MB': path.stat().st_size / 1e6,
    }
    with browser.open_page() as page:
        measures['seconds to open'] = page.open(path.absolute().as_uri())
        cards = page.run("document.querySelectorAll('.card').length")
        measures['seconds to sort'] = page.run(SORTING) / 1000
        measures['seconds to filter'] = page.run(FILTERING) / 1000
        measures |= {'cards on the first page': cards, 'problems': page.problems}
    return {name: round(value, 3) if isinstance(value, float) else value for name, value in measures.items()}


SORTING = """(() => { const began = performance.now(), sort = document.getElementById('sort'); sort.value = 'psnr';
sort.dispatchEvent(new Event('change')); document.body.offsetHeight; return performance.now() - began; })()"""
FILTERING = """(() => { const began = performance.now(), query = document.getElementById('query'); query.value = 'photo-01';
query.dispatchEvent(new Event('input')); document.body.offsetHeight; return performance.now() - began; })()"""


def simulate_run(store: stores.Store, count: int, side: int) -> None:
    """Writes the files that the report reads: previews, curves and rows, without computing results."""
    settings = presets.make_settings(
        'super_resolve', 'fast', history_every=5, images='photos', generator='models/a', extractor='models/b'
    )
    records.write_run_config(store, settings, {'versions': {}, 'devices': ['cpu']})
    files, rng = [_make_files(seed, side, settings) for seed in range(COPIES)], np.random.default_rng(0)
    rows = records.open_rows(store)
    for number in range(count):
        name = f'photo-{number:05d}'
        folder = store.work.parent.parent.parent / name  # written directly: the store would flush each file to the disk
        folder.mkdir(exist_ok=True)
        for file, content in files[number % COPIES].items():
            (folder / file).write_bytes(content)
        psnr, loss = rng.normal(25, 2), abs(rng.normal(0.02, 0.005)) + 1e-3
        row = {'loss': loss, 'psnr': psnr, 'ssim': rng.uniform(0.6, 0.9), 'input_psnr': psnr - 2, 'steps': 300}
        rows.add(number, {'name': name, 'status': records.DONE, 'seconds': 2.0, **row})
    rows.finish()


def _make_files(seed: int, side: int, settings: fields.Settings) -> dict[str, bytes]:
    """The files of an image that the report reads; the large pictures are empty."""
    target = _draw_photo(seed, side)
    result = (target + _draw_photo(seed + 1000, side)) / 2
    pictures = {'input': target[::4, ::4], 'result': result, 'target': target}
    steps, rng = settings.optimizer.steps, np.random.default_rng(seed)
    losses = [(step, float(np.exp(-step / 60) + 0.02 * rng.uniform(1, 2))) for step in range(steps)]
    frames = [(step, history.Frame(20 + 5 * (1 - np.exp(-step / 80)), b'')) for step in range(5, steps + 1, 5)]
    return {
        'preview.webp': thumbnails.make_thumbnail(pictures),
        'history.csv': history.format_history(losses, frames),
        'result.png': b'',
        'target.png': b'',
    }


def _draw_photo(seed: int, side: int) -> np.ndarray:
    """Noise whose amplitude falls with the frequency, as in photographs: [side side 3] in [-1, 1]."""
    rng = np.random.default_rng(seed)
    spectrum = np.fft.rfft2(rng.normal(size=(side, side, 3)), axes=(0, 1))
    rows, columns = np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None]
    spectrum *= (1 / np.maximum(np.hypot(rows, columns), 1 / side) ** 1.2)[..., None]
    pixels = np.fft.irfft2(spectrum, s=(side, side), axes=(0, 1))
    return np.clip(pixels / (2.5 * pixels.std()), -1, 1).astype(np.float32)


if __name__ == '__main__':
    commands.run_command(main)
