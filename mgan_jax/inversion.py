"""Minimises an objective with one loss per image over a pytree of codes. Knows neither generators nor images.

`objective(codes, target, *shared)` -> loss [B]; every leaf of `codes` and `target` has the images on its first axis.
Images never mix: each has its own optimiser state, and the loss is reduced by a sum.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array
from jax.sharding import NamedSharding, PartitionSpec


class State(NamedTuple):
    """Where an optimisation stands.

    best_codes, best_loss [B]: the iterate with the lowest loss that was evaluated so far. step [B] int32: how many were.
    failed_at [B] int32: the step at which an image's loss became NaN or infinite, -1 while it is sound. A failed image
    rests at its best iterate; the others go on.
    """

    codes: Any
    optimizer_state: Any
    best_codes: Any
    best_loss: Array
    failed_at: Array
    step: Array


class Step(NamedTuple):
    """prepare(*arguments) -> arguments of update; update(state, *arguments) -> (state, loss [B]), the state is donated;
    scan(state, *arguments, num_steps) -> (state, loss [num_steps B]), the same in one program."""

    prepare: Callable
    update: Callable
    scan: Callable


def init(codes: Any, optimizer: optax.GradientTransformation) -> State:
    """The state before the first step. The codes are copied, since steps reuse their state's memory."""
    batch = jax.tree.leaves(codes)[0].shape[0]
    state = State(
        codes=codes,
        optimizer_state=jax.vmap(optimizer.init)(codes),
        best_codes=codes,
        best_loss=jnp.full(batch, jnp.inf, jnp.float32),
        failed_at=jnp.full(batch, -1, jnp.int32),
        step=jnp.zeros(batch, jnp.int32),
    )
    state = jax.tree.map(lambda x: jnp.array(x, x.dtype, copy=True), state)
    own = jax.tree.leaves(state.codes)[0]
    return jax.tree.map(lambda x: _beside(own, x), state)


def make_step(objective: Any, optimizer: optax.GradientTransformation) -> Step:
    """One step of any optax optimiser, applied to each image by itself (line searches and norms included).

    An objective with `prepare` and `evaluate` (`losses.Objective`) is prepared once per run.
    """
    prepare = getattr(objective, 'prepare', lambda *arguments: arguments)
    evaluate = getattr(objective, 'evaluate', objective)
    optimizer = optax.with_extra_args_support(optimizer)

    def total(codes, *arguments):
        loss = evaluate(codes, *arguments)
        return jnp.sum(loss), loss

    def update(state: State, target, *shared) -> tuple[State, Array]:
        (_, loss), slope = jax.value_and_grad(total, has_aux=True)(state.codes, target, *shared)

        def move(codes, slope, optimizer_state, value, own_target):  # one image
            def value_fn(candidate):
                return evaluate(_add_axis(candidate), _add_axis(own_target), *shared)[0]

            change, optimizer_state = optimizer.update(
                slope, optimizer_state, codes, value=value, grad=slope, value_fn=value_fn
            )
            return optax.apply_updates(codes, change), optimizer_state

        moved, optimizer_state = jax.vmap(move)(state.codes, slope, state.optimizer_state, loss, target)
        sound = (state.failed_at < 0) & jnp.isfinite(loss)
        better = sound & (loss < state.best_loss)
        best_codes = _select(better, state.codes, state.best_codes)
        new = State(
            codes=_select(sound, moved, best_codes),
            optimizer_state=_select(sound, optimizer_state, state.optimizer_state),
            best_codes=best_codes,
            best_loss=jnp.where(better, loss, state.best_loss),
            failed_at=jnp.where((state.failed_at < 0) & ~sound, state.step, state.failed_at),
            step=state.step + 1,
        )
        return new, loss

    def scan(state, *arguments, num_steps):
        return jax.lax.scan(lambda carry, _: update(carry, *arguments), state, length=num_steps)

    return Step(
        prepare=jax.jit(prepare),
        update=jax.jit(update, donate_argnums=0),
        scan=jax.jit(scan, donate_argnums=0, static_argnames='num_steps'),
    )


def replace(state: Any, fresh: Any, chosen: Array) -> Any:
    """`fresh` in the places of the images that are chosen [B], `state` in the others: of states, or of any such trees."""
    return _select(chosen, fresh, state)


def run(step: Step, state: State, *arguments, num_steps: int) -> tuple[State, dict[str, Array]]:
    """`num_steps` steps from `state`, whose memory is reused. -> (state, trace), trace['loss']: [num_steps B].

    The loss of step k is that of the codes before it, so the last codes of a run have not been evaluated.
    """
    return advance(step, state, *step.prepare(*arguments), num_steps=num_steps)


def advance(step: Step, state: State, *arguments, num_steps: int) -> tuple[State, dict[str, Array]]:
    """As `run`, with arguments that `step.prepare` has made: for loops that report in between.

    On CPUs the steps are dispatched one by one, because XLA runs them several times slower inside a loop of its own; on
    accelerators, and under an outer transformation, they are one scan.
    """
    if num_steps < 1:
        raise ValueError(f'num_steps is {num_steps}; at least one step is needed.')
    if not is_on_cpu(state.step):
        state, loss = step.scan(state, *arguments, num_steps=num_steps)
        return state, {'loss': loss}
    losses = []
    for _ in range(num_steps):
        state, loss = step.update(state, *arguments)
        losses.append(loss)
    return state, {'loss': jnp.asarray(np.stack(jax.device_get(losses)))}  # stacked by JAX, each number is a program


def is_on_cpu(array: Array) -> bool:
    return not isinstance(array, jax.core.Tracer) and all(device.platform == 'cpu' for device in array.devices())


def _beside(codes: Array, x: Array) -> Array:
    """`x` spread over the devices as the codes are: every step returns it so, and must find it so to be one program."""
    if isinstance(codes, jax.core.Tracer):
        return (
            _select(codes.reshape(len(codes), -1)[:, 0] == 0, x, x) if x.ndim else x
        )  # the type that shard_map checks
    if not isinstance(codes.sharding, NamedSharding) or isinstance(x.sharding, NamedSharding):
        return x
    images = PartitionSpec(*codes.sharding.spec[:1]) if x.ndim else PartitionSpec()
    return jax.device_put(x, NamedSharding(codes.sharding.mesh, images))


def _add_axis(tree: Any) -> Any:
    return jax.tree.map(lambda x: x[None], tree)


def _select(choose: Array, yes: Any, no: Any) -> Any:
    """Image by image, from trees whose leaves have the images first."""
    return jax.tree.map(lambda a, b: jnp.where(choose.reshape(-1, *[1] * (a.ndim - 1)), a, b), yes, no)
