"""`python -m benchmarks.stream [--images 2000] [--batch 32]` measures the memory of a run of many images, and whether the device
waits for files.

Small pictures go through the demo generator with few codes and steps, so that reading and writing are a large share of the
work.
"""

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from PIL import Image

from benchmarks import commands, record
from mgan_jax.demo import scenes
from mgan_jax.results import records
from mgan_jax.run import events, jobs, pipeline, progress
from mgan_jax.settings import presets
from mgan_jax.storage import stores

COLUMNS = ('images done', 'resident MB', 'read ahead', 'not written', 'idle share', 'images/s')
SEED = 4  # of the pictures; the demo was not trained on them
STOPS = (20, 100, 200, 500, 1000, 1500, 2000, 5000, 10000)  # numbers of images at which a row is measured


def write_pictures(folder: Path, count: int) -> None:
    """Writes scenes of the demo, one PNG each."""
    for first in range(0, count, 100):
        batch = scenes.draw_batch(SEED, first, min(100, count - first)).images
        for number, pixels in enumerate(batch, first):
            Image.fromarray(pixels).save(folder / f'{number:06d}.png')


def measure_run(folder: Path, out: Path, batch: int, stops: Sequence[int]) -> list[dict]:
    """Runs a job; returns a row for the first figures after each number of images in `stops`, and a row at the end."""
    settings = presets.make_settings(
        'super_resolve',
        'demo',
        images=str(folder),
        out=str(out),
        num_codes=2,
        steps=3,
        perceptual=0.0,
        batch_size=batch,
    )
    job = jobs.prepare_job(settings)
    rows: list[dict] = []
    left, began = list(stops), time.monotonic()
    worked = idle = 0.0

    def figures(done: int, values: Callable[[], Mapping[str, float]], last: bool = False) -> None:
        nonlocal worked, idle
        numbers = values()
        if 'device/idle' in numbers:
            worked, idle = worked + 1 - numbers['device/idle'], idle + numbers['device/idle']
        if left and done >= left[0]:
            while left and done >= left[0]:
                left.pop(0)
            rows.append(_make_row(done, numbers, idle / (worked + idle), done / (time.monotonic() - began)))

    with stores.open_store(str(out)) as store:
        counts = pipeline.restore_images(job, store, events.EventLog(lambda event, **fields: None, figures))
        seconds = time.monotonic() - began
        end = {'process/resident': progress.memory_figures()['process/resident'], 'queue/read': 0, 'queue/unwritten': 0}
        rows.append(_make_row(counts['done'], end, idle / (worked + idle), counts['done'] / seconds))
        records.write_table(store)
    return rows


def _make_row(done: int, numbers: Mapping[str, float], idle_share: float, rate: float) -> dict:
    queues = int(numbers['queue/read']), int(numbers['queue/unwritten'])
    return dict(zip(COLUMNS, (done, numbers['process/resident'] / 1e6, *queues, idle_share, rate), strict=True))


def main(arguments: Sequence[str]) -> None:
    parser = record.make_parser('stream', __doc__)
    parser.add_argument('--images', type=int, default=2000)
    parser.add_argument('--batch', type=int, default=32)
    options = parser.parse_args(arguments)
    count = 100 if options.quick else options.images
    with tempfile.TemporaryDirectory(prefix='stream-') as folder:
        pictures = Path(folder, 'photos')
        pictures.mkdir()
        write_pictures(pictures, count)
        stops = [number for number in STOPS if number < count]
        rows = measure_run(pictures, Path(folder, 'out'), options.batch, stops)
    print(record.format_table(rows))
    record.write_record(options.out, 'stream', arguments, rows, device='cpu', batch=options.batch)


if __name__ == '__main__':
    commands.run_command(main)
