"""Counts the arithmetic and the memory traffic of a JAX function from its jaxpr, without running it."""

from collections.abc import Callable, Sequence
from math import prod
from typing import Any, NamedTuple

import jax


class Count(NamedTuple):
    """Arithmetic and memory traffic.

    operations: of matrix products and convolutions, 2 for a multiplication and its addition. dense_bytes: what these read
    and write. other_bytes: what all other equations would read and write without fusion, an upper bound.
    """

    operations: int = 0
    dense_bytes: int = 0
    other_bytes: int = 0


def count_operations(function: Callable, *arguments: Any) -> Count:
    """The count of a call. Arguments are arrays or `jax.ShapeDtypeStruct`s; unused equations do not count.

    A product of [M K] and [K N] has 2 M N K operations. A convolution has those of the equal product, including taps on
    padding and on zeros between pixels. A loop counts once per iteration; of the branches of a condition the one with most
    operations counts. Raises ValueError for loops of unknown length around products.
    """
    jaxpr = jax.make_jaxpr(function)(*arguments)
    return _count_jaxpr(jaxpr, [True] * len(jaxpr.jaxpr.outvars))[0]


def _count_jaxpr(jaxpr: Any, wanted: Sequence[bool]) -> tuple[Count, list[bool]]:
    """-> (the count of the wanted outputs, which inputs they need)."""
    jaxpr = getattr(jaxpr, 'jaxpr', jaxpr)  # closed or not
    needed = {v for v, want in zip(jaxpr.outvars, wanted, strict=True) if want and not _is_literal(v)}
    counts = []
    for equation in reversed(jaxpr.eqns):
        outputs = [v in needed for v in equation.outvars]
        if any(outputs):
            own, inputs = _count_equation(equation, outputs)
            counts.append(own)
            needed |= {v for v, need in zip(equation.invars, inputs, strict=True) if need and not _is_literal(v)}
    return _add_counts(counts), [v in needed for v in jaxpr.invars]


def _count_equation(equation: Any, wanted: Sequence[bool]) -> tuple[Count, list[bool]]:
    """As `_count_jaxpr`, for one equation with all jaxprs that it calls."""
    name, all_inputs = equation.primitive.name, [True] * len(equation.invars)
    inner = _list_inner(equation)
    if name in _DENSE:
        return Count(_DENSE[name](equation), dense_bytes=_count_bytes(equation)), all_inputs
    if name == 'scan':
        once, _ = _count_jaxpr(inner[0], [True] * len(equation.outvars))
        return Count(*(equation.params['length'] * number for number in once)), all_inputs
    if name == 'cond':
        branches = [_count_jaxpr(branch, wanted)[0] for branch in inner]
        return max(branches, key=lambda branch: branch.operations), all_inputs
    if len(inner) == 1 and _shapes(inner[0].invars) == _shapes(equation.invars):  # jit, remat, custom derivatives
        return _count_jaxpr(inner[0], wanted)
    if any(_count_jaxpr(jaxpr, [True] * len(jaxpr.outvars))[0].operations for jaxpr in inner):
        raise ValueError(f"the equation '{name}' has products inside, and how often they are done is not known.")
    return Count(other_bytes=_count_bytes(equation)), all_inputs


def _list_inner(equation: Any) -> list[Any]:
    """The jaxprs among the parameters of an equation, opened."""
    values = [
        value
        for parameter in equation.params.values()
        for value in (parameter if isinstance(parameter, tuple | list) else [parameter])
    ]
    return [getattr(value, 'jaxpr', value) for value in values if hasattr(value, 'eqns')]


def _count_product(equation: Any) -> int:
    """2 B M N K for [B M K] and [B K N]."""
    (contracted, _), _ = equation.params['dimension_numbers']
    left = equation.invars[0].aval.shape
    return 2 * equation.outvars[0].aval.size * prod(left[axis] for axis in contracted)


def _count_convolution(equation: Any) -> int:
    """Each output value is a sum over the kernel of its output channel, which has the depth of one group of channels."""
    kernel = equation.invars[1].aval
    channels = kernel.shape[equation.params['dimension_numbers'].rhs_spec[0]]
    return 2 * equation.outvars[0].aval.size * (kernel.size // channels)


_DENSE = {'dot_general': _count_product, 'conv_general_dilated': _count_convolution}


def _count_bytes(equation: Any) -> int:
    arrays = [v.aval for v in (*equation.invars, *equation.outvars) if hasattr(v.aval, 'dtype')]
    return sum(array.size * array.dtype.itemsize for array in arrays)


def _shapes(variables: Sequence[Any]) -> list:
    return [getattr(v.aval, 'shape', None) for v in variables]


def _is_literal(variable: Any) -> bool:
    return hasattr(variable, 'val')


def _add_counts(counts: Sequence[Count]) -> Count:
    return Count(*(sum(numbers) for numbers in zip(*counts, strict=True))) if counts else Count()
