"""`python -m benchmarks.step` times one step of the inversion, ours and PyTorch's, on this machine's processor.

One reconstruction step, forward, backward and the update of the codes, of PGGAN with VGG-16 relu3_3: 'ours' is a jitted
`inversion.make_step(...).update` with Adam, 'plain' the same without transformed kernels; 'best' and 'original' are the PyTorch forms of `benchmarks.torch_reference`. Every
side has a process of its own that lives on and waits while the others work. They step in turns, A B C A B C ..., after each
other's step, so that a machine whose speed drifts is equally unkind to all; ratios are medians over the rounds. A float32
matrix product is measured in each round too. 'cores at work' are those that the first side got: fewer than there are means that
other programs ran, and that seconds say little. 'work' compares seconds of processors, which other programs hardly change. All
sides start from the same weights, codes and target, and the run ends if their losses there differ.
"""

import importlib.util
from collections.abc import Iterator, Sequence
from itertools import product
from statistics import median

import numpy as np

from benchmarks import commands, problem, record, workers

MODULES = {
    'ours': 'jax_sides',
    'plain': 'jax_sides',
    'best': 'torch_reference',
    'original': 'torch_reference',
    'matmul': 'jax_sides',
}
QUICK = {'resolution': 32, 'fmaps_max': 32, 'layers': [4], 'codes': [2], 'batch': [1], 'repeats': 2, 'matmul': 256}
SAME = 1e-3  # losses at the start, relative


def main(arguments: Sequence[str]) -> None:
    options = _parse(arguments)
    sides, missing = _available(options.sides)
    if missing:
        print(f"torch is missing, so {' and '.join(missing)} cannot be timed; pip install -e '.[bench]' brings it.")
    settings = list(_settings(options))
    weights = problem.weights(settings[0])
    started = [workers.start(name, f'benchmarks.{MODULES[name]}:{name}', weights) for name in ['matmul', *sides]]
    rows: list[dict] = []
    try:
        for setting in settings:
            rows.append(_measure(started, setting, problem.start(setting, weights), options.repeats))
            print(record.table(rows[-1:], _columns(sides)), flush=True)
    finally:
        for worker in started:
            workers.stop(worker)
    print(f'\n{record.table(rows, _columns(sides))}')
    device = rows[0]['facts']['matmul']['device']
    fixed = {
        name: getattr(settings[0], name) for name in ('resolution', 'fmaps_max', 'extractor_size', 'cached', 'matmul')
    }
    record.save(options.out, 'step', arguments, rows, device=device, sides=sides, missing=missing, setting=fixed)


def _parse(arguments: Sequence[str]):
    parser = record.parser('step', 'Times one optimisation step.')
    parser.add_argument('--sides', type=lambda text: text.split(','), default=['ours', 'plain', 'best', 'original'])
    parser.add_argument('--layers', type=record.numbers, default=[8], help='composing layers, such as 4,6,8')
    parser.add_argument('--codes', type=record.numbers, default=[20], help='numbers of codes, such as 1,10,20,30')
    parser.add_argument('--batch', type=record.numbers, default=[1], help='numbers of images, such as 1,4')
    parser.add_argument('--repeats', type=int, default=5, help='rounds')
    parser.add_argument('--resolution', type=int, default=256)
    parser.add_argument('--fmaps-max', type=int, default=512, help='largest number of channels, and latent size')
    parser.add_argument('--matmul', type=int, default=4096, help='rows of the matrix product')
    parser.add_argument('--uncached', action='store_true', help='look at the target in every step on all sides')
    parser.add_argument('--eager', action='store_true', help='do not try torch.compile')
    options = parser.parse_args(arguments)
    if options.quick:
        vars(options).update(QUICK, eager=True)
    if wrong := [name for name in options.sides if name not in MODULES or name == 'matmul']:
        parser.error(f'side {", ".join(wrong)} is given; ours, plain, best and original are known.')
    return options


def _available(sides: Sequence[str]) -> tuple[list[str], list[str]]:
    """-> the sides that can be timed here, and those that miss torch."""
    torch = importlib.util.find_spec('torch') is not None
    missing = [name for name in sides if MODULES[name] == 'torch_reference' and not torch]
    return [name for name in sides if name not in missing], missing


def _settings(options) -> Iterator[problem.Setting]:
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
    """A row: medians, ratios to the first side, and all that they come from."""
    facts = {worker.name: workers.prepare(worker, setting, start) for worker in started}
    _require_same({name: facts[name]['loss'] for name in facts if name != 'matmul'})
    rounds = [{worker.name: workers.step(worker) for worker in started} for _ in range(repeats)]
    seconds, worked = ({name: [one[name][i] for one in rounds] for name in facts} for i in (0, 1))
    row: dict = {'layer': setting.layer, 'N': setting.codes, 'B': setting.batch}
    first, *others = [name for name in facts if name != 'matmul']
    row |= {f'{name} s': median(seconds[name]) for name in (first, *others)}
    row |= {f'{name}/{first}': _ratio(seconds[name], seconds[first]) for name in others}
    row |= {f'{name}/{first} work': _ratio(worked[name], worked[first]) for name in others}
    row['matmul GFLOP/s'] = 2 * setting.matmul**3 / median(seconds['matmul']) / 1e9
    row['cores at work'] = _ratio(worked[first], seconds[first])
    notes = [f'{name}: {facts[name]["note"]}' for name in (first, *others) if facts[name]['note']]
    return row | {'notes': '; '.join(notes), 'seconds': seconds, 'processor_seconds': worked, 'facts': facts}


def _ratio(times: Sequence[float], others: Sequence[float]) -> float:
    """The median over pairs of the same round."""
    return median(time / other for time, other in zip(times, others, strict=True))


def _require_same(losses: dict[str, list[float]]) -> None:
    """A race is fair if all run the same way."""
    expected = np.array(next(iter(losses.values())))
    for name, loss in losses.items():
        if not np.allclose(loss, expected, rtol=SAME, atol=0):
            raise RuntimeError(f"the sides' losses at the start differ: {losses}; '{name}' computes something else.")


def _columns(sides: Sequence[str]) -> list[str]:
    ratios = [f'{name}/{sides[0]}{kind}' for kind in ('', ' work') for name in sides[1:]]
    return ['layer', 'N', 'B', *(f'{name} s' for name in sides), *ratios, 'matmul GFLOP/s', 'cores at work', 'notes']


if __name__ == '__main__':
    commands.run(main)
