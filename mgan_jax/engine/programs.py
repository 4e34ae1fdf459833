"""From settings to what the device does: the programs of a run, and how many images they take at once."""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from mgan_jax import composition, inversion, losses, models, tasks
from mgan_jax.engine import from_settings, memory, slots

MOST_ON_CPUS, MOST = 1, 256  # images at once on a device, where their number is found; on CPUs more are not faster
IMAGES, EVERYWHERE = PartitionSpec('images'), PartitionSpec()


class ProgramInput(NamedTuple):
    """What an optimisation begins with. number [B]: see `observations.ObservedImage`. codes: see `priors.codes_around`, None for random ones."""

    number: Any
    observation: Any
    codes: composition.Codes | None = None


def build_program(
    settings: dict,
    generator: models.Generator,
    task: tasks.Task,
    objective: losses.Objective,
    weights: tuple[Any, Any],
    devices: Sequence[jax.Device] | None = None,
) -> slots.Program:
    """The programs of a run; they begin with a `ProgramInput`, and their output is (inversion, result), [B H W C].

    objective: of what the settings' `prior` says is optimised. weights: of the generator and of the perceptual loss; every device holds them all. devices: those that share the
    images, None for all of this process. Each does with its images what it would do with them alone, to the bit.
    """
    devices = jax.local_devices() if devices is None else devices
    mesh = jax.make_mesh((len(devices),), ('images',), axis_types=(AxisType.Auto,), devices=devices)
    prior, optimizer = from_settings.make_prior(settings, generator), from_settings.make_optimizer(settings)
    step = inversion.make_step(objective, optimizer)

    def begin(start: ProgramInput, params, vgg):  # in one program what would be dozens, each compiled
        root = jax.random.key(settings['seed'])
        keys = jax.vmap(lambda number: jax.random.fold_in(root, number))(start.number)
        codes = prior.init(keys, params, start.codes)
        return inversion.init(codes, optimizer), step.prepare(start.observation, params, vgg)[0]

    def finish(codes, target: losses.Target, params, vgg):
        image = prior.compose(params, codes)
        return image, task.finish(image, target.observation)

    shared = jax.device_put(weights, NamedSharding(mesh, EVERYWHERE))
    by_image = NamedSharding(mesh, IMAGES)
    return slots.Program(
        begin=_spread(mesh, begin, 1, IMAGES),
        step=_spread_step(mesh, step),
        finish=_spread(mesh, finish, 2, IMAGES),
        shared=shared,
        place=lambda tree: jax.device_put(tree, by_image),
        devices=len(devices),
    )


def _spread(mesh: Mesh, function: Callable, split: int, out: Any, **options: Any) -> Callable:
    """`function`, compiled, on every device with its part of the images, which are on the first axis of the first `split`
    arguments; the others are the same everywhere. Nothing passes between devices."""

    def spread(*arguments, **static):
        specs = tuple(IMAGES if place < split else EVERYWHERE for place in range(len(arguments)))
        on_each = functools.partial(function, **static)
        return jax.shard_map(on_each, mesh=mesh, in_specs=specs, out_specs=out, check_vma=False)(*arguments)

    spread.__name__ = function.__name__  # by which profiles and the cache of programs call it
    return jax.jit(spread, **options)


def _spread_step(mesh: Mesh, step: inversion.Step) -> inversion.Step:
    over_time = PartitionSpec(None, 'images')
    return inversion.Step(
        prepare=_spread(mesh, step.prepare, 1, (IMAGES, EVERYWHERE, EVERYWHERE)),
        update=_spread(mesh, step.update, 2, IMAGES, donate_argnums=0),
        scan=_spread(mesh, step.scan, 2, (IMAGES, over_time), donate_argnums=0, static_argnames='num_steps'),
    )


def choose_batch_size(
    wanted: int,
    count: int,
    generator: models.Generator,
    task: tasks.Task,
    objective: losses.Objective,
    program: slots.Program,
) -> int:
    """How many of `count` images go through at once: as many as are wanted, or for 0 as many as fit into the memory.

    A multiple of the devices, and no more on each than it takes for all images. Shapes only. Raises what the networks and
    the task object to.
    """
    most = max(1, math.ceil(count / program.devices))

    def shapes(batch: int):  # of what one device computes
        images = jax.ShapeDtypeStruct((batch, *generator.image_size, generator.image_channels), np.float32)
        start = ProgramInput(jax.ShapeDtypeStruct((batch,), np.uint32), jax.eval_shape(task.degrade, images))
        state, target = jax.eval_shape(program.begin, _rows(start, program.devices), *program.shared)
        return *_rows((state.codes, target), 1 / program.devices), *program.shared

    def bytes_of(batch: int) -> int:
        return memory.step_bytes(objective.evaluate, *shapes(batch))

    if wanted:
        jax.eval_shape(objective.evaluate, *shapes(1))
        return min(math.ceil(wanted / program.devices), most) * program.devices
    device = jax.local_devices()[0]
    most, left = min(MOST_ON_CPUS if device.platform == 'cpu' else MOST, most), memory.available_bytes(device)
    if memory.largest_batch(bytes_of(1), 0, left, most) == most:  # even with the weights counted once for each
        return most * program.devices
    return memory.largest_batch(*memory.bytes_per_image(bytes_of), left, most) * program.devices


def _rows(tree: Any, times: float) -> Any:
    """The shapes of a tree with so many times as many images."""
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct((round(x.shape[0] * times), *x.shape[1:]), x.dtype), tree)


def state_shapes(generator: models.Generator, task: tasks.Task, program: slots.Program, batch: int) -> Any:
    """The shapes and types of the state of one image, as `begin` makes them for a batch of `batch`."""
    images = jax.ShapeDtypeStruct((batch, *generator.image_size, generator.image_channels), np.float32)
    start = ProgramInput(jax.ShapeDtypeStruct((batch,), np.uint32), jax.eval_shape(task.degrade, images))
    state, _ = jax.eval_shape(program.begin, start, *program.shared)
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), state)
