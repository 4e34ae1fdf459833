"""From settings to what the device does: the programs of a run, and how many images they take at once."""

from typing import Any, NamedTuple

import jax
import numpy as np
import optax

from mgan_jax import composition, inversion, losses, memory, models, pool, tasks, whitening

MOST_ON_CPUS, MOST = 8, 256  # images at once where their number is found; on CPUs larger batches are not faster


class Start(NamedTuple):
    """What an optimisation begins with. number [B]: see `cases.Case`."""

    number: Any
    observation: Any


def build(
    settings: dict,
    generator: models.Generator,
    task: tasks.Task,
    objective: losses.Objective,
    weights: tuple[Any, Any],
) -> pool.Program:
    """The programs of a run; they begin with a `Start`, and their output is (inversion, result), [B H W C].

    weights: of the generator and of the perceptual loss.
    """
    optimizer = make_optimizer(settings)
    step = inversion.make_step(objective, optimizer)

    @jax.jit
    def begin(start: Start, params, vgg):  # in one program what would be dozens, each compiled
        root = jax.random.key(settings['seed'])
        keys = jax.vmap(lambda number: jax.random.fold_in(root, number))(start.number)
        state = inversion.init(_codes(keys, generator, params, settings), optimizer)
        return state, step.prepare(start.observation, params, vgg)[0]

    @jax.jit
    def finish(codes, target: losses.Target, params, vgg):
        image = composition.compose(generator, params, codes, layer=settings['layer'], space=settings['space'])
        return image, task.finish(image, target.observation)

    return pool.Program(begin, step, finish, weights)


def batch_size(
    wanted: int,
    count: int,
    generator: models.Generator,
    task: tasks.Task,
    objective: losses.Objective,
    program: pool.Program,
) -> int:
    """How many of `count` images go through at once: as many as are wanted, or for 0 as many as fit into the memory.

    Shapes only. Raises what the networks and the task object to.
    """

    def shapes(batch: int):
        images = jax.ShapeDtypeStruct((batch, *generator.image_size, generator.image_channels), np.float32)
        start = Start(jax.ShapeDtypeStruct((batch,), np.uint32), jax.eval_shape(task.degrade, images))
        state, target = jax.eval_shape(program.begin, start, *program.shared)
        return state.codes, target, *program.shared

    def bytes_of(batch: int) -> int:
        return memory.step_bytes(objective.evaluate, *shapes(batch))

    if wanted:
        jax.eval_shape(objective.evaluate, *shapes(1))
        return min(wanted, count)
    device = jax.devices()[0]
    most, left = min(MOST_ON_CPUS if device.platform == 'cpu' else MOST, count), memory.available(device)
    if memory.batch_size(bytes_of(1), 0, left, most) == most:  # even with the weights counted once for each
        return most
    return memory.batch_size(*memory.per_image(bytes_of), left, most)


def make_optimizer(settings: dict) -> optax.GradientTransformation:
    """What `settings` say of the steps: 'whitening' and 'adam' decay to 0 over a run, 'sgd' is the released code's."""
    rates = settings['latent_rate'], settings['alpha_rate'] / _n_squared(settings)
    if settings['optimizer'] == 'sgd':
        return composition.split_optimizer(*map(optax.sgd, rates))
    schedules = [optax.cosine_decay_schedule(rate, settings['steps']) for rate in rates]
    adams = [optax.adam(schedule, settings['beta1'], settings['beta2']) for schedule in schedules]
    if settings['optimizer'] == 'adam':
        return composition.split_optimizer(*adams)
    latents, alpha = (whitening.whiten(schedule) for schedule in schedules)
    return composition.split_optimizer(latents, alpha, rest=adams[0])  # no codes that resemble each other


def _n_squared(settings: dict) -> int:
    return settings['num_codes'] ** 2 if settings['alpha_over_n'] else 1


def _codes(keys: jax.Array, generator: models.Generator, params: dict, settings: dict) -> composition.Codes:
    alpha = 1 / _n_squared(settings) if settings['alpha_over_n'] else None
    place = {name: settings[name] for name in ('num_codes', 'layer', 'space', 'noise')}
    tail = settings['tail'] == 'learned'
    return composition.init(keys, generator, params, batch=keys.shape[0], alpha=alpha, tail=tail, **place)
