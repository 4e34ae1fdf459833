"""The compiled programs of a run, spread over the devices of this process, and the number of images that they take at once."""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
import optax
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from mgan_jax import inversion, losses, models, tasks
from mgan_jax.engine import memory, slots
from mgan_jax.priors import Prior

MOST_ON_CPUS, MOST = 1, 256  # images per device, where their number is chosen; more are not quicker on CPUs
IMAGES, EVERYWHERE = PartitionSpec('images'), PartitionSpec()


class ProgramInput(NamedTuple):
    """What the optimisation of B images starts from.

    number [B] uint32: folded into the random key of each image. observation: of the images. codes: initial codes for
    `Prior.init`, None for random ones.
    """

    number: Any
    observation: Any
    codes: Any = None


def build_program(
    prior: Prior,
    optimizer: optax.GradientTransformation,
    task: tasks.Task,
    objective: losses.Objective,
    weights: tuple[Any, Any],
    *,
    seed: int,
    devices: Sequence[jax.Device] | None = None,
) -> slots.Program:
    """The programs of a run: they begin with a `ProgramInput`, and their output is (inversion, result), [B H W C].

    objective: compares the images of the prior. weights: of the generator and of the perceptual loss, copied to every
    device. devices: those that share the images, None for all of this process. What a device computes for its images does
    not depend on the others, to the bit.
    """
    devices = jax.local_devices() if devices is None else devices
    mesh = jax.make_mesh((len(devices),), ('images',), axis_types=(AxisType.Auto,), devices=devices)
    step = inversion.make_step(objective, optimizer)

    def begin(start: ProgramInput, params, vgg):  # one program; op by op, dozens would be compiled
        root = jax.random.key(seed)
        keys = jax.vmap(lambda number: jax.random.fold_in(root, number))(start.number)
        codes = prior.init(keys, params, start.codes)
        return inversion.init(codes, optimizer), step.prepare(start.observation, params, vgg)[0]

    def finish(codes, target: losses.Target, params, vgg):
        image = prior.compose(params, codes)
        return image, task.finish(image, target.observation)

    by_image = NamedSharding(mesh, IMAGES)
    return slots.Program(
        begin=_spread(mesh, begin, 1, IMAGES),
        step=_spread_step(mesh, step),
        finish=_spread(mesh, finish, 2, IMAGES),
        shared=jax.device_put(weights, NamedSharding(mesh, EVERYWHERE)),
        place=lambda tree: jax.device_put(tree, by_image),
        devices=len(devices),
    )


def _spread(mesh: Mesh, function: Callable, split: int, out: Any, **options: Any) -> Callable:
    """Compiles `function` for all devices. The first `split` arguments have the images on their first axis and are divided;
    the others are on every device. Nothing passes between devices."""

    def spread(*arguments, **static):
        specs = tuple(IMAGES if place < split else EVERYWHERE for place in range(len(arguments)))
        on_each = functools.partial(function, **static)
        return jax.shard_map(on_each, mesh=mesh, in_specs=specs, out_specs=out, check_vma=False)(*arguments)

    spread.__name__ = function.__name__  # the name in profiles and in the compilation cache
    return jax.jit(spread, **options)


def _spread_step(mesh: Mesh, step: inversion.Step) -> inversion.Step:
    over_time = PartitionSpec(None, 'images')
    return inversion.Step(
        prepare=_spread(mesh, step.prepare, 1, (IMAGES, EVERYWHERE, EVERYWHERE)),
        update=_spread(mesh, step.update, 2, IMAGES, donate_argnums=0),
        scan=_spread(mesh, step.scan, 2, (IMAGES, over_time), donate_argnums=0, static_argnames='num_steps'),
    )


def step_memory(
    generator: models.Generator, task: tasks.Task, objective: losses.Objective, program: slots.Program
) -> memory.StepMemory:
    """The memory of a step on each device. Computes shapes only; raises what the networks and the task object to."""

    @functools.cache
    def bytes_of(batch: int) -> int:
        start = _input_shapes(generator, task, batch)
        state, target = jax.eval_shape(program.begin, _scale_batch(start, program.devices), *program.shared)
        on_each = _scale_batch((state.codes, target), 1 / program.devices)
        return memory.step_bytes(objective.evaluate, *on_each, *program.shared)

    bytes_of(1)
    return memory.StepMemory(bytes_of, memory.available_bytes(jax.local_devices()[0]))


def choose_batch_size(wanted: int, count: int, devices: int, step: memory.StepMemory) -> int:
    """How many of `count` images are optimised at once: `wanted`, or for 0 as many as fit into the memory, on CPUs one each.

    The result is a multiple of the number of devices, and not larger than all images need.
    """
    most = max(1, math.ceil(count / devices))
    if wanted:
        return min(math.ceil(wanted / devices), most) * devices
    limit = MOST_ON_CPUS if jax.local_devices()[0].platform == 'cpu' else MOST
    return step.largest_batch(min(limit, most)) * devices


def state_shapes(generator: models.Generator, task: tasks.Task, program: slots.Program, batch: int) -> Any:
    """Shapes and types of the state of one image, as `begin` makes it for a batch of `batch`."""
    state, _ = jax.eval_shape(program.begin, _input_shapes(generator, task, batch), *program.shared)
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), state)


def _input_shapes(generator: models.Generator, task: tasks.Task, batch: int) -> ProgramInput:
    images = jax.ShapeDtypeStruct((batch, *generator.image_size, generator.image_channels), np.float32)
    return ProgramInput(jax.ShapeDtypeStruct((batch,), np.uint32), jax.eval_shape(task.degrade, images))


def _scale_batch(tree: Any, times: float) -> Any:
    """The shapes of a tree with `times` as many images."""
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct((round(x.shape[0] * times), *x.shape[1:]), x.dtype), tree)
