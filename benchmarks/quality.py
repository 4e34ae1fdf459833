"""`python -m benchmarks.quality FOLDER` compares our optimiser with the released code's: how many steps for the same quality.

The released code's is SGD with a learning rate of 1 on codes and on channel importances that start at 1/N^2; both sides have the
same networks, codes, losses and images: by default the embedded demo and held-out scenes. What is done is kept in FOLDER, a file
for each batch, so that the command goes on where it was stopped; the tables are made of all that is there. The whole
default run takes many hours on two cores, most of them for SGD.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import jax
import numpy as np
from PIL import Image

from benchmarks import commands, record
from mgan_jax import metrics
from mgan_jax.analysis import batches
from mgan_jax.data import sources
from mgan_jax.demo import scenes, train
from mgan_jax.run import jobs, pipeline
from mgan_jax.settings import presets
from mgan_jax.storage import atomic

FIRST = 100  # of the held-out scenes, which are not bundled
SIDES = ('ours', 'sgd')
TASKS = [task for task in presets.TASKS if task != 'edit']  # which inverts as 'reconstruct' does
LOOKS = (10, 25, 50, 75, 100, 150, 200, 300, 500, 750, 1000, 1500, 2000, 2500, 3000)


def main(arguments: Sequence[str] | None = None) -> None:
    options = _options(arguments)
    for task in options.tasks:
        if task not in TASKS:
            raise ValueError(f"there is no task '{task}' here; the tasks are {', '.join(TASKS)}.")
    images = options.images or _scenes(options.folder / 'images', options.count)
    jobs = [
        (task, seed, side, steps, first)
        for side, all_steps in (('ours', options.steps), ('sgd', options.sgd_steps))
        for task in options.tasks
        for steps in all_steps
        for first in range(0, options.count, options.batch)
        for seed in _seeds_of(first // options.batch, options)
    ]
    for job in jobs:
        path = options.folder / ('_'.join(map(str, job)) + '.json')
        if not path.exists():
            _measure(path, images, *job, options)
            print(path.name, flush=True)
    rows = table(options.folder)
    print(record.table(rows))
    out = options.folder / 'quality.json'
    record.save(out, 'quality', list(arguments or []), rows, device=jax.devices()[0].device_kind)


def _seeds_of(batch: int, options: argparse.Namespace) -> list[int]:
    return [options.seeds[batch % len(options.seeds)]] if options.spread else options.seeds


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog='python -m benchmarks.quality', description=__doc__)
    parser.add_argument('folder', type=Path)
    parser.add_argument('--tasks', type=lambda text: text.split(','), default=list(TASKS))
    parser.add_argument('--seeds', type=record.numbers, default=[0, 1, 2])
    parser.add_argument('--spread', action='store_true', help='each batch with one of the seeds in turn, not with all')
    parser.add_argument('--count', type=int, default=32, help='images')
    parser.add_argument('--batch', type=int, default=8)
    parser.add_argument('--steps', type=record.numbers, default=[50, 75, 100, 150, 300], help='runs of ours')
    parser.add_argument('--sgd-steps', type=record.numbers, default=[3000])
    parser.add_argument('--images', help='a folder of other images')
    parser.add_argument(
        '--set', action='append', default=[], metavar='FIELD=VALUE', help='of both sides, such as generator=DIR'
    )
    return parser.parse_args(arguments)


def settings_of(task: str, side: str, steps: int, seed: int, more: Sequence[str] = ()) -> dict:
    """The settings of a side: the demo's preset, or the same with the released code's optimiser."""
    settings = presets.preset_settings(task, 'demo') | (presets.SGD if side == 'sgd' else {}) | {'winograd': True}
    return commands.override(settings, commands.pairs(more)) | {'steps': steps, 'seed': seed}


def _scenes(folder: Path, count: int) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    for number, pixels in enumerate(scenes.draw_batch(train.HELD_OUT_SEED, FIRST, count).images):
        Image.fromarray(pixels).save(folder / f'{number:03d}.png')
    return str(folder)


def _measure(
    path: Path, images: str, task: str, seed: int, side: str, steps: int, first: int, options: argparse.Namespace
) -> None:
    """Runs one batch; loss and PSNR of each image on the way, and how long a step took."""
    settings = settings_of(task, side, steps, seed, options.set) | {'images': images, 'batch_size': options.batch}
    job = jobs.prepare_job(settings)
    chosen = job.sources[first : min(first + options.batch, options.count)]
    curve, seconds = curve_of(job, chosen)
    content = {'task': task, 'side': side, 'steps': steps, 'seed': seed, 'images': [source.name for source in chosen]}
    content |= {'seconds_per_image_step': seconds, 'curve': curve, 'machine': record.machine()}
    atomic.write_text(path, json.dumps(content) + '\n')


def curve_of(job: pipeline.Job, chosen: Sequence[sources.Source]) -> tuple[dict, float]:
    """{steps: {'loss': [..], 'psnr': [..]}} of the iterate that would be kept, and seconds for an image and a step."""
    curve = {}
    for look, found in batches.invert_batch(job, chosen, LOOKS):
        psnr = np.asarray(metrics.psnr(found.result, found.targets))
        curve[look] = {'loss': found.loss.tolist(), 'psnr': psnr.tolist()}
    return curve, found.seconds


def table(folder: Path) -> list[dict]:
    """A row for each task, side and number of steps: means over all images and seeds that are there."""
    runs = [record.read(path) for path in sorted(folder.glob('*_*_*_*_*.json'))]
    rows = []
    for task, side, steps in dict.fromkeys((run['task'], run['side'], run['steps']) for run in runs):
        same = [run for run in runs if (run['task'], run['side'], run['steps']) == (task, side, steps)]
        last = [run['curve'][str(steps)] for run in same]
        rows.append(
            {
                'task': task,
                'optimiser': side,
                'steps': steps,
                'runs': sum(len(run['images']) for run in same),
                'seeds': len({run['seed'] for run in same}),
                'loss': float(np.mean(np.concatenate([end['loss'] for end in last]))),
                'PSNR': float(np.mean(np.concatenate([end['psnr'] for end in last]))),
                's / image': float(np.mean([run['seconds_per_image_step'] for run in same])) * steps,
            }
        )
    return sorted(rows, key=lambda row: (TASKS.index(row['task']), row['optimiser'], row['steps']))


if __name__ == '__main__':
    commands.run(main)
