"""Estimates a run: numbers, memory, volumes, time. Writes nothing.

Compiles the programs of the run and times a few steps at their real shapes, with random codes and black images.
"""

import math
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from mgan_jax import tasks
from mgan_jax.data import observations
from mgan_jax.engine import memory, programs
from mgan_jax.engine.slots import PIECE
from mgan_jax.run.pipeline import Job

CALLS, SECONDS = 3, 10.0  # steps that are timed together on CPUs; groups of steps are timed until this time is over


class RunEstimate(NamedTuple):
    """A run in numbers, for this process where nothing else is said; bytes and seconds.

    done: images that have results. slots: images at once on all devices. early: images may finish before their last step.
    weights: bytes on each device. planned: bytes of a step on each device beside the weights. left: bytes that the fullest
    device has beside the weights. state: of all slots. codes, pictures: of the results of one image, before compression.
    compiling: of all programs. step: of all slots. rest: work per filling of the slots: initial state and results.
    """

    images: int
    done: int
    processes: int
    devices: int
    kind: str
    slots: int
    steps: int
    early: bool
    weights: int
    planned: int
    left: int
    state: int
    codes: int
    pictures: int
    compiling: float
    step: float
    rest: float

    @property
    def batches(self) -> int:
        """Fillings of the slots."""
        return math.ceil((self.images - self.done) / self.slots)

    @property
    def seconds(self) -> float:
        """The time of the whole run, if reading and writing keep up."""
        return self.batches and self.compiling + self.batches * (self.steps * self.step + self.rest)


def estimate_run(job: Job, done: int = 0, clock: Callable[[], float] = time.perf_counter) -> RunEstimate:
    """Compiles and times the programs of a job. done: the number of its images that have results.

    Raises ValueError with one sentence if the memory does not suffice.
    """
    try:
        measured = _measure(job, clock)
    except Exception as error:
        if not memory.is_exhausted(error):
            raise
        raise ValueError(
            f'the memory does not suffice for {job.batch_size} images at once; a run would go on with half of them: plan it '
            'with a smaller --config.batch_size.'
        ) from error
    return RunEstimate(
        images=len(job.sources),
        done=done,
        processes=job.share.count,
        slots=job.batch_size,
        steps=job.rules.num_steps,
        early=job.rules.tolerance > 0,
        **measured,
    )


def images_per_hour(slots: int, steps: int, step: float, rest: float = 0.0) -> float:
    """Images per hour with full slots. step: seconds of a step of all slots. rest: other seconds per filling of the slots."""
    return 3600 * slots / (steps * step + rest)


def format_estimate(plan: RunEstimate) -> str:
    """The estimate as text: a line per quantity with its value and where it comes from."""
    rows = [*_amounts(plan), *_volumes(plan), *_times(plan)]
    widths = [max(len(row[i]) for row in rows) for i in (0, 1)]
    return '\n'.join(f'{name:<{widths[0]}}  {value:<{widths[1]}}  {how}'.rstrip() for name, value, how in rows)


