"""`python -m benchmarks.encoder FOLDER` measures an encoder: alone, and as the initialisation of an optimisation.

By default it measures the embedded demo on held-out scenes. Each row starts once from random codes and once from the
encoder's codes. FOLDER keeps a file for each row, so that the same command continues where it was stopped.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import jax
import numpy as np

from benchmarks import commands, held_out, record
from mgan_jax import metrics
from mgan_jax.analysis import batch_inversion
from mgan_jax.run import jobs
from mgan_jax.settings import presets
from mgan_jax.settings.fields import PriorSettings

ALONE = {
    'num_codes': 1,
    'layer': 8,
    'alpha_rate': 0.0,
    'steps': 1,
}  # after one step the loss is that of the initial codes
WAYS = {
    'one code': {'num_codes': 1, 'layer': 8, 'alpha_rate': 0.0},
    'one code and alpha': {'num_codes': 1, 'layer': 4},
    'multi-code': {'num_codes': 20},
}


def main(arguments: Sequence[str]) -> None:
    options = _parse(arguments)
    options.folder.mkdir(parents=True, exist_ok=True)
    options.images = options.images or held_out.write_scenes(options.folder / 'images', options.count)
    rows = [_measure('encoder alone', options.tasks[0], ALONE, options.encoder, options)]
    for task in options.tasks:
        for way in options.ways:
            for steps in options.steps:
                for init_from in ('', options.encoder):
                    rows.append(_measure(way, task, WAYS[way] | {'steps': steps}, init_from, options))
    print(record.format_table(rows))
    out = options.folder / 'encoder.json'
    record.write_record(out, 'encoder', arguments, rows, device=jax.devices()[0].device_kind)


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = commands.make_parser('encoder', __doc__)
    parser.add_argument('folder', type=Path)
    parser.add_argument('--encoder', default='demo-encoder', help='a model directory')
    parser.add_argument('--tasks', type=commands.split_words, default=['reconstruct'])
    parser.add_argument('--ways', type=commands.split_words, default=list(WAYS), help=f'some of {", ".join(WAYS)}')
    parser.add_argument('--steps', type=commands.split_numbers, default=[25, 50, 100])
    parser.add_argument('--spread', type=float, default=PriorSettings.init_spread, help='see the setting init_spread')
    parser.add_argument('--count', type=int, default=32, help='images')
    parser.add_argument('--batch', type=int, default=8)
    parser.add_argument('--images', help='a folder of other images')
    options = parser.parse_args(arguments)
    if unknown := [way for way in options.ways if way not in WAYS]:
        raise ValueError(f"there is no way '{unknown[0]}'; the ways are {', '.join(WAYS)}.")
    return options


def _measure(way: str, task: str, changes: dict, init_from: str, options: argparse.Namespace) -> dict:
    """The means over all images, measured or from FOLDER."""
    key = {'task': task, 'way': way, 'steps': changes['steps'], 'start': 'encoder' if init_from else 'random'}
    path = options.folder / ('_'.join(map(str, key.values())).replace(' ', '-') + f'_{options.spread}.json')
    if not path.exists():
        changes = changes | {'init_from': init_from, 'init_spread': options.spread}
        changes |= {'images': options.images, 'batch_size': options.batch}
        batch = batch_inversion.invert_images(jobs.prepare_job(presets.make_settings(task, 'demo', **changes)))
        psnr = float(np.mean(metrics.psnr(batch.result, batch.targets)))
        row = key | {'loss': float(np.mean(batch.loss)), 'PSNR': psnr, 's / step': batch.seconds}
        path.write_text(json.dumps(row) + '\n', encoding='utf-8')
        print(path.name, round(psnr, 2), flush=True)
    return record.read_record(path)


if __name__ == '__main__':
    commands.run_command(main)
