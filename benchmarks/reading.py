"""Reading images ahead of the device: `python -m benchmarks.reading`. The project's threads and, where it is installed, grain.

Photos of 1024 pixels, JPEG and PNG in turn, are decoded, resized to 256 and degraded, which is what a run does before an
image's first step. The readers take turns, round after round; the fastest round counts, since something else may be running.
"""

import contextlib
import functools
import importlib.metadata
import importlib.util
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from absl import flags
from PIL import Image

from benchmarks import record
from mgan_jax import models
from mgan_jax.data import observations, sources
from mgan_jax.settings import presets
from mgan_jax.storage import prefetch

SIDE, RESOLUTION = 1024, 256
DEPTH = 2  # cases for each worker


def main(arguments: Sequence[str]) -> None:
    parser = record.parser('reading', __doc__)
    parser.add_argument('--workers', type=record.numbers, default=[1, 2, 4])
    parser.add_argument('--images', type=int, default=300)
    parser.add_argument('--rounds', type=int, default=3)
    options = parser.parse_args(arguments)
    count = 12 if options.quick else options.images
    readers = {'threads': read_threads}
    if importlib.util.find_spec('grain'):
        flags.FLAGS.mark_as_parsed()  # grain asks for flags of its own
        readers |= {'grain, threads': read_grain_threads, 'grain, processes': read_grain_processes}
    with tempfile.TemporaryDirectory() as folder:
        make_photos(Path(folder), count)
        found = sources.find_images(folder)
        read(found[0]), read(found[1])  # compiles the degradation
        runs = [(name, workers) for workers in options.workers for name in readers]
        times = [[measure(readers[name], found, workers) for name, workers in runs] for _ in range(options.rounds)]
    rows = [
        {'reader': name, 'workers': workers, 'images/s': count / min(walls), 'CPU ms/image': 1000 * min(cpus) / count}
        for (name, workers), walls, cpus in zip(runs, *np.moveaxis(np.array(times), -1, 0).swapaxes(1, 2), strict=True)
    ]
    print(record.table(rows))
    record.save(options.out, 'reading', arguments, rows, device='cpu', grain=version('grain'))


def make_photos(folder: Path, count: int) -> None:
    """Smooth shapes with grain, which compress about as photographs do."""
    rng = np.random.default_rng(0)
    for number in range(count):
        coarse = Image.fromarray(rng.integers(0, 256, (32, 32, 3), np.uint8)).resize(
            (SIDE, SIDE), Image.Resampling.BICUBIC
        )
        pixels = np.asarray(coarse) + rng.normal(0, 4, (SIDE, SIDE, 1))
        image = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
        image.save(folder / f'{number:04}.{"jpg" if number % 2 else "png"}', **({'quality': 90} if number % 2 else {}))


@functools.cache
def problem() -> tuple[models.Generator, dict]:
    return models.build_model('pggan', {'resolution': RESOLUTION}), presets.preset_settings('super_resolve', 'fast')


def read(source: sources.Source) -> observations.ObservedImage:
    return observations.observe_image(source, sources.read_source(source), *problem())


def read_threads(found: Sequence[sources.Source], workers: int) -> Iterator[observations.ObservedImage]:
    for outcome in prefetch.prefetch(read, found, workers=workers, depth=DEPTH * workers):
        if outcome.error is not None:
            raise outcome.error
        yield outcome.value


def read_grain_threads(found: Sequence[sources.Source], workers: int) -> Iterable[observations.ObservedImage]:
    import grain

    options = grain.ReadOptions(num_threads=workers, prefetch_buffer_size=DEPTH * workers)
    return grain.MapDataset.source(found).map(read).to_iter_dataset(options)


def read_grain_processes(found: Sequence[sources.Source], workers: int) -> Iterable[observations.ObservedImage]:
    import grain

    options = grain.MultiprocessingOptions(num_workers=workers, per_worker_buffer_size=DEPTH)
    one = grain.ReadOptions(num_threads=1, prefetch_buffer_size=DEPTH)
    return grain.MapDataset.source(found).map(read).to_iter_dataset(one).mp_prefetch(options)


def measure(reader: Callable, found: Sequence[sources.Source], workers: int) -> tuple[float, float]:
    """Seconds until all is read, from the first case on, since processes take long to start; CPU seconds of everything."""
    before = cpu_seconds()
    stream = iter(reader(found, workers))
    first = next(stream)
    began = time.perf_counter()
    count = sum(1 for _ in stream)
    wall = (time.perf_counter() - began) * len(found) / count
    if count + 1 != len(found) or first.source not in found:
        raise ValueError(f'{count + 1} of {len(found)} images were read.')
    with contextlib.suppress(AttributeError):
        stream.close()
    return wall, cpu_seconds() - before


def cpu_seconds() -> float:
    """Of this process and of those that it started and that have ended."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def version(package: str) -> str | None:
    return importlib.metadata.version(package) if importlib.util.find_spec(package) else None


if __name__ == '__main__':
    main(sys.argv[1:])
