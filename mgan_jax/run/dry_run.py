"""What a run would do, found without doing it: numbers, memory, volumes, time. Writes nothing.

The programs of the run are compiled and a few steps really done, at their shapes, with random codes and black images.
"""

import math
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from mgan_jax import tasks
from mgan_jax.data import masks, observations
from mgan_jax.engine import memory, programs
from mgan_jax.engine.slots import PIECE
from mgan_jax.run import jobs

CALLS, SECONDS = 3, 10.0  # steps that are timed together on CPUs; groups of steps are timed until this time is over


class RunEstimate(NamedTuple):
    """A run in numbers, of this process where nothing else is said; bytes and seconds.

    done: images that have results already; slots: images at once on all devices; early: whether images may end before their
    last step. weights, planned: on each device, the second is what a step takes beside them; left: what the fullest device
    has beside the weights. state: of all slots. codes, pictures: of one image's results, before compression. compiling: of
    all programs; step: of all slots; rest: what is done once for each filling of the slots, the start and the result.
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
        return math.ceil((self.images - self.done) / self.slots)

    @property
    def seconds(self) -> float:
        """Of the whole run; reading and writing go on beside it."""
        return self.batches and self.compiling + self.batches * (self.steps * self.step + self.rest)


def estimate_run(job: jobs.Job, done: int = 0, clock: Callable[[], float] = time.perf_counter) -> RunEstimate:
    """Compiles and times the programs of a job. done: how many of its images have results. ValueError with one sentence if
    the memory does not suffice."""
    try:
        found = _measured(job, clock)
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
        steps=job.settings['steps'],
        early=job.settings['tolerance'] > 0,
        **found,
    )


def images_per_hour(slots: int, steps: int, step: float, rest: float = 0.0) -> float:
    """The pace of full slots. step: seconds of a step of all slots; rest: seconds for each filling of the slots beside it."""
    return 3600 * slots / (steps * step + rest)


def format_estimate(plan: RunEstimate) -> str:
    """The plan as text: a line for each quantity with its value and how it was found."""
    rows = [*_amounts(plan), *_volumes(plan), *_times(plan)]
    widths = [max(len(row[i]) for row in rows) for i in (0, 1)]
    return '\n'.join(f'{name:<{widths[0]}}  {value:<{widths[1]}}  {how}'.rstrip() for name, value, how in rows)


def _measured(job: jobs.Job, clock: Callable[[], float]) -> dict:
    """What the devices tell."""
    program, slots = job.program, job.batch_size
    start = _start(job)
    (state, target), begin, compile_begin = _twice(clock, lambda: program.begin(start, *program.shared))
    devices = sorted(jax.tree.leaves(state)[0].sharding.device_set, key=lambda device: device.id)
    left = min(memory.available_bytes(device) for device in devices)
    length = 1 if devices[0].platform == 'cpu' else min(PIECE, max(1, job.settings['steps'] // 10))
    began = clock()
    compiled = _compiled(program.step, (state, target, *program.shared), length)
    compile_step = clock() - began
    sizes = {
        'weights': _bytes(program.shared),
        'planned': _planned(compiled, _bytes((state, target)) // len(devices)),
        'left': left,
        'state': _bytes(state),
        'codes': _bytes(state.codes) // slots,
        'pictures': _picture_bytes(job, start),
    }
    state, step = _timed_steps(compiled, state, (target, *program.shared), length, clock)
    finish, compile_finish = _twice(
        clock, lambda: jax.device_get(program.finish(state.best_codes, target, *program.shared))
    )[1:]
    times = {'compiling': compile_begin + compile_step + compile_finish, 'step': step, 'rest': begin + finish}
    return {'devices': len(devices), 'kind': devices[0].device_kind, **sizes, **times}


def _start(job: jobs.Job) -> programs.ProgramInput:
    """Black images, as many as there are slots, each with codes of its own."""
    settings, (height, width) = job.settings, job.generator.image_size
    hole = masks.parse_mask(settings['mask'], (height, width), 0) if 'mask' in settings else observations.NO_HOLE
    task = observations.make_task(settings, hole)
    black = np.full((1, height, width, job.generator.image_channels), -1, np.float32)
    observation = jax.device_get(task.degrade(black))
    repeated = jax.tree.map(lambda leaf: np.repeat(leaf, job.batch_size, axis=0), observation)
    return programs.ProgramInput(np.arange(job.batch_size, dtype=np.uint32), repeated)


def _twice(clock: Callable[[], float], work: Callable[[], Any]) -> tuple[Any, float, float]:
    """-> (the result, seconds, how many more it took the first time, when it was compiled)."""
    began = clock()
    jax.block_until_ready(work())
    between = clock()
    result = jax.block_until_ready(work())
    ended = clock()
    return result, ended - between, max(0.0, between - began - (ended - between))


def _compiled(step: Any, arguments: tuple, length: int) -> Any:
    """The program that does `length` steps."""
    if length == 1:
        return step.update.lower(*arguments).compile()
    return step.scan.lower(*arguments, num_steps=length).compile()


def _planned(compiled: Any, arguments: int) -> int:
    """Bytes of a device that a step takes beside the weights: its other arguments, and what the compiler plans."""
    plan = compiled.memory_analysis()
    if plan is None:  # some platforms do not tell
        return arguments
    return arguments + plan.temp_size_in_bytes + max(0, plan.output_size_in_bytes - plan.alias_size_in_bytes)


def _timed_steps(compiled: Any, state: Any, rest: tuple, length: int, clock: Callable[[], float]) -> tuple[Any, float]:
    """-> (the state after them, seconds of a step in the quickest group). The state is donated."""
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


def _picture_bytes(job: jobs.Job, start: programs.ProgramInput) -> int:
    """Of the input, the result, the inversion, and the target where it is known: a byte for each value."""
    settings = job.settings
    unknown = settings.get('damaged', False) or settings.get('low_res', False)
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
    """Bytes in a unit that people read: 1.5 MB."""
    for unit in ('bytes', 'kB', 'MB', 'GB', 'TB'):
        if count < 1000 or unit == 'TB':
            break
        count /= 1000
    return f'{count:.3g} {unit}' if count < 1000 else f'{count:,.0f} {unit}'


def format_duration(seconds: float) -> str:
    """Seconds in units that people read: 12 ms, 3.4 s, 5 min 20 s, 3 h 20 min, 2 days 4 h."""
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
