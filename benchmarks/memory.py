"""`python -m benchmarks.memory [--quick] [--run] [--out FILE.json]` measures the memory of one inversion step.

The step is that of a PGGAN with all its channels and VGG-16 up to relu3_3 at 256 pixels, forward and backward. Changes one
of resolution, composing layer l, codes N and batch at a time, with and without rematerialisation, in float32 with plain
and with transformed kernels, and in bfloat16. Columns, in MB:

temp: what XLA plans for intermediate values; weights, codes and images come on top.
estimate: the same part of `memory.step_bytes`, by which runs choose batch size and rematerialisation.
peak: with --run, the largest resident memory of a process while it ran a second step.
above: peak, less the resident memory just before that step, after the memory of compilation was freed.
seconds: of a third step.
"""

import ctypes
import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import commands, record
from mgan_jax import composition, losses, models, tasks
from mgan_jax.engine import memory
from mgan_jax.models import pggan, vgg

MB = 1e6


class StepSetting(NamedTuple):
    """A step. width: at r pixels there are min(32 width / r, width) channels. size: side of the extractor's input, in pixels.
    winograd: transformed kernels, as runs on CPUs use them."""

    resolution: int
    layer: int
    codes: int
    batch: int
    dtype: str = 'float32'
    remat: bool = False
    width: int = 512
    size: int = 256
    winograd: bool = False


BASE = StepSetting(256, 8, 20, 1)
SWEEPS = {
    'batch': [BASE._replace(batch=b) for b in (1, 2, 4)],
    'codes': [BASE._replace(codes=n) for n in (1, 5, 10, 40)],
    'layer': [BASE._replace(layer=l) for l in (4, 6, 10)],
    'resolution': [StepSetting(r, 6, 20, 1) for r in (128, 512, 1024)],
}
QUICK = {
    'batch': [StepSetting(32, 4, 5, b, width=32, size=32) for b in (1, 2)],
    'codes': [StepSetting(32, 4, 20, 1, width=32, size=32)],
}


def main(arguments: Sequence[str]) -> None:
    parser = record.make_parser('memory', __doc__)
    parser.add_argument('--run', action='store_true', help='also run each step in a process of its own')
    parser.add_argument('--one', help='a setting as JSON: only run it and print what it took')
    options = parser.parse_args(arguments)
    if options.one:
        print(json.dumps(run_step(StepSetting(**json.loads(options.one)))))
        return
    rows = []
    for setting in (setting for sweep in (QUICK if options.quick else SWEEPS).values() for setting in sweep):
        for dtype, winograd in (('float32', False), ('float32', True), ('bfloat16', False)):
            for remat in (False, True):
                varied = setting._replace(dtype=dtype, remat=remat, winograd=winograd)
                rows.append(measure_setting(varied, options.run))
                print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
    print(record.format_table(rows))
    record.write_record(options.out, 'memory', arguments, rows, device=jax.devices()[0].device_kind)


def measure_setting(setting: StepSetting, also_run: bool) -> dict:
    """The row of a setting."""
    evaluate, codes, arguments = build_problem(setting)
    fixed = memory.STATE_COPIES * _count_bytes(codes) + _count_bytes(arguments)
    plan = jax.jit(make_gradient(evaluate)).lower(codes, *arguments).compile().memory_analysis()
    estimate = memory.step_bytes(evaluate, codes, *arguments) - fixed
    names = ('resolution', 'layer', 'codes', 'batch', 'dtype', 'winograd', 'remat')
    row = {name: getattr(setting, name) for name in names}
    row |= {'temp': round(plan.temp_size_in_bytes / MB, 1), 'estimate': round(estimate / MB, 1)}
    return row | (_run_in_process(setting) if also_run else {})


def build_problem(setting: StepSetting) -> tuple[Callable, Any, tuple]:
    """(evaluate, codes, arguments): the loss of a reconstruction, and the shapes of its codes and other arguments."""
    generator = pggan.build_pggan(setting.resolution, 512, 32 * setting.width, setting.width, remat=setting.remat)
    extractor = vgg.build_vgg(remat=setting.remat)
    objective = losses.objective(
        generator, tasks.reconstruct(), layer=setting.layer, extractor=extractor, extractor_size=setting.size
    )

    def start(key):
        params, vgg_params = (models.cast(network.init(key), setting.dtype) for network in (generator, extractor))
        if setting.winograd:
            params, vgg_params = generator.prepare(params), extractor.prepare(vgg_params)
        codes = composition.init(
            key, generator, params, batch=setting.batch, num_codes=setting.codes, layer=setting.layer
        )
        images = jnp.zeros((setting.batch, setting.resolution, setting.resolution, 3))
        return codes, objective.prepare(images, params, vgg_params)

    return objective.evaluate, *jax.eval_shape(start, jax.random.key(0))


def make_gradient(evaluate: Callable) -> Callable:
    """(codes, *arguments) -> (loss, gradient of the codes)."""
    return jax.value_and_grad(lambda codes, *arguments: jnp.sum(evaluate(codes, *arguments)))


def run_step(setting: StepSetting) -> dict:
    """Peak of the resident memory and seconds of a step in this process. Linux reports the peak and resets it on demand."""
    evaluate, codes, arguments = build_problem(setting)
    rng = np.random.default_rng(0)

    def draw(leaf: jax.ShapeDtypeStruct) -> jax.Array:
        return jnp.asarray(0.05 * rng.standard_normal(leaf.shape, np.float32), leaf.dtype)

    codes, arguments = jax.tree.map(draw, (codes, arguments))
    step = jax.jit(make_gradient(evaluate))
    jax.block_until_ready(step(codes, *arguments))
    ctypes.CDLL(None).malloc_trim(0)  # returns the memory that compilation has freed
    before = _read_resident('VmRSS')
    Path('/proc/self/clear_refs').write_text('5')  # resets the peak, which was that of compilation
    jax.block_until_ready(step(codes, *arguments))
    peak = _read_resident('VmHWM')
    began = time.perf_counter()
    jax.block_until_ready(step(codes, *arguments))
    return {'peak': peak, 'above': round(peak - before, 1), 'seconds': round(time.perf_counter() - began, 3)}


def _read_resident(name: str) -> float:
    """A field of /proc/self/status, in MB."""
    status = Path('/proc/self/status').read_text()
    return round(int(re.findall(rf'{name}:\s+(\d+) kB', status)[0]) * 1024 / MB, 1)


def _run_in_process(setting: StepSetting) -> dict:
    """`run_step` in a new process. VmHWM belongs to the new program; ru_maxrss would count the memory of its parent."""
    command = [sys.executable, '-m', 'benchmarks.memory', '--one', json.dumps(setting._asdict())]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()[-1])


def _count_bytes(tree: Any) -> int:
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))


if __name__ == '__main__':
    commands.run_command(main)
