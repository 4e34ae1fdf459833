"""`python -m benchmarks.step` times one step of the inversion, ours and PyTorch's, on the processor of this machine.

The step is a reconstruction with PGGAN and VGG-16 relu3_3: forward, backward and the update of the codes. The sides are
'ours', a jitted `inversion.make_step(...).update` with Adam; 'plain', the same without transformed kernels; 'best' and
'original', the PyTorch forms of `benchmarks.torch_reference`. Each side has a process of its own.

The sides step in turns, A B C A B C ..., so that a machine whose speed drifts affects all alike; ratios are medians over the
rounds. A float32 matrix product is timed in each round too. 'cores at work' are the cores that the first side got: if they
are fewer than the machine has, other programs ran and seconds are not comparable. 'work' columns compare seconds of
processor time, which other programs hardly change. All sides start from the same weights, codes and target; the run ends if
their losses differ at the start.
"""

import argparse
import importlib.util
from collections.abc import Iterator, Sequence
from itertools import product
from statistics import median

import numpy as np

from benchmarks import commands, problem, record, workers

MODULES = {  # of the sides, and of the matrix product
    'ours': 'jax_sides',
    'plain': 'jax_sides',
    'best': 'torch_reference',
    'original': 'torch_reference',
    'matmul': 'jax_sides',
}
QUICK = {'resolution': 32, 'fmaps_max': 32, 'layers': [4], 'codes': [2], 'batch': [1], 'repeats': 2, 'matmul': 256}
SAME = 1e-3  # largest relative difference of the losses at the start


def main(arguments: Sequence[str]) -> None:
    options = _parse(arguments)
    sides, missing = _select_sides(options.sides)
    if missing:
        print(f"torch is missing, so {' and '.join(missing)} cannot be timed; pip install -e '.[bench]' brings it.")
    settings = list(_list_settings(options))
    weights = problem.draw_weights(settings[0])
    started = [workers.start_worker(name, f'benchmarks.{MODULES[name]}:{name}', weights) for name in ['matmul', *sides]]
    rows: list[dict] = []
    try:
        for setting in settings:
            rows.append(_measure(started, setting, problem.draw_start(setting, weights), options.repeats))
            print(record.format_table(rows[-1:], _list_columns(sides)), flush=True)
    finally:
        for worker in started:
            workers.stop_worker(worker)
    print(f'\n{record.format_table(rows, _list_columns(sides))}')
    device = rows[0]['facts']['matmul']['device']
    fixed = {
        name: getattr(settings[0], name) for name in ('resolution', 'fmaps_max', 'extractor_size', 'cached', 'matmul')
    }
    record.write_record(
        options.out, 'step', arguments, rows, device=device, sides=sides, missing=missing, setting=fixed
    )


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = record.make_parser('step', __doc__)
    parser.add_argument('--sides', type=commands.split_words, default=['ours', 'plain', 'best', 'original'])
    parser.add_argument('--layers', type=commands.split_numbers, default=[8], help='composing layers, such as 4,6,8')
    parser.add_argument(
        '--codes', type=commands.split_numbers, default=[20], help='numbers of codes, such as 1,10,20,30'
    )
    parser.add_argument('--batch', type=commands.split_numbers, default=[1], help='numbers of images, such as 1,4')
    parser.add_argument('--repeats', type=int, default=5, help='rounds')
    parser.add_argument('--resolution', type=int, default=256)
    parser.add_argument('--fmaps-max', type=int, default=512, help='largest number of channels, and latent size')
    parser.add_argument('--matmul', type=int, default=4096, help='rows of the matrix product')
    parser.add_argument(
        '--uncached', action='store_true', help='compute the features of the target in every step on all sides'
    )
    parser.add_argument('--eager', action='store_true', help='do not try torch.compile')
    options = parser.parse_args(arguments)
    if options.quick:
        vars(options).update(QUICK, eager=True)
    if unknown := [name for name in options.sides if name not in MODULES or name == 'matmul']:
        raise ValueError(f'side {", ".join(unknown)} is given; ours, plain, best and original are known.')
    return options


def _select_sides(sides: Sequence[str]) -> tuple[list[str], list[str]]:
    """-> (the sides that can be timed here, those that lack torch)."""
    torch = importlib.util.find_spec('torch') is not None
    missing = [name for name in sides if MODULES[name] == 'torch_reference' and not torch]
    return [name for name in sides if name not in missing], missing


def _list_settings(options: argparse.Namespace) -> Iterator[problem.Setting]:
    for layer, codes, batch in product(options.layers, options.codes, options.batch):
        yield problem.Setting(
            resolution=options.resolution,
            fmaps_max=options.fmaps_max,
            extractor_size=min(options.resolution, 256),
            layer=layer,
            codes=codes,
            batch=batch,
            cached=not options.uncached,
            compile=not options.eager,
            matmul=options.matmul,
        )


def _measure(started: Sequence[workers.Worker], setting: problem.Setting, start: problem.Start, repeats: int) -> dict:
    """A row: medians, ratios to the first side, and all times that they come from."""
    facts = {worker.name: workers.prepare_step(worker, setting, start) for worker in started}
    _require_same_loss({name: facts[name]['loss'] for name in facts if name != 'matmul'})
    rounds = [{worker.name: workers.time_step(worker) for worker in started} for _ in range(repeats)]
    seconds, worked = ({name: [times[name][i] for times in rounds] for name in facts} for i in (0, 1))
    row: dict = {'layer': setting.layer, 'N': setting.codes, 'B': setting.batch}
    first, *others = [name for name in facts if name != 'matmul']
    row |= {f'{name} s': median(seconds[name]) for name in (first, *others)}
    row |= {f'{name}/{first}': _median_ratio(seconds[name], seconds[first]) for name in others}
    row |= {f'{name}/{first} work': _median_ratio(worked[name], worked[first]) for name in others}
    row['matmul GFLOP/s'] = 2 * setting.matmul**3 / median(seconds['matmul']) / 1e9
    row['cores at work'] = _median_ratio(worked[first], seconds[first])
    notes = [f'{name}: {facts[name]["note"]}' for name in (first, *others) if facts[name]['note']]
    return row | {'notes': '; '.join(notes), 'seconds': seconds, 'processor_seconds': worked, 'facts': facts}


def _median_ratio(times: Sequence[float], others: Sequence[float]) -> float:
    """The median of the ratios of the same round."""
    return median(time / other for time, other in zip(times, others, strict=True))


def _require_same_loss(losses: dict[str, list[float]]) -> None:
    """Raises RuntimeError unless all sides compute the same loss."""
    expected = np.array(next(iter(losses.values())))
    for name, loss in losses.items():
        if not np.allclose(loss, expected, rtol=SAME, atol=0):
            raise RuntimeError(f"the sides' losses at the start differ: {losses}; '{name}' computes something else.")


def _list_columns(sides: Sequence[str]) -> list[str]:
    ratios = [f'{name}/{sides[0]}{kind}' for kind in ('', ' work') for name in sides[1:]]
    return ['layer', 'N', 'B', *(f'{name} s' for name in sides), *ratios, 'matmul GFLOP/s', 'cores at work', 'notes']


if __name__ == '__main__':
    commands.run_command(main)
