"""How much memory a step of an optimisation takes, how much a device has, and so how many images fit into a batch.

Knows neither generators nor images: `evaluate(codes, *arguments)` -> loss [B], as in `inversion`.
"""

import contextlib
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend import core

STATE_COPIES = 4  # of the codes in a state: themselves, the best ones and at most two moments
# What XLA plans for each image, of what is alive at once in the order of the program: measured on CPUs, for PGGANs of 256
# and 1024 pixels, 1.1 to 2.1 times as much (benchmarks/memory.py).
PLANNED = 2
_V1 = ('memory.limit_in_bytes', 'memory.usage_in_bytes', 'total_inactive_file')
_V2 = ('memory.max', 'memory.current', 'inactive_file')
_ELSEWHERE = 2**30  # where nothing tells how much there is
_FREE = ('broadcast_in_dim', 'iota')  # what compilers never write to memory


def step_bytes(evaluate: Callable, codes: Any, *arguments: Any) -> int:
    """An estimate of the bytes that one step of an optimisation takes: its arguments, its state, and the most that is
    alive at once while the loss and its gradient are computed in the order in which they are written down, `PLANNED` times.

    Arrays or `jax.ShapeDtypeStruct`s; nothing is computed. A compiler that fuses operations keeps less, one that copies
    weights into other layouts more: within a factor of two or three of the truth.
    """

    def total(codes, *arguments):
        return jnp.sum(evaluate(codes, *arguments))

    trace = jax.make_jaxpr(jax.value_and_grad(total))(codes, *arguments)
    return STATE_COPIES * _tree_bytes(codes) + _tree_bytes(arguments) + PLANNED * _peak(trace.jaxpr)


def bytes_per_image(bytes_of: Callable[[int], int]) -> tuple[int, int]:
    """(bytes for each image, bytes for any number of them) of bytes_of(batch): what weights take is in the second."""
    one, two = bytes_of(1), bytes_of(2)
    return two - one, max(0, 2 * one - two)


def largest_batch(per_image: int, fixed: int, available: int, most: int, share: float = 0.8) -> int:
    """The largest batch that fits into a share of what is available: `most`, or a power of two below it, at least 1."""
    fit = math.floor((share * available - fixed) / max(per_image, 1))
    return most if fit >= most else 2 ** (max(fit, 1).bit_length() - 1)


def available_bytes(device: jax.Device | None = None) -> int:
    """Bytes that a device (None: the first one) has left: an accelerator's own; on a CPU those of the machine, or of the
    control groups that this process is in; where nothing tells, 1 GiB."""
    device = jax.local_devices()[0] if device is None else device
    stats = device.memory_stats() or {}
    if 'bytes_limit' in stats:
        return max(0, stats['bytes_limit'] - stats.get('bytes_in_use', 0))
    return _machine_left(Path('/')) if device.platform == 'cpu' else _ELSEWHERE


def is_exhausted(error: BaseException) -> bool:
    """Whether an exception says that a device or the machine has no memory left."""
    told = str(error).lower()
    refused = 'resource_exhausted' in told or 'resource exhausted' in told or 'out of memory' in told
    return isinstance(error, MemoryError) or isinstance(error, jax.errors.JaxRuntimeError) and refused


def _tree_bytes(tree: Any) -> int:
    return sum(_bytes(leaf) for leaf in jax.tree.leaves(tree))


def _bytes(x: Any) -> int:
    return math.prod(x.shape) * x.dtype.itemsize


def _peak(jaxpr: core.Jaxpr) -> int:
    """The most bytes of the values made inside that are alive at once: each from its equation to its last use."""
    last = {v: i for i, equation in enumerate(jaxpr.eqns) for v in equation.invars if isinstance(v, core.Var)}
    last |= {v: len(jaxpr.eqns) for v in jaxpr.outvars if isinstance(v, core.Var)}
    alive: dict[core.Var, int] = {}
    held = peak = 0
    for i, equation in enumerate(jaxpr.eqns):
        free = equation.primitive.name in _FREE
        made = {v: 0 if free else _bytes(v.aval) for v in equation.outvars}
        peak = max(peak, held + max([sum(made.values()), *map(_peak, _inner(equation))]))
        alive |= {v: size for v, size in made.items() if v in last}
        held += sum(size for v, size in made.items() if v in last)
        for v in {v for v in equation.invars if isinstance(v, core.Var) and last[v] == i}:
            held -= alive.pop(v, 0)
    return peak


def _inner(equation: core.JaxprEqn) -> Iterator[core.Jaxpr]:
    """The programs that an equation runs: the body of a loop, of a rematerialisation, of a compiled function."""
    for value in jax.tree.leaves(list(equation.params.values()), is_leaf=lambda x: isinstance(x, core.ClosedJaxpr)):
        if isinstance(value, core.ClosedJaxpr):
            yield value.jaxpr
        elif isinstance(value, core.Jaxpr):
            yield value


def _machine_left(root: Path) -> int:
    """MemAvailable of Linux, limited by control groups. root: of the file system."""
    left = list(_groups_left(root / 'proc/self/cgroup', root / 'sys/fs/cgroup'))
    with contextlib.suppress(OSError):
        lines = (root / 'proc/meminfo').read_text().splitlines()
        left += [int(line.split()[1]) * 1024 for line in lines if line.startswith('MemAvailable:')]
    return max(0, min(left, default=_ELSEWHERE))


def _groups_left(own: Path, root: Path) -> Iterator[int]:
    """What the control groups of a process, version 1 or 2, leave of their limits; files can be given up and count as left.

    own: /proc/PID/cgroup, lines `number:controllers:group`. root: where the groups are mounted; in a container the group
    that is named may be out of sight, and the mount is the container's own.
    """
    try:
        lines = [line.split(':', 2) for line in own.read_text().splitlines()]
    except OSError:
        return
    for _, controllers, group in lines:
        if controllers and 'memory' not in controllers.split(','):
            continue
        top, names = (root / 'memory', _V1) if controllers else (root, _V2)
        folder = top / group.strip('/')
        for place in (folder, *folder.parents[: len(folder.parts) - len(top.parts)]):
            yield from _group_left(place, *names)


def _group_left(folder: Path, limit: str, used: str, cached: str) -> Iterator[int]:
    try:
        spare = dict(line.split() for line in (folder / 'memory.stat').read_text().splitlines()).get(cached, 0)
        yield int((folder / limit).read_text()) - int((folder / used).read_text()) + int(spare)
    except (OSError, ValueError):  # no such group, or the limit 'max'
        return
