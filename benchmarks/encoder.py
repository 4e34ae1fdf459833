"""`python -m benchmarks.encoder FOLDER` measures what an encoder is worth: alone, and as the start of an optimisation.

By default the embedded demo, on held-out scenes. Each row starts once with random codes and once with the encoder's. What is done
is kept in FOLDER, a file for each row, so that the command goes on where it was stopped.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import jax
import numpy as np

from benchmarks import commands, quality, record
from mgan_jax import metrics
from mgan_jax.analysis import batches
from mgan_jax.run import jobs
from mgan_jax.settings import presets

ALONE = {'num_codes': 1, 'layer': 8, 'alpha_rate': 0.0, 'steps': 1}  # the loss is that of the codes it began with
WAYS = {
    'one code': {'num_codes': 1, 'layer': 8, 'alpha_rate': 0.0},
    'one code and alpha': {'num_codes': 1, 'layer': 4},
    'multi-code': {'num_codes': 20},
}


def main(arguments: Sequence[str] | None = None) -> None:
    options = _options(arguments)
    options.images = options.images or quality._scenes(options.folder / 'images', options.count)
    rows = [_row('encoder alone', options.tasks[0], ALONE, options.encoder, options)]
    for task in options.tasks:
        for way in options.ways:
            for steps in options.steps:
                for start in ('', options.encoder):
                    rows.append(_row(way, task, WAYS[way] | {'steps': steps}, start, options))
    print(record.table(rows))
    out = options.folder / 'encoder.json'
    record.save(out, 'encoder', list(arguments or []), rows, device=jax.devices()[0].device_kind)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog='python -m benchmarks.encoder', description=__doc__)
    parser.add_argument('folder', type=Path)
    parser.add_argument('--encoder', default='demo-encoder')
    parser.add_argument('--tasks', type=lambda text: text.split(','), default=['reconstruct'])
    parser.add_argument('--ways', type=lambda text: text.split(','), default=list(WAYS))
    parser.add_argument('--steps', type=record.numbers, default=[25, 50, 100])
    parser.add_argument('--spread', type=float, default=presets.FIELDS['init_spread'])
    parser.add_argument('--count', type=int, default=32, help='images')
    parser.add_argument('--batch', type=int, default=8)
    parser.add_argument('--images', help='a folder of other images')
    return parser.parse_args(arguments)


def _row(way: str, task: str, fields: dict, start: str, options: argparse.Namespace) -> dict:
    """Means over all images; measured once."""
    told = {'task': task, 'way': way, 'steps': fields['steps'], 'start': 'encoder' if start else 'random'}
    path = options.folder / ('_'.join(map(str, told.values())).replace(' ', '-') + f'_{options.spread}.json')
    if not path.exists():
        settings = presets.preset_settings(task, 'demo') | fields | {'init_from': start, 'init_spread': options.spread}
        settings |= {'images': options.images, 'batch_size': options.batch}
        found = batches.invert_images(jobs.prepare_job(settings))
        psnr = float(np.mean(metrics.psnr(found.result, found.targets)))
        row = told | {'loss': float(np.mean(found.loss)), 'PSNR': psnr, 's / step': found.seconds}
        path.write_text(json.dumps(row) + '\n', encoding='utf-8')
        print(path.name, round(psnr, 2), flush=True)
    return record.read(path)


if __name__ == '__main__':
    commands.run(main)
