"""Number types. A network computes in the type of its weights, which `cast` chooses.

Half precision is for large arrays: feature maps and convolutions. Statistics, sums over codes, images, losses and the
optimised variables stay float32.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike


def cast(tree: Any, dtype: DTypeLike) -> Any:
    """Casts the floating-point arrays of a pytree. Integers, keys, strings and other leaves stay as they are."""
    return jax.tree.map(lambda x: jnp.asarray(x, dtype) if _is_floating(x) else x, tree)


def cast_like(params: Any, tree: Any) -> Any:
    """Casts a pytree to the type in which a network with these weights computes.

    Weights of several types compute in their common type (`jnp.result_type`). Without floating-point weights, the tree
    is returned as it is.
    """
    types = {leaf.dtype for leaf in jax.tree.leaves(params) if _is_floating(leaf)}
    return cast(tree, jnp.result_type(*types)) if types else tree


def in_float32(function: Callable[..., Array], x: Array, *others: Any) -> Array:
    """function(x, *others), computed at least in float32 and returned in the type of x.

    The backward pass stores x in its own type and computes the float32 values again.
    """
    wide = jnp.promote_types(x.dtype, jnp.float32)
    if x.dtype == wide:
        return function(x, *others)
    rounded: Array = jax.checkpoint(lambda x, *others: function(x.astype(wide), *others).astype(x.dtype))(x, *others)
    return rounded


def at_least_float32(x: Array) -> Array:
    """Casts half precision to float32; wider types stay as they are."""
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


def _is_floating(x: Any) -> bool:
    return hasattr(x, 'dtype') and jnp.issubdtype(x.dtype, jnp.floating)
