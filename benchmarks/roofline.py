"""`python -m benchmarks.roofline` tells where the time of one step of the inversion goes, and how close it is to the machine.

The step's parts, G1 of all codes, G2 and the extractor, are timed by themselves, forward and backward, and the whole step, in
turns. Their arithmetic is counted from their jaxprs (`benchmarks.operations`), as what is really done: a convolution that is
computed by fewer multiplications counts with these. 'rest' is the whole step without the three parts: composition, loss,
optimiser; its seconds are a difference, taken in each round, negative where something else disturbed them. The peak is that
of a large square matrix product, measured in the same turns. Works on any device that JAX has; on processors the last columns
say the same in seconds that cores worked, which other programs hardly change.
"""

import time
from collections.abc import Callable, Sequence
from functools import partial
from operator import truediv
from statistics import median
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from benchmarks import commands, jax_sides, problem, record
from benchmarks.operations import Count, count
from mgan_jax import composition, inversion, resize

QUICK = {'resolution': 32, 'fmaps_max': 32, 'layer': 4, 'codes': 2, 'batch': 1, 'repeats': 2, 'matmul': 256}
WARM_UP = 2
DTYPES = ('float32', 'bfloat16')
PARTS = ('G1', 'G2', 'extractor')


class Part(NamedTuple):
    """A jitted function, and its arguments."""

    function: Callable
    arguments: tuple


def main(arguments: Sequence[str]) -> None:
    options = _parse(arguments)
    setting = problem.Setting(
        resolution=options.resolution,
        fmaps_max=options.fmaps_max,
        extractor_size=min(options.resolution, 256),
        layer=options.layer,
        codes=options.codes,
        batch=options.batch,
    )
    parts = _parts(setting, quick=jax.default_backend() == 'cpu' and not options.plain)
    counts = {name: count(part.function, *part.arguments) for name, part in parts.items()}
    runs: dict[str, Callable] = {name: partial(_run, part) for name, part in parts.items()}
    runs['step'] = _stepper(parts['step'])
    runs |= {f'matmul {dtype}': _matmul(options.matmul, dtype) for dtype in DTYPES}
    _report(options, arguments, setting, counts, *_take_turns(runs, options.repeats))


def _report(options, arguments, setting: problem.Setting, counts: dict, seconds: dict, worked: dict) -> None:
    """Prints the table and writes the file."""
    peaks = {dtype: 2 * options.matmul**3 / median(seconds[f'matmul {dtype}']) / 1e9 for dtype in DTYPES}
    rows = _rows(counts, seconds, peaks['float32'])
    worked = worked | {'rest': _rest(worked)}
    if jax.devices()[0].platform == 'cpu':
        peak = 2 * options.matmul**3 / median(worked['matmul float32']) / 1e9
        rows = [row | _work(row, worked, peak) for row in rows]
    print(record.table(rows))
    cores = median(map(truediv, worked['step'], seconds['step']))
    print('\nmatrix product: ' + ', '.join(f'{rate:.0f} GFLOP/s in {dtype}' for dtype, rate in peaks.items()))
    print(f'cores at work in the step: {cores:.2f} of {record.cores()}')
    facts = {'setting': setting._asdict(), 'peak_gflops': peaks, 'cores_at_work': cores}
    facts |= {'seconds': seconds, 'processor_seconds': worked}
    record.save(options.out, 'roofline', arguments, rows, device=jax.devices()[0].device_kind, **facts)


def _parse(arguments: Sequence[str]):
    parser = record.parser('roofline', 'Operations, bytes and seconds of the parts of one optimisation step.')
    parser.add_argument('--plain', action='store_true', help='plain kernels also on CPUs')
    parser.add_argument('--layer', type=int, default=8, help='the composing layer')
    parser.add_argument('--codes', type=int, default=20, help='the number of codes')
    parser.add_argument('--batch', type=int, default=1, help='the number of images')
    parser.add_argument('--repeats', type=int, default=5, help='rounds')
    parser.add_argument('--resolution', type=int, default=256)
    parser.add_argument('--fmaps-max', type=int, default=512, help='largest number of channels, and latent size')
    parser.add_argument('--matmul', type=int, default=4096, help='rows of the matrix product')
    options = parser.parse_args(arguments)
    if options.quick:
        vars(options).update(QUICK)
    return options


