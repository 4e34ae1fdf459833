"""The type that a network computes in is that of its weights: `cast` chooses it, everything else follows.

Half precision is for what is large, feature maps and convolutions. Statistics, sums over codes, images, losses and what is
optimised stay float32.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike


def cast(tree: Any, dtype: DTypeLike) -> Any:
    """The floating arrays of a tree in another type, the rest of it (whole numbers, keys, texts) as it is."""
    return jax.tree.map(lambda x: jnp.asarray(x, dtype) if _is_floating(x) else x, tree)


def like(params: Any, tree: Any) -> Any:
    """A tree in the type that networks with these weights compute in; as it is where there are no floating weights.

    Weights of several types compute in the one that holds them all, as everywhere in JAX.
    """
    types = {leaf.dtype for leaf in jax.tree.leaves(params) if _is_floating(leaf)}
    return cast(tree, jnp.result_type(*types)) if types else tree


def in_float32(function: Callable, x: Array, *others: Any) -> Array:
    """function(x, *others), computed in float32 (or in the type of x if that is wider) and given back in the type of x.

    A backward pass keeps x as it is and computes the float32 values again.
    """
    wide = jnp.promote_types(x.dtype, jnp.float32)
    if x.dtype == wide:
        return function(x, *others)
    return jax.checkpoint(lambda x, *others: function(x.astype(wide), *others).astype(x.dtype))(x, *others)


def at_least_float32(x: Array) -> Array:
    """Half precision becomes float32."""
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


def _is_floating(x: Any) -> bool:
    return hasattr(x, 'dtype') and jnp.issubdtype(x.dtype, jnp.floating)
