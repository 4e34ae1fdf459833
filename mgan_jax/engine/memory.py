"""Device memory: what an optimisation step takes, what a device has left, how many images fit into a batch.

Independent of generators and images: `evaluate(codes, *arguments)` -> loss [B], as in `inversion`.
"""

import contextlib
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.extend import core

SHARE = 0.8  # of the available memory that a batch may take
STATE_COPIES = 4  # of the codes in a state: the codes, the best codes and at most two moments
# XLA's plan for an image, relative to the values that are alive at once in program order: measured on CPUs for PGGANs of
# 256 and 1024 pixels, 1.1 to 2.1 times as much (benchmarks/memory.py).
PLANNED = 2
_V1 = ('memory.limit_in_bytes', 'memory.usage_in_bytes', 'total_inactive_file')
_V2 = ('memory.max', 'memory.current', 'inactive_file')
_UNKNOWN = 2**30  # bytes that are assumed where the system does not tell
_FREE = ('broadcast_in_dim', 'iota')  # compilers never write these to memory


def step_bytes(evaluate: Callable, codes: Any, *arguments: Any) -> int:
    """An estimate of the bytes of one optimisation step; arrays or `jax.ShapeDtypeStruct`s, nothing is computed.

    It is the sum of the arguments, the state, and `PLANNED` times the largest sum of values that are alive at once while loss
    and gradient are computed in program order. It is within a factor of two or three of the compiler's plan: fused
    operations take less, weights copied into other layouts more.
    """

    def total(codes, *arguments):
        return jnp.sum(evaluate(codes, *arguments))

    trace = jax.make_jaxpr(jax.value_and_grad(total))(codes, *arguments)
    return STATE_COPIES * _tree_bytes(codes) + _tree_bytes(arguments) + PLANNED * _peak(trace.jaxpr)


class StepMemory(NamedTuple):
    """What one optimisation step takes on a device, and what the device has left: the answer to "does it fit".

    bytes_of(batch): an estimate of the bytes of a step. available: bytes that the device has left.
    """

    bytes_of: Callable[[int], int]
    available: int

    def fits(self, batch: int, share: float = SHARE) -> bool:
        """Whether a step of `batch` images takes at most a share of the available bytes."""
        room = share * self.available
        if batch * self.bytes_of(1) <= room:  # counts the weights once per image
            return True
        image, fixed = self._image_and_fixed() if batch > 1 else (self.bytes_of(1), 0)
        return fixed + batch * image <= room

    def largest_batch(self, most: int, share: float = SHARE) -> int:
        """`most` images if they fit into a share of the available bytes, else the largest power of two that fits, at least 1."""
        if self.fits(most, share):
            return most
        image, fixed = self._image_and_fixed()
        count = math.floor((share * self.available - fixed) / max(image, 1))
        return 2 ** (max(count, 1).bit_length() - 1)

    def _image_and_fixed(self) -> tuple[int, int]:
        """(bytes per image, bytes for any number of images). The second contain the weights."""
        one, two = self.bytes_of(1), self.bytes_of(2)
        return two - one, max(0, 2 * one - two)


def available_bytes(device: jax.Device | None = None) -> int:
    """Bytes that a device has left; None is the first local device.

    For an accelerator its own memory, for a CPU that of the machine or of the control groups of this process; 1 GiB where
    the system does not tell.
    """
    device = jax.local_devices()[0] if device is None else device
    stats = device.memory_stats() or {}
    if 'bytes_limit' in stats:
        return max(0, stats['bytes_limit'] - stats.get('bytes_in_use', 0))
    return _machine_left(Path('/')) if device.platform == 'cpu' else _UNKNOWN


def is_exhausted(error: BaseException) -> bool:
    """Whether an exception means that a device or the machine has no memory left."""
    message = str(error).lower()
    refused = 'resource_exhausted' in message or 'resource exhausted' in message or 'out of memory' in message
    return isinstance(error, MemoryError) or isinstance(error, jax.errors.JaxRuntimeError) and refused


def _tree_bytes(tree: Any) -> int:
    return sum(_bytes(leaf) for leaf in jax.tree.leaves(tree))


def _bytes(x: Any) -> int:
    return math.prod(x.shape) * x.dtype.itemsize


def _peak(jaxpr: core.Jaxpr) -> int:
    """The largest sum of bytes of values that are alive at once, each from its equation to its last use."""
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
    """The inner programs of an equation: loop bodies, rematerialised and compiled functions."""
    for value in jax.tree.leaves(list(equation.params.values()), is_leaf=lambda x: isinstance(x, core.ClosedJaxpr)):
        if isinstance(value, core.ClosedJaxpr):
            yield value.jaxpr
        elif isinstance(value, core.Jaxpr):
            yield value


def _machine_left(root: Path) -> int:
    """MemAvailable of Linux, limited by control groups. root: the root of the file system."""
    left = list(_groups_left(root / 'proc/self/cgroup', root / 'sys/fs/cgroup'))
    with contextlib.suppress(OSError):
        lines = (root / 'proc/meminfo').read_text().splitlines()
        left += [int(line.split()[1]) * 1024 for line in lines if line.startswith('MemAvailable:')]
    return max(0, min(left, default=_UNKNOWN))


def _groups_left(own: Path, root: Path) -> Iterator[int]:
    """Bytes that the control groups of a process, version 1 or 2, leave below their limits. Cached files count as left.

    own: /proc/PID/cgroup, lines `number:controllers:group`. root: where the groups are mounted. In a container the named
    group may not be visible; the mount is then the container's own group.
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
