"""`python -m benchmarks.memory [--quick] [--run] [--out FILE.json]` tells what one step of an inversion takes.

A PGGAN with all its channels and VGG-16 up to relu3_3 at 256 pixels, forward and backward. Changes one of resolution,
composing layer l, codes N and batch at a time, with and without rematerialisation, in float32 with plain and with
transformed kernels, and in bfloat16. Columns, in MB:

temp: what XLA plans for intermediate values; weights, codes and images come on top.
estimate: the same part of `mgan_jax.memory.step_bytes`, by which batch sizes and rematerialisation are chosen.
peak: with --run, the most that a process of its own held in memory while it ran a second step; above: how much more that
was than just before, when what compiling had freed was given back; seconds: of a third step.
"""

import ctypes
import json
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import commands, record
from mgan_jax import composition, losses, models, tasks
from mgan_jax.engine import memory
from mgan_jax.models import pggan, vgg

MB = 1e6


class Case(NamedTuple):
    """A step. width: channels are min(32 width / r, width) at r pixels; size: pixels a side that the extractor sees;
    winograd: with transformed kernels, as runs on CPUs have them."""

    resolution: int
    layer: int
    codes: int
    batch: int
    dtype: str = 'float32'
    remat: bool = False
    width: int = 512
    size: int = 256
    winograd: bool = False


BASE = Case(256, 8, 20, 1)
SWEEPS = {
    'batch': [BASE._replace(batch=b) for b in (1, 2, 4)],
    'codes': [BASE._replace(codes=n) for n in (1, 5, 10, 40)],
    'layer': [BASE._replace(layer=l) for l in (4, 6, 10)],
    'resolution': [Case(r, 6, 20, 1) for r in (128, 512, 1024)],
}
QUICK = {
    'batch': [Case(32, 4, 5, b, width=32, size=32) for b in (1, 2)],
    'codes': [Case(32, 4, 20, 1, width=32, size=32)],
}


def main(arguments: list[str]) -> None:
    parser = record.parser('memory', 'What one step of an inversion takes, in MB.')
    parser.add_argument('--run', action='store_true', help='also run each step in a process of its own')
    parser.add_argument('--one', help='a case as JSON: only run it, and print what it took')
    options = parser.parse_args(arguments)
    if options.one:
        print(json.dumps(run(Case(**json.loads(options.one)))))
        return
    rows = []
    for cases in (QUICK if options.quick else SWEEPS).values():
        for case in cases:
            for dtype, winograd in (('float32', False), ('float32', True), ('bfloat16', False)):
                for remat in (False, True):
                    rows.append(measure(case._replace(dtype=dtype, remat=remat, winograd=winograd), options.run))
                    print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
    print(record.table(rows))
    record.save(options.out, 'memory', arguments, rows, device=jax.devices()[0].device_kind)


def measure(case: Case, also_run: bool) -> dict:
    """The row of a case."""
    evaluate, codes, arguments = problem(case)
    around = memory.STATE_COPIES * _bytes(codes) + _bytes(arguments)
    plan = jax.jit(gradient(evaluate)).lower(codes, *arguments).compile().memory_analysis()
    estimate = memory.step_bytes(evaluate, codes, *arguments) - around
    names = ('resolution', 'layer', 'codes', 'batch', 'dtype', 'winograd', 'remat')
    row = {name: getattr(case, name) for name in names}
    row |= {'temp': round(plan.temp_size_in_bytes / MB, 1), 'estimate': round(estimate / MB, 1)}
    return row | (_run_elsewhere(case) if also_run else {})


def problem(case: Case):
    """(evaluate, codes, arguments): the loss of a reconstruction, and the shapes of what it takes."""
    generator = pggan.build_pggan(case.resolution, 512, 32 * case.width, case.width, remat=case.remat)
    extractor = vgg.build_vgg(remat=case.remat)
    objective = losses.objective(
        generator, tasks.reconstruct(), layer=case.layer, extractor=extractor, extractor_size=case.size
    )

    def start(key):
        params, seen_with = (models.cast(network.init(key), case.dtype) for network in (generator, extractor))
        if case.winograd:
            params, seen_with = generator.prepare(params), extractor.prepare(seen_with)
        codes = composition.init(key, generator, params, batch=case.batch, num_codes=case.codes, layer=case.layer)
        images = jnp.zeros((case.batch, case.resolution, case.resolution, 3))
        return codes, objective.prepare(images, params, seen_with)

    return objective.evaluate, *jax.eval_shape(start, jax.random.key(0))


def gradient(evaluate):
    """(codes, *arguments) -> (loss, slopes of the codes)."""
    return jax.value_and_grad(lambda codes, *arguments: jnp.sum(evaluate(codes, *arguments)))


def run(case: Case) -> dict:
    """Peak of the resident memory and seconds of a step, in this process. Linux tells the peak and forgets it on demand."""
    evaluate, codes, arguments = problem(case)
    rng = np.random.default_rng(0)
    draw = lambda leaf: jnp.asarray(0.05 * rng.standard_normal(leaf.shape, np.float32), leaf.dtype)  # noqa: E731
    codes, arguments = jax.tree.map(draw, (codes, arguments))
    step = jax.jit(gradient(evaluate))
    jax.block_until_ready(step(codes, *arguments))
    ctypes.CDLL(None).malloc_trim(0)  # what compiling has freed goes back to the system
    before = _resident('VmRSS')
    Path('/proc/self/clear_refs').write_text('5')  # the peak of compiling is not a step's
    jax.block_until_ready(step(codes, *arguments))
    peak = _resident('VmHWM')
    began = time.perf_counter()
    jax.block_until_ready(step(codes, *arguments))
    return {'peak': peak, 'above': round(peak - before, 1), 'seconds': round(time.perf_counter() - began, 3)}


def _resident(name: str) -> float:
    status = Path('/proc/self/status').read_text()
    return round(int(re.findall(rf'{name}:\s+(\d+) kB', status)[0]) * 1024 / MB, 1)


def _run_elsewhere(case: Case) -> dict:
    """`run` in a new process. VmHWM belongs to the new program, unlike ru_maxrss, which counts its parent's memory too."""
    command = [sys.executable, '-m', 'benchmarks.memory', '--one', json.dumps(case._asdict())]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()[-1])


def _bytes(tree) -> int:
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))


if __name__ == '__main__':
    commands.run(main)