def _parts(setting: problem.Setting, quick: bool) -> dict[str, Part]:
    """The parts with what they get in the first step, and the step. quick: with transformed kernels."""
    generator, extractor = problem.networks(setting)
    weights = problem.weights(setting)
    start = problem.start(setting, weights)
    params, vgg, target = jax.device_put((weights.generator, weights.extractor, start.target))
    if quick:
        params, vgg = jax.jit(generator.prepare)(params), jax.jit(extractor.prepare)(vgg)
    codes = composition.Codes(jnp.asarray(start.latents), jnp.asarray(start.alpha))
    layer, latents = setting.layer, codes.latents.reshape(-1, codes.latents.shape[-1])

    g1 = partial(generator.features, stop=layer)
    g2 = partial(generator.image, start=layer)
    see = partial(extractor.features, layer=problem.EXTRACTOR_LAYER)
    composed = jax.jit(g1)(params, latents)[: setting.batch]
    seen = resize.nearest(target, setting.extractor_size)
    optimizer = jax_sides.optimizer()
    step = inversion.make_step(jax_sides.objective(setting, generator, extractor), optimizer)
    state = inversion.init(codes, optimizer)
    return {
        'G1': _forward_and_backward(g1, params, latents),
        'G2': _forward_and_backward(g2, params, composed),
        'extractor': _forward_and_backward(see, vgg, seen),
        'step': Part(step.update, (state, *step.prepare(target, params, vgg))),
    }


def _forward_and_backward(network: Callable, weights: Any, x: jax.Array) -> Part:
    """The network's result and the gradient of x, the weights being fixed."""

    def both(weights, x, slope):
        out, backward = jax.vjp(partial(network, weights), x)
        return out, backward(slope)

    out = jax.eval_shape(network, weights, x)
    slope = jax.random.normal(jax.random.key(4), out.shape, out.dtype)
    return Part(jax.jit(both), (weights, x, slope))


def _run(part: Part) -> None:
    jax.block_until_ready(part.function(*part.arguments))


def _stepper(part: Part) -> Callable:
    """The step gives its state's memory away, so it goes on from the new one."""
    state, *others = part.arguments

    def advance() -> None:
        nonlocal state
        state, _ = jax.block_until_ready(part.function(state, *others))

    return advance


def _matmul(size: int, dtype: str) -> Callable:
    x = jax.random.normal(jax.random.key(0), (size, size)).astype(dtype)
    return partial(_run, Part(jax.jit(jnp.matmul), (x, x)))


def _take_turns(runs: dict[str, Callable], repeats: int) -> tuple[dict, dict]:
    """Seconds of each run in every round, A B C A B C ..., and seconds that all the processors together worked on it."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    worked: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(WARM_UP + repeats):
        for name, run in runs.items():
            began, work_began = time.perf_counter(), time.process_time()
            run()
            if number >= WARM_UP:
                seconds[name].append(time.perf_counter() - began)
                worked[name].append(time.process_time() - work_began)
    return seconds, worked


def _rows(counts: dict[str, Count], seconds: dict[str, list[float]], peak: float) -> list[dict]:
    """The table: the parts, what is left, the step. peak: GFLOP/s of the matrix product."""
    own = [counts[name] for name in PARTS]
    left = Count(*(whole - sum(parts) for whole, *parts in zip(counts['step'], *own, strict=True)))
    counts = {**{name: counts[name] for name in PARTS}, 'rest': left, 'step': counts['step']}
    seconds = seconds | {'rest': _rest(seconds)}
    return [_row(name, made, seconds[name], seconds['step'], peak) for name, made in counts.items()]


def _row(name: str, made: Count, seconds: list[float], whole: list[float], peak: float) -> dict:
    rate = made.operations / median(seconds) / 1e9 if made.operations else None
    return {
        'part': name,
        'GFLOP': made.operations / 1e9,
        'dense GB': made.dense_bytes / 1e9,
        'other GB, unfused': made.other_bytes / 1e9,
        'FLOP/byte': made.operations / made.dense_bytes if made.dense_bytes else None,
        'seconds': median(seconds),
        'GFLOP/s': rate,
        'of peak %': rate and 100 * rate / peak,
        'of step %': 100 * median(map(truediv, seconds, whole)),
    }


def _rest(seconds: dict[str, list[float]]) -> list[float]:
    """The step without the three parts, round by round."""
    rounds = zip(seconds['step'], *(seconds[name] for name in PARTS), strict=True)
    return [whole - sum(parts) for whole, *parts in rounds]


def _work(row: dict, worked: dict[str, list[float]], peak: float) -> dict:
    """More columns, of the seconds that processors worked. peak: GFLOP of the matrix product in such a second."""
    own, rate = worked[row['part']], None
    if row['GFLOP']:
        rate = row['GFLOP'] / median(own)
    return {
        'core s': median(own),
        'work of peak %': rate and 100 * rate / peak,
        'work of step %': 100 * median(map(truediv, own, worked['step'])),
    }


if __name__ == '__main__':
    commands.run(main)
