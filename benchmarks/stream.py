"""`python -m benchmarks.stream [--images 2000] [--batch 32]`: what a long list of images takes of the memory, and whether the
device waits for files.

Many small pictures go through the demo generator with settings that hardly compute anything, so that reading and writing are
as much of the work as they can be.
"""

import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from benchmarks import commands, record
from mgan_jax.demo import scenes
from mgan_jax.results import records
from mgan_jax.run import events, jobs, pipeline, progress
from mgan_jax.settings import presets
from mgan_jax.storage import stores

COLUMNS = ('images done', 'resident MB', 'read ahead', 'not written', 'idle share', 'images/s')
SEED = 4  # of the pictures; none of the demo's training


def write_pictures(folder: Path, count: int) -> None:
    """Scenes of the demo, one PNG each."""
    for first in range(0, count, 100):
        batch = scenes.draw_batch(SEED, first, min(100, count - first)).images
        for number, pixels in enumerate(batch, first):
            Image.fromarray(pixels).save(folder / f'{number:06d}.png')


def run(folder: Path, out: Path, batch: int, looks: Sequence[int]) -> list[dict]:
    """A row at the first look after each number of images in `looks`, and one at the end."""
    settings = presets.preset_settings('super_resolve', 'demo')
    job = jobs.prepare_job(
        settings
        | {'images': str(folder), 'out': str(out), 'num_codes': 2, 'steps': 3, 'perceptual': 0.0, 'batch_size': batch}
    )
    rows: list[dict] = []
    left, began = list(looks), time.monotonic()
    worked = waited = 0.0

    def figures(done: int, values: Any, last: bool = False) -> None:
        nonlocal worked, waited
        told: Mapping = values()
        if 'device/idle' in told:
            worked, waited = worked + 1 - told['device/idle'], waited + told['device/idle']
        if left and done >= left[0]:
            while left and done >= left[0]:
                left.pop(0)
            rows.append(_row(done, told, waited / (worked + waited), done / (time.monotonic() - began)))

    with stores.open_store(str(out)) as store:
        counts = pipeline.restore_images(job, store, events.EventLog(lambda event, **fields: None, figures))
        seconds = time.monotonic() - began
        end = {'process/resident': progress.memory_figures()['process/resident'], 'queue/read': 0, 'queue/unwritten': 0}
        rows.append(_row(counts['done'], end, waited / (worked + waited), counts['done'] / seconds))
        records.write_table(store)
    return rows


def _row(done: int, told: Mapping, idle: float, pace: float) -> dict:
    values = done, told['process/resident'] / 1e6, int(told['queue/read']), int(told['queue/unwritten']), idle, pace
    return dict(zip(COLUMNS, values, strict=True))


def main(arguments: Sequence[str]) -> None:
    parser = record.parser('stream', __doc__.splitlines()[0])
    parser.add_argument('--images', type=int, default=2000)
    parser.add_argument('--batch', type=int, default=32)
    options = parser.parse_args(arguments)
    count = 100 if options.quick else options.images
    with tempfile.TemporaryDirectory(prefix='stream-') as folder:
        photos = Path(folder, 'photos')
        photos.mkdir()
        write_pictures(photos, count)
        looks = [number for number in (20, 100, 200, 500, 1000, 1500, 2000, 5000, 10000) if number < count]
        rows = run(photos, Path(folder, 'out'), options.batch, looks)
    print(record.table(rows))
    record.save(options.out, 'stream', arguments, rows, device='cpu', batch=options.batch)


if __name__ == '__main__':
    commands.run(main)
