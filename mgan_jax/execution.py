"""How steps are dispatched, arrays distributed over devices and images selected. The method is in `composition` and `inversion`."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.sharding import NamedSharding, PartitionSpec


def repeat_step(step: Any, state: Any, *arguments: Any, num_steps: int) -> tuple[Any, Array]:
    """Runs `num_steps` steps of an `inversion.Step` and reuses the memory of `state`: -> (state, loss [num_steps B]).

    arguments: those that `step.prepare` returned. On CPUs the steps are dispatched one by one, because XLA:CPU runs a step
    several times slower inside a loop. On accelerators, and under an outer transformation, they are one scan. Raises
    ValueError for num_steps < 1.
    """
    if num_steps < 1:
        raise ValueError(f'num_steps is {num_steps}; at least one step is needed.')
    if not is_on_cpu(state.step):
        state, loss = step.scan(state, *arguments, num_steps=num_steps)
        return state, loss
    losses = []
    for _ in range(num_steps):
        state, loss = step.update(state, *arguments)
        losses.append(loss)
    return state, jnp.asarray(np.stack(jax.device_get(losses)))  # jnp.stack would compile a program per number of steps


def is_on_cpu(array: Array) -> bool:
    """Whether an array is concrete and on CPU devices only."""
    return not isinstance(array, jax.core.Tracer) and all(device.platform == 'cpu' for device in array.devices())


def select_images(choose: Array, yes: Any, no: Any) -> Any:
    """Image by image, `yes` where choose [B] is true, else `no`; trees whose leaves have the images first."""
    return jax.tree.map(lambda a, b: jnp.where(choose.reshape(-1, *[1] * (a.ndim - 1)), a, b), yes, no)


def like_codes(state: Any, codes: Any) -> Any:
    """`state` distributed over the devices as the codes are: each leaf with images is sharded like the first leaf of `codes`.

    A step returns its state in this sharding. If it received another one, it would be compiled twice.
    """
    first = jax.tree.leaves(codes)[0]
    return jax.tree.map(lambda x: _like_first(x, first), state)


def _like_first(x: Array, first: Array) -> Any:
    if isinstance(first, jax.core.Tracer):  # under shard_map: the same varying type as the codes
        if not x.ndim:
            return x
        return select_images(first.reshape(len(first), -1)[:, 0] == 0, x, x)
    if not isinstance(first.sharding, NamedSharding) or isinstance(x.sharding, NamedSharding):
        return x
    images = PartitionSpec(*first.sharding.spec[:1]) if x.ndim else PartitionSpec()
    return jax.device_put(x, NamedSharding(first.sharding.mesh, images))
