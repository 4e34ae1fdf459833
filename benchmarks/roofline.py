"""`python -m benchmarks.roofline` measures where the time of an inversion step goes, and how close it is to the machine's peak.

The whole step and its parts, G1 of all codes, G2 and the extractor, are timed forward and backward, in turns. Their
arithmetic is counted from their jaxprs (`benchmarks.operations`) as it is done: a convolution that is computed with fewer
multiplications counts with these. 'rest' is the step without the three parts: composition, loss, optimiser. Its seconds are
a difference, taken in each round; they are negative where other programs disturbed the parts. The peak is that of a large
square matrix product, timed in the same turns. Any device that JAX has can be measured. On processors the last columns
repeat the measures in seconds of processor time, which other programs hardly change.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from functools import partial
from operator import truediv
from statistics import median
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from benchmarks import commands, jax_sides, problem, record
from benchmarks.operations import Count, count_operations
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
    parts = _make_parts(setting, transformed=jax.default_backend() == 'cpu' and not options.plain)
    counts = {name: count_operations(part.function, *part.arguments) for name, part in parts.items()}
    runs: dict[str, Callable] = {name: partial(_run_part, part) for name, part in parts.items()}
    runs['step'] = _make_stepper(parts['step'])
    runs |= {f'matmul {dtype}': _make_matmul(options.matmul, dtype) for dtype in DTYPES}
    _report(options, arguments, setting, counts, *_take_turns(runs, options.repeats))


def _report(
    options: argparse.Namespace,
    arguments: Sequence[str],
    setting: problem.Setting,
    counts: dict[str, Count],
    seconds: dict[str, list[float]],
    worked: dict[str, list[float]],
) -> None:
    """Prints the table and writes the file. seconds, worked: time and processor time of each run in every round."""
    peaks = {dtype: 2 * options.matmul**3 / median(seconds[f'matmul {dtype}']) / 1e9 for dtype in DTYPES}
    rows = _make_rows(counts, seconds, peaks['float32'])
    worked = worked | {'rest': _subtract_parts(worked)}
    if jax.devices()[0].platform == 'cpu':
        peak = 2 * options.matmul**3 / median(worked['matmul float32']) / 1e9
        rows = [row | _make_work_columns(row, worked, peak) for row in rows]
    print(record.format_table(rows))
    cores = median(map(truediv, worked['step'], seconds['step']))
    print('\nmatrix product: ' + ', '.join(f'{rate:.0f} GFLOP/s in {dtype}' for dtype, rate in peaks.items()))
    print(f'cores at work in the step: {cores:.2f} of {record.count_cores()}')
    facts = {'setting': setting._asdict(), 'peak_gflops': peaks, 'cores_at_work': cores}
    facts |= {'seconds': seconds, 'processor_seconds': worked}
    record.write_record(options.out, 'roofline', arguments, rows, device=jax.devices()[0].device_kind, **facts)


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = record.make_parser('roofline', __doc__)
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


def _make_parts(setting: problem.Setting, transformed: bool) -> dict[str, Part]:
    """The parts with their arguments in the first step, and the step. transformed: use transformed kernels."""
    generator, extractor = problem.build_networks(setting)
    weights = problem.draw_weights(setting)
    start = problem.draw_start(setting, weights)
    params, vgg, target = jax.device_put((weights.generator, weights.extractor, start.target))
    if transformed:
        params, vgg = jax.jit(generator.prepare)(params), jax.jit(extractor.prepare)(vgg)
    codes = composition.Codes(jnp.asarray(start.latents), jnp.asarray(start.alpha))
    layer, latents = setting.layer, codes.latents.reshape(-1, codes.latents.shape[-1])

    g1 = partial(generator.features, stop=layer)
    g2 = partial(generator.image, start=layer)
    features = partial(extractor.features, layer=problem.EXTRACTOR_LAYER)
    composed = jax.jit(g1)(params, latents)[: setting.batch]
    resized = resize.nearest(target, setting.extractor_size)
    optimizer = jax_sides.make_optimizer()
    step = inversion.make_step(jax_sides.make_objective(setting, generator, extractor), optimizer)
    state = inversion.init(codes, optimizer)
    return {
        'G1': _forward_and_backward(g1, params, latents),
        'G2': _forward_and_backward(g2, params, composed),
        'extractor': _forward_and_backward(features, vgg, resized),
        'step': Part(step.update, (state, *step.prepare(target, params, vgg))),
    }


def _forward_and_backward(network: Callable, weights: Any, x: jax.Array) -> Part:
    """The output of a network and the gradient of its input x; the weights are fixed."""

    def both(weights, x, output_gradient):
        out, backward = jax.vjp(partial(network, weights), x)
        return out, backward(output_gradient)

    out = jax.eval_shape(network, weights, x)
    output_gradient = jax.random.normal(jax.random.key(4), out.shape, out.dtype)
    return Part(jax.jit(both), (weights, x, output_gradient))


def _run_part(part: Part) -> None:
    jax.block_until_ready(part.function(*part.arguments))


def _make_stepper(part: Part) -> Callable:
    """advance(): does the next step. A step reuses the memory of its state, so the state is replaced."""
    state, *others = part.arguments

    def advance() -> None:
        nonlocal state
        state, _ = jax.block_until_ready(part.function(state, *others))

    return advance


def _make_matmul(size: int, dtype: str) -> Callable:
    """A square matrix product."""
    x = jax.random.normal(jax.random.key(0), (size, size)).astype(dtype)
    return partial(_run_part, Part(jax.jit(jnp.matmul), (x, x)))


def _take_turns(runs: dict[str, Callable], repeats: int) -> tuple[dict, dict]:
    """(seconds of each run in every round, its seconds of processor time), in the order A B C A B C ..."""
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


def _make_rows(counts: dict[str, Count], seconds: dict[str, list[float]], peak: float) -> list[dict]:
    """Rows of the parts, the rest and the step. peak: GFLOP/s of the matrix product."""
    of_parts = [counts[name] for name in PARTS]
    rest = Count(*(whole - sum(parts) for whole, *parts in zip(counts['step'], *of_parts, strict=True)))
    counts = {**{name: counts[name] for name in PARTS}, 'rest': rest, 'step': counts['step']}
    seconds = seconds | {'rest': _subtract_parts(seconds)}
    return [_make_row(name, count, seconds[name], seconds['step'], peak) for name, count in counts.items()]


def _make_row(name: str, count: Count, seconds: list[float], whole: list[float], peak: float) -> dict:
    rate = count.operations / median(seconds) / 1e9 if count.operations else None
    return {
        'part': name,
        'GFLOP': count.operations / 1e9,
        'dense GB': count.dense_bytes / 1e9,
        'other GB, unfused': count.other_bytes / 1e9,
        'FLOP/byte': count.operations / count.dense_bytes if count.dense_bytes else None,
        'seconds': median(seconds),
        'GFLOP/s': rate,
        'of peak %': rate and 100 * rate / peak,
        'of step %': 100 * median(map(truediv, seconds, whole)),
    }


def _subtract_parts(seconds: dict[str, list[float]]) -> list[float]:
    """The seconds of the step without the three parts, in every round."""
    rounds = zip(seconds['step'], *(seconds[name] for name in PARTS), strict=True)
    return [whole - sum(parts) for whole, *parts in rounds]


def _make_work_columns(row: dict, worked: dict[str, list[float]], peak: float) -> dict:
    """Columns in seconds of processor time. peak: GFLOP of the matrix product in such a second."""
    own = worked[row['part']]
    rate = row['GFLOP'] / median(own) if row['GFLOP'] else None
    return {
        'core s': median(own),
        'work of peak %': rate and 100 * rate / peak,
        'work of step %': 100 * median(map(truediv, own, worked['step'])),
    }


if __name__ == '__main__':
    commands.run_command(main)
