"""State dicts, the named arrays of a file, and the networks that are converted from them."""

import itertools
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from .unpickling import quote

State = Mapping[str, object]
_MAX_NETWORKS = 64  # in one file


class Network(NamedTuple):
    """A converted network, for `mgan_jax.models`. params: nested dictionaries of float32 arrays, channels last."""

    architecture: str
    configuration: dict[str, Any]
    params: dict[str, Any]


def find_states(content: object) -> dict[str, State]:
    """{name: state dict} of a file, with the name '' if the file is a state dict itself. A prefix `module.` is removed.

    An average style beside the networks (`latent_avg`) is added to each. Raises ValueError for a file without arrays.
    """
    if type(content) is not dict:
        raise ValueError(f'it holds a {type(content).__name__} where a state_dict (names and arrays) is expected.')
    nested = itertools.islice(content.items(), _MAX_NETWORKS)
    found = {str(key): value for key, value in nested if _is_state(value)}
    if found and 'latent_avg' in content:
        found = {name: {**value, 'latent_avg': content['latent_avg']} for name, value in found.items()}
    if not found and _is_state(content):
        found = {'': content}
    if not found:
        raise ValueError("it holds no arrays under names; save the network's state_dict() and convert that.")
    return {name: _without_prefix(state) for name, state in found.items()}


def _is_state(value: object) -> bool:
    return isinstance(value, dict) and any(isinstance(item, np.ndarray) for item in value.values())


def _without_prefix(state: dict[Any, object]) -> State:
    """Removes the prefix `module.` that data-parallel training adds to all names."""
    names = {str(key): value for key, value in state.items()}
    if all(name.startswith('module.') for name in names):
        return {name.removeprefix('module.'): value for name, value in names.items()}
    return names


def take(state: State, name: str, shape: tuple[int | None, ...]) -> np.ndarray:
    """A float32 copy of the array `name`. shape: its required shape; None stands for any size.

    Raises ValueError with one sentence if it is missing, has another shape or contains NaN or infinite numbers.
    """
    if name not in state:
        raise ValueError(f'the tensor {quote(name)} is missing; the file does not hold the whole network.')
    array = state[name]
    if not isinstance(array, np.ndarray) or array.dtype.kind != 'f':
        raise ValueError(f'{quote(name)} does not hold floating-point numbers, as weights do.')
    if array.ndim != len(shape) or any(want not in (None, have) for want, have in zip(shape, array.shape, strict=True)):
        wanted = ', '.join('*' if size is None else str(size) for size in shape)
        raise ValueError(f'the tensor {quote(name)} has shape {list(array.shape)}, but [{wanted}] is expected.')
    with np.errstate(over='ignore', invalid='ignore'):
        array = np.array(array, np.float32, order='C')
    if not np.isfinite(array).all():
        raise ValueError(
            f'the tensor {quote(name)} holds NaN or infinite numbers; training diverged, or it is damaged.'
        )
    return array


class Tensors:
    """The tensors of a state dict. It records which ones are taken, so that unused ones can be refused."""

    def __init__(self, state: State):
        self.state = state
        self._used: set[str] = set()

    def take(self, name: str, shape: tuple[int | None, ...]) -> np.ndarray:
        """See the function `take`."""
        self._used.add(name)
        return take(self.state, name, shape)

    def ignore(self, pattern: str) -> None:
        """Marks tensors as used if their whole name matches the pattern."""
        self._used |= {name for name in self.state if re.fullmatch(pattern, name)}

    def finish(self, network: str) -> None:
        """Raises ValueError if tensors are unused. network: the expected network, for the error."""
        refuse_left_over(
            [name for name, value in self.state.items() if isinstance(value, np.ndarray)], self._used, network
        )


def refuse_left_over(state: Iterable[str], used: Collection[str], network: str) -> None:
    """Raises ValueError if names of `state` are not in `used`. network: the expected network, for the error."""
    left = [name for name in state if name not in used]
    if left:
        raise ValueError(f'the tensor {quote(left[0])} ({len(left)} in all) does not belong to a {network}.')


def scaled(weight: np.ndarray, factor: float) -> np.ndarray:
    """weight * factor as contiguous float32."""
    product: np.ndarray = np.multiply(weight, np.float32(factor), dtype=np.float32, order='C')
    return product


def channel_rule(channels: Sequence[int], resolutions: Sequence[int]) -> dict[str, int]:
    """fmaps_base and fmaps_max of the rule channels(r) = min(fmaps_base // r, fmaps_max).

    Raises ValueError if no such rule gives the channels of every layer.
    """
    fmaps_max = channels[0]
    fmaps_base = max(c * r for c, r in zip(channels, resolutions, strict=True))
    if list(channels) != [min(fmaps_base // r, fmaps_max) for r in resolutions]:
        raise ValueError(
            f'its layers have {list(channels)} channels, which no network of this family has: they halve with the resolution.'
        )
    return {'fmaps_base': fmaps_base, 'fmaps_max': fmaps_max}


def describe_state(state: State) -> str:
    """A description of a state dict for the error about an unknown network."""
    names = [name for name, value in state.items() if isinstance(value, np.ndarray)]
    if any('FromRGB' in name or 'fromrgb' in name for name in names):
        return 'a discriminator'
    return f'{len(names)} tensors such as {", ".join(map(quote, names[:3]))}'
