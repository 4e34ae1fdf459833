"""`python -m benchmarks.reading` measures how quickly images are read: by the project's threads and, if it is installed, grain.

Photos of 1024 pixels, JPEG and PNG in turn, are decoded, resized to 256 pixels and degraded, as before the first step of an
image. The readers take turns, round after round; the quickest round counts, since other programs may be running.
"""

import contextlib
import importlib.metadata
import importlib.util
import resource
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from absl import flags
from PIL import Image

from benchmarks import commands, record
from mgan_jax.data import sources
from mgan_jax.data.observations import ObservedImage, observe_image
from mgan_jax.data.sources import Source
from mgan_jax.settings.fields import SuperResolve
from mgan_jax.storage import prefetch

SIDE, RESOLUTION = 1024, 256  # of the photos and of the images of a run, in pixels
DEPTH = 2  # prefetched images for each worker

Reader = Callable[[Sequence[Source], int], Iterable[ObservedImage]]  # (sources, number of workers) -> images


def main(arguments: Sequence[str]) -> None:
    parser = record.make_parser('reading', __doc__)
    parser.add_argument('--workers', type=commands.split_numbers, default=[1, 2, 4], help='numbers of workers')
    parser.add_argument('--images', type=int, default=300)
    parser.add_argument('--rounds', type=int, default=3)
    options = parser.parse_args(arguments)
    count = 12 if options.quick else options.images
    commands.require_at_least(2, images=count)
    commands.require_at_least(1, rounds=options.rounds, workers=min(options.workers, default=0))
    readers: dict[str, Reader] = {'threads': read_with_threads}
    if importlib.util.find_spec('grain'):
        flags.FLAGS.mark_as_parsed()  # grain reads flags
        readers |= {'grain, threads': read_with_grain_threads, 'grain, processes': read_with_grain_processes}
    with tempfile.TemporaryDirectory() as folder:
        write_photos(Path(folder), count)
        images = sources.find_images(folder)
        for source in images[:2]:  # compiles the degradation
            read_image(source)
        runs = [(name, workers) for workers in options.workers for name in readers]
        times = [[time_reader(readers[name], images, workers) for name, workers in runs] for _ in range(options.rounds)]
    rows = [
        {'reader': name, 'workers': workers, 'images/s': count / min(walls), 'CPU ms/image': 1000 * min(cpus) / count}
        for (name, workers), walls, cpus in zip(runs, *np.moveaxis(np.array(times), -1, 0).swapaxes(1, 2), strict=True)
    ]
    print(record.format_table(rows))
    record.write_record(options.out, 'reading', arguments, rows, device='cpu', grain=_find_version('grain'))


def write_photos(folder: Path, count: int) -> None:
    """Writes smooth shapes with grain, which compress about as photographs do."""
    rng = np.random.default_rng(0)
    for number in range(count):
        coarse = Image.fromarray(rng.integers(0, 256, (32, 32, 3), np.uint8)).resize(
            (SIDE, SIDE), Image.Resampling.BICUBIC
        )
        pixels = np.asarray(coarse) + rng.normal(0, 4, (SIDE, SIDE, 1))
        image = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
        image.save(folder / f'{number:04}.{"jpg" if number % 2 else "png"}', **({'quality': 90} if number % 2 else {}))


def read_image(source: Source) -> ObservedImage:
    """Reads one image and degrades it for super-resolution."""
    content = sources.read_source(source)
    return observe_image(source, content, task=SuperResolve(), image_size=(RESOLUTION, RESOLUTION), channels=3, seed=0)


def read_with_threads(images: Sequence[Source], workers: int) -> Iterator[ObservedImage]:
    for outcome in prefetch.prefetch(read_image, images, workers=workers, depth=DEPTH * workers):
        if outcome.error is not None:
            raise outcome.error
        yield outcome.value


def read_with_grain_threads(images: Sequence[Source], workers: int) -> Iterable[ObservedImage]:
    import grain

    options = grain.ReadOptions(num_threads=workers, prefetch_buffer_size=DEPTH * workers)
    return grain.MapDataset.source(images).map(read_image).to_iter_dataset(options)


def read_with_grain_processes(images: Sequence[Source], workers: int) -> Iterable[ObservedImage]:
    import grain

    options = grain.MultiprocessingOptions(num_workers=workers, per_worker_buffer_size=DEPTH)
    one_thread = grain.ReadOptions(num_threads=1, prefetch_buffer_size=DEPTH)
    return grain.MapDataset.source(images).map(read_image).to_iter_dataset(one_thread).mp_prefetch(options)


def time_reader(reader: Reader, images: Sequence[Source], workers: int) -> tuple[float, float]:
    """(seconds until all images are read, CPU seconds of all processes).

    The first number leaves out the first image, since processes take long to start.
    """
    before = _cpu_seconds()
    stream = iter(reader(images, workers))
    first = next(stream)
    began = time.perf_counter()
    count = sum(1 for _ in stream)
    wall = (time.perf_counter() - began) * len(images) / count
    if count + 1 != len(images) or first.source not in images:
        raise ValueError(f'{count + 1} of {len(images)} images were read.')
    with contextlib.suppress(AttributeError):
        stream.close()  # generators have `close`, grain's iterators may not
    return wall, _cpu_seconds() - before


def _cpu_seconds() -> float:
    """CPU seconds of this process and of its processes that have ended."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def _find_version(package: str) -> str | None:
    return importlib.metadata.version(package) if importlib.util.find_spec(package) else None


if __name__ == '__main__':
    commands.run_command(main)
