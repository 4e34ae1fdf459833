"""`python -m benchmarks.quality FOLDER` compares our optimiser with the released code's: the steps for the same quality.

The released code uses SGD with a learning rate of 1 for codes and for channel importances, which start at 1/N^2. Both sides
have the same networks, codes, losses and images, by default the embedded demo and held-out scenes. FOLDER keeps a file for
each batch, so that the same command continues where it was stopped; the table is made of all files that are there. The
whole default run takes many hours on two cores, most of them for SGD.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np

from benchmarks import commands, held_out, record
from mgan_jax import metrics
from mgan_jax.analysis import batch_inversion
from mgan_jax.data.sources import Source
from mgan_jax.run import jobs
from mgan_jax.run.pipeline import Job
from mgan_jax.settings import fields, presets
from mgan_jax.storage import atomic

SIDES = ('ours', 'sgd')
TASKS = [task for task in fields.TASKS if task != fields.Edit.name]  # which inverts as 'reconstruct' does
MEASURED_STEPS = (10, 25, 50, 75, 100, 150, 200, 300, 500, 750, 1000, 1500, 2000, 2500, 3000)


class BatchRun(NamedTuple):
    """The run of one batch; its fields name its file. first: index of the first image."""

    task: str
    seed: int
    side: str
    steps: int
    first: int


def main(arguments: Sequence[str]) -> None:
    options = _parse(arguments)
    images = options.images or held_out.write_scenes(options.folder / 'images', options.count)
    for run in _list_runs(options):
        path = options.folder / ('_'.join(map(str, run)) + '.json')
        if not path.exists():
            _measure_batch(path, images, run, options)
            print(path.name, flush=True)
    rows = summarise_runs(options.folder)
    print(record.format_table(rows))
    out = options.folder / 'quality.json'
    record.write_record(out, 'quality', arguments, rows, device=jax.devices()[0].device_kind)


def _list_runs(options: argparse.Namespace) -> list[BatchRun]:
    return [
        BatchRun(task, seed, side, steps, first)
        for side, all_steps in (('ours', options.steps), ('sgd', options.sgd_steps))
        for task in options.tasks
        for steps in all_steps
        for first in range(0, options.count, options.batch)
        for seed in _seeds_of(first // options.batch, options)
    ]


def _seeds_of(batch: int, options: argparse.Namespace) -> list[int]:
    return [options.seeds[batch % len(options.seeds)]] if options.spread else options.seeds


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = commands.make_parser('quality', __doc__)
    parser.add_argument('folder', type=Path)
    parser.add_argument('--tasks', type=commands.split_words, default=list(TASKS))
    parser.add_argument('--seeds', type=commands.split_numbers, default=[0, 1, 2])
    parser.add_argument('--spread', action='store_true', help='each batch with one of the seeds in turn, not with all')
    parser.add_argument('--count', type=int, default=32, help='images')
    parser.add_argument('--batch', type=int, default=8)
    parser.add_argument('--steps', type=commands.split_numbers, default=[50, 75, 100, 150, 300], help='of our runs')
    parser.add_argument('--sgd-steps', type=commands.split_numbers, default=[3000], help='of the runs with SGD')
    parser.add_argument('--images', help='a folder of other images')
    parser.add_argument(
        '--set', action='append', default=[], metavar='FIELD=VALUE', help='for both sides, such as generator=DIR'
    )
    options = parser.parse_args(arguments)
    if unknown := [task for task in options.tasks if task not in TASKS]:
        raise ValueError(f"there is no task '{unknown[0]}' here; the tasks are {', '.join(TASKS)}.")
    return options


def make_side_settings(task: str, side: str, steps: int, seed: int, changes: Sequence[str] = ()) -> fields.Settings:
    """The settings of a side: the demo's preset, or the same with the released code's optimiser.

    changes: FIELD=VALUE for both sides. Raises ValueError for an unknown field or a value that cannot be used.
    """
    flat = presets.preset_settings(task, 'demo') | (presets.SGD if side == 'sgd' else {}) | {'winograd': True}
    flat = commands.override_fields(flat, commands.split_pairs(changes))
    return fields.parse_settings(flat | {'steps': steps, 'seed': seed})


def _measure_batch(path: Path, images: str, run: BatchRun, options: argparse.Namespace) -> None:
    """Inverts one batch and writes loss and PSNR of each image at `MEASURED_STEPS`, and the time of a step."""
    changes = [*options.set, f'images={images}', f'batch_size={options.batch}']
    job = jobs.prepare_job(make_side_settings(run.task, run.side, run.steps, run.seed, changes))
    sources = job.sources[run.first : min(run.first + options.batch, options.count)]
    curve, seconds = measure_curve(job, sources)
    content = {'task': run.task, 'side': run.side, 'steps': run.steps, 'seed': run.seed}
    content |= {'images': [source.name for source in sources], 'seconds_per_image_step': seconds}
    content |= {'curve': curve, 'machine': record.describe_cpu()}
    atomic.write_text(path, json.dumps(content) + '\n')


def measure_curve(job: Job, sources: Sequence[Source]) -> tuple[dict, float]:
    """Inverts a batch.

    Returns {steps: {'loss': [..], 'psnr': [..]}} of the iterate that the settings keep, and the seconds of one step of one
    image.
    """
    curve = {}
    for steps, batch in batch_inversion.invert_batch(job, sources, MEASURED_STEPS):
        psnr = np.asarray(metrics.psnr(batch.result, batch.targets))
        curve[steps] = {'loss': batch.loss.tolist(), 'psnr': psnr.tolist()}
        seconds = batch.seconds
    return curve, seconds


def summarise_runs(folder: Path) -> list[dict]:
    """A row for each task, side and number of steps: the means over all images and seeds that have files."""
    runs = [record.read_record(path) for path in sorted(folder.glob('*_*_*_*_*.json'))]
    rows = []
    for task, side, steps in dict.fromkeys((run['task'], run['side'], run['steps']) for run in runs):
        alike = [run for run in runs if (run['task'], run['side'], run['steps']) == (task, side, steps)]
        last = [run['curve'][str(steps)] for run in alike]
        rows.append(
            {
                'task': task,
                'optimiser': side,
                'steps': steps,
                'runs': sum(len(run['images']) for run in alike),
                'seeds': len({run['seed'] for run in alike}),
                'loss': float(np.mean(np.concatenate([end['loss'] for end in last]))),
                'PSNR': float(np.mean(np.concatenate([end['psnr'] for end in last]))),
                's / image': float(np.mean([run['seconds_per_image_step'] for run in alike])) * steps,
            }
        )
    return sorted(rows, key=lambda row: (TASKS.index(row['task']), row['optimiser'], row['steps']))


if __name__ == '__main__':
    commands.run_command(main)
