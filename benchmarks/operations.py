"""Counts the arithmetic and the memory traffic of a JAX function from its jaxpr, without running it."""

from collections.abc import Callable, Sequence
from math import prod
from typing import Any, NamedTuple

import jax


class Count(NamedTuple):
    """operations: of matrix products and convolutions, 2 for a multiplication with its addition. dense_bytes: what these
    read and write. other_bytes: what all other equations would read and write if nothing were fused, an upper bound."""

    operations: int = 0
    dense_bytes: int = 0
    other_bytes: int = 0


def count(function: Callable, *arguments: Any) -> Count:
    """What a call does. Arguments are arrays or `jax.ShapeDtypeStruct`s; equations whose results nobody uses do not count.

    A product of [M K] and [K N] has 2 M N K operations, and a convolution those of the product that it is, taps on padding
    and zeros between pixels included. A loop counts as often as it runs and of alternatives the dearest one. ValueError
    for loops of unknown length around products.
    """
    jaxpr = jax.make_jaxpr(function)(*arguments)
    return _count(jaxpr, [True] * len(jaxpr.jaxpr.outvars))[0]


def _count(jaxpr: Any, wanted: Sequence[bool]) -> tuple[Count, list[bool]]:
    """-> what the wanted outputs take, and which inputs they need."""
    jaxpr = getattr(jaxpr, 'jaxpr', jaxpr)  # closed or not
    needed = {v for v, want in zip(jaxpr.outvars, wanted, strict=True) if want and not _is_literal(v)}
    counts = []
    for equation in reversed(jaxpr.eqns):
        outputs = [v in needed for v in equation.outvars]
        if any(outputs):
            own, inputs = _count_equation(equation, outputs)
            counts.append(own)
            needed |= {v for v, need in zip(equation.invars, inputs, strict=True) if need and not _is_literal(v)}
    return _total(counts), [v in needed for v in jaxpr.invars]


def _count_equation(equation: Any, wanted: Sequence[bool]) -> tuple[Count, list[bool]]:
    """As `_count`, of one equation with all that it calls."""
    name, everything = equation.primitive.name, [True] * len(equation.invars)
    inner = _inner(equation)
    if name in _DENSE:
        return Count(_DENSE[name](equation), dense_bytes=_bytes(equation)), everything
    if name == 'scan':
        once, _ = _count(inner[0], [True] * len(equation.outvars))
        return Count(*(equation.params['length'] * number for number in once)), everything
    if name == 'cond':
        branches = [_count(branch, wanted)[0] for branch in inner]
        return max(branches, key=lambda branch: branch.operations), everything
    if len(inner) == 1 and _shapes(inner[0].invars) == _shapes(equation.invars):  # jit, remat, custom derivatives
        return _count(inner[0], wanted)
    if any(_count(jaxpr, [True] * len(jaxpr.outvars))[0].operations for jaxpr in inner):
        raise ValueError(f"the equation '{name}' has products inside, and how often they are done is not known.")
    return Count(other_bytes=_bytes(equation)), everything


def _inner(equation: Any) -> list[Any]:
    """The jaxprs among the parameters, opened."""
    found = []
    for value in equation.params.values():
        for one in value if isinstance(value, tuple | list) else [value]:
            if hasattr(one, 'eqns'):
                found.append(getattr(one, 'jaxpr', one))
    return found


def _product(equation: Any) -> int:
    """2 B M N K for [B M K] and [B K N]."""
    (contracted, _), _ = equation.params['dimension_numbers']
    left = equation.invars[0].aval.shape
    return 2 * equation.outvars[0].aval.size * prod(left[axis] for axis in contracted)


def _convolution(equation: Any) -> int:
    """Each output number is a sum over the kernel of its output channel, which is as deep as one group of channels."""
    kernel = equation.invars[1].aval
    channels = kernel.shape[equation.params['dimension_numbers'].rhs_spec[0]]
    return 2 * equation.outvars[0].aval.size * (kernel.size // channels)


_DENSE = {'dot_general': _product, 'conv_general_dilated': _convolution}


def _bytes(equation: Any) -> int:
    arrays = [v.aval for v in (*equation.invars, *equation.outvars) if hasattr(v.aval, 'dtype')]
    return sum(array.size * array.dtype.itemsize for array in arrays)


def _shapes(variables: Sequence[Any]) -> list:
    return [getattr(v.aval, 'shape', None) for v in variables]


def _is_literal(variable: Any) -> bool:
    return hasattr(variable, 'val')


def _total(counts: Sequence[Count]) -> Count:
    return Count(*(sum(numbers) for numbers in zip(*counts, strict=True))) if counts else Count()
