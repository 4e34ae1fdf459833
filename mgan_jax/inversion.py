"""Minimises one loss per image over a pytree of codes, with any optax optimiser. Independent of generators and images.

`objective(codes, target, *shared)` -> loss [B]. Every leaf of `codes` and `target` has the B images on its first axis.
Images never mix: each has its own optimiser state, and the losses are reduced by a sum.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array

from mgan_jax import execution


class State(NamedTuple):
    """best_codes, best_loss [B]: the iterate with the lowest loss so far. step [B] int32: the number of evaluated iterates.

    failed_at [B] int32: the step at which the loss became NaN or infinite, else -1. A failed image stays at its best iterate."""

    codes: Any
    optimizer_state: Any
    best_codes: Any
    best_loss: Array
    failed_at: Array
    step: Array


class Step(NamedTuple):
    """prepare(*arguments) -> the arguments of update, computed once per run. update(state, *arguments) -> (state, loss [B]);
    scan(state, *arguments, num_steps) -> (state, loss [num_steps B]). Both reuse the memory of the given state."""

    prepare: Callable[..., Any]
    update: Callable[..., tuple[State, Array]]
    scan: Callable[..., tuple[State, Array]]


def init(codes: Any, optimizer: optax.GradientTransformation) -> State:
    """The state before the first step. It holds copies of the codes, since steps reuse the memory of their state."""
    batch = jax.tree.leaves(codes)[0].shape[0]
    best_loss, step = jnp.full(batch, jnp.inf, jnp.float32), jnp.zeros(batch, jnp.int32)
    state = State(codes, jax.vmap(optimizer.init)(codes), codes, best_loss, jnp.full(batch, -1, jnp.int32), step)
    copied = State(*jax.tree.map(lambda x: jnp.array(x, x.dtype, copy=True), state))
    return execution.like_codes(copied, copied.codes)


def make_step(objective: Any, optimizer: optax.GradientTransformation) -> Step:
    """Compiles one step of an optax optimiser. Each image is a problem of its own, line searches and norms included.

    An objective with `prepare` and `evaluate` (`losses.Objective`) is prepared once per run.
    """
    prepare = getattr(objective, 'prepare', lambda *arguments: arguments)
    evaluate = getattr(objective, 'evaluate', objective)
    optimizer = optax.with_extra_args_support(optimizer)

    def total(codes: Any, *arguments: Any) -> tuple[Array, Array]:
        loss = evaluate(codes, *arguments)
        return jnp.sum(loss), loss

    def update(state: State, target: Any, *shared: Any) -> tuple[State, Array]:
        (_, loss), gradient = jax.value_and_grad(total, has_aux=True)(state.codes, target, *shared)

        def move(codes: Any, gradient: Any, optimizer_state: Any, value: Array, own_target: Any) -> tuple[Any, Any]:
            def value_fn(candidate: Any) -> Any:  # of one image, for line searches
                return evaluate(*jax.tree.map(lambda x: x[None], (candidate, own_target)), *shared)[0]

            extra = {'value': value, 'grad': gradient, 'value_fn': value_fn}
            change, optimizer_state = optimizer.update(gradient, optimizer_state, codes, **extra)
            return optax.apply_updates(codes, change), optimizer_state

        moved, optimizer_state = jax.vmap(move)(state.codes, gradient, state.optimizer_state, loss, target)
        sound = (state.failed_at < 0) & jnp.isfinite(loss)
        better = sound & (loss < state.best_loss)
        best_codes = execution.select_images(better, state.codes, state.best_codes)
        new = State(
            codes=execution.select_images(sound, moved, best_codes),
            optimizer_state=execution.select_images(sound, optimizer_state, state.optimizer_state),
            best_codes=best_codes,
            best_loss=jnp.where(better, loss, state.best_loss),
            failed_at=jnp.where((state.failed_at < 0) & ~sound, state.step, state.failed_at),
            step=state.step + 1,
        )
        return new, loss

    def scan(state: State, *arguments: Any, num_steps: int) -> tuple[State, Array]:
        return jax.lax.scan(lambda carry, _: update(carry, *arguments), state, length=num_steps)

    compiled_scan = jax.jit(scan, donate_argnums=0, static_argnames='num_steps')
    return Step(jax.jit(prepare), jax.jit(update, donate_argnums=0), compiled_scan)


def run(step: Step, state: State, *arguments: Any, num_steps: int) -> tuple[State, dict[str, Array]]:
    """Runs `num_steps` steps and reuses the memory of `state`: -> (state, trace), trace['loss']: [num_steps B].
    The loss of a step is that of the codes before it: the last codes are not evaluated. ValueError for num_steps < 1."""
    state, loss = execution.repeat_step(step, state, *step.prepare(*arguments), num_steps=num_steps)
    return state, {'loss': loss}