def _measure(job: Job, clock: Callable[[], float]) -> dict:
    """What compiled programs and devices tell: the fields of `RunEstimate` from `devices` on."""
    program, slots = job.program, job.batch_size
    start = _black_images(job)
    (state, target), begin, compile_begin = _time_twice(clock, lambda: program.begin(start, *program.shared))
    devices = sorted(jax.tree.leaves(state)[0].sharding.device_set, key=lambda device: device.id)
    left = min(memory.available_bytes(device) for device in devices)
    length = 1 if devices[0].platform == 'cpu' else min(PIECE, max(1, job.rules.num_steps // 10))
    began = clock()
    compiled = _compile_steps(program.step, (state, target, *program.shared), length)
    compile_step = clock() - began
    sizes = {
        'weights': _bytes(program.shared),
        'planned': _planned_bytes(compiled, _bytes((state, target)) // len(devices)),
        'left': left,
        'state': _bytes(state),
        'codes': _bytes(state.codes) // slots,
        'pictures': _picture_bytes(job, start),
    }
    state, step = _time_steps(compiled, state, (target, *program.shared), length, clock)
    finish, compile_finish = _time_twice(
        clock, lambda: jax.device_get(program.finish(state.best_codes, target, *program.shared))
    )[1:]
    times = {'compiling': compile_begin + compile_step + compile_finish, 'step': step, 'rest': begin + finish}
    return {'devices': len(devices), 'kind': devices[0].device_kind, **sizes, **times}


def _black_images(job: Job) -> programs.ProgramInput:
    """Black images for all slots, each with random codes of its own."""
    height, width = job.generator.image_size
    hole = observations.task_mask(job.settings.task, (height, width), seed=0)
    task = observations.make_task(job.settings.task, hole)
    black = np.full((1, height, width, job.generator.image_channels), -1, np.float32)
    observation = jax.device_get(task.degrade(black))
    repeated = jax.tree.map(lambda leaf: np.repeat(leaf, job.batch_size, axis=0), observation)
    return programs.ProgramInput(np.arange(job.batch_size, dtype=np.uint32), repeated)


def _time_twice(clock: Callable[[], float], work: Callable[[], Any]) -> tuple[Any, float, float]:
    """-> (the result, seconds of the second call, further seconds of the first call, which compiles)."""
    began = clock()
    jax.block_until_ready(work())
    between = clock()
    result = jax.block_until_ready(work())
    ended = clock()
    return result, ended - between, max(0.0, between - began - (ended - between))


def _compile_steps(step: Any, arguments: tuple, length: int) -> Any:
    """Compiles the program of `length` steps."""
    if length == 1:
        return step.update.lower(*arguments).compile()
    return step.scan.lower(*arguments, num_steps=length).compile()


def _planned_bytes(compiled: Any, arguments: int) -> int:
    """Bytes of a step on a device beside the weights: its other arguments, and the compiler's plan."""
    plan = compiled.memory_analysis()
    if plan is None:  # not on every platform
        return arguments
    return arguments + plan.temp_size_in_bytes + max(0, plan.output_size_in_bytes - plan.alias_size_in_bytes)


def _time_steps(compiled: Any, state: Any, rest: tuple, length: int, clock: Callable[[], float]) -> tuple[Any, float]:
    """-> (the last state, seconds of a step in the quickest group). The given state is donated."""
    state, _ = compiled(state, *rest)
    jax.block_until_ready(state)
    calls = CALLS if length == 1 else 1
    times: list[float] = []
    first = clock()
    while len(times) < 3 and (not times or clock() - first < SECONDS):
        began = clock()
        for _ in range(calls):
            state, _ = compiled(state, *rest)
        jax.block_until_ready(state)
        times.append((clock() - began) / (calls * length))
    return state, min(times)


def _picture_bytes(job: Job, start: programs.ProgramInput) -> int:
    """Bytes of input, result, inversion, and target where it is known: one byte per value."""
    task = job.settings.task
    unknown = getattr(task, 'damaged', False) or getattr(task, 'low_res', False)
    full = math.prod((*job.generator.image_size, job.generator.image_channels))
    return (2 if unknown else 3) * full + tasks.pixels(start.observation)[0].size


def _bytes(tree: Any) -> int:
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))


def _amounts(plan: RunEstimate) -> list[tuple[str, str, str]]:
    each = plan.slots // plan.devices
    return [
        ('images', f'{plan.images:,}', f'{plan.done:,} of them done already' if plan.done else 'none of them done yet'),
        ('processes', f'{plan.processes}', 'all figures below are of this one' if plan.processes > 1 else ''),
        ('devices', f'{plan.devices}', plan.kind),
        ('slots', f'{plan.slots}', f'images at once, {each} on each device'),
        ('batches', f'{plan.batches:,}', f'of {plan.steps} steps' + (' at most' if plan.early else '')),
    ]


def _volumes(plan: RunEstimate) -> list[tuple[str, str, str]]:
    left = plan.images - plan.done
    return [
        ('weights', format_bytes(plan.weights), 'on each device'),
        ('step', format_bytes(plan.planned), "on each device beside the weights, by the compiler's plan"),
        ('left', format_bytes(plan.left), 'on the fullest device beside the weights'),
        ('checkpoint', format_bytes(plan.state), 'the states of all slots'),
        ('codes', format_bytes(plan.codes), f'for each image, {format_bytes(plan.codes * left)} in all'),
        (
            'pictures',
            format_bytes(plan.pictures),
            f'for each image, {format_bytes(plan.pictures * left)} in all; less as PNG',
        ),
    ]


def _times(plan: RunEstimate) -> list[tuple[str, str, str]]:
    pace = images_per_hour(plan.slots, plan.steps, plan.step, plan.rest)
    return [
        ('compilation', format_duration(plan.compiling), 'measured; less where programs are kept from an earlier run'),
        ('a step', format_duration(plan.step), 'measured, of all slots, the quickest of a few'),
        ('images/hour', f'{pace:,.0f}', 'with full slots, from the step, the start and the result, as measured'),
        (
            'time',
            format_duration(plan.seconds),
            'for what is left, if reading and writing keep up' + (', at most' if plan.early else ''),
        ),
    ]


def format_bytes(count: float) -> str:
    """Bytes with a unit: 1.5 MB."""
    for unit in ('bytes', 'kB', 'MB', 'GB', 'TB'):
        if count < 1000 or unit == 'TB':
            break
        count /= 1000
    return f'{count:.3g} {unit}' if count < 1000 else f'{count:,.0f} {unit}'


def format_duration(seconds: float) -> str:
    """Seconds with units: 12 ms, 3.4 s, 5 min 20 s, 3 h 20 min, 2 days 4 h."""
    if seconds < 1:
        return f'{1000 * seconds:.3g} ms'
    if seconds < 60:
        return f'{seconds:.3g} s'
    if seconds < 3600:
        return _pair(seconds, 60, 'min', 's')
    return _pair(seconds / 60, 60, 'h', 'min') if seconds < 86400 else _pair(seconds / 3600, 24, 'days', 'h')


def _pair(count: float, base: int, large: str, small: str) -> str:
    whole, part = divmod(round(count), base)
    return f'{whole:,} {large} {part} {small}'
