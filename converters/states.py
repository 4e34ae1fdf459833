"""State dicts: named arrays as a file holds them, and the network that a name mapping makes of them."""

import itertools
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from .unpickling import quote

State = Mapping[str, object]
_MAX_NETWORKS = 64  # looked for in one file


class Network(NamedTuple):
    """What `mgan_jax.models` writes: params are nested dictionaries of float32 arrays, channels last."""

    architecture: str
    configuration: dict
    params: dict


def networks(content: object) -> dict[str, State]:
    """The state dicts of a file by their names; '' where the file is one itself. A prefix `module.` is taken off.

    An average style that lies beside the networks (`latent_avg`) goes with each of them.
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


def _without_prefix(state: dict) -> State:
    """Names without the `module.` that data-parallel training puts before all of them."""
    names = {str(key): value for key, value in state.items()}
    if all(name.startswith('module.') for name in names):
        return {name.removeprefix('module.'): value for name, value in names.items()}
    return names


def take(state: State, name: str, shape: tuple[int | None, ...]) -> np.ndarray:
    """A copy of the array `name` as float32, which must have the given shape (None: any size) and finite numbers."""
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
    """The tensors of a state, taken one by one, so that at the end it is known which are left over."""

    def __init__(self, state: State):
        self.state = state
        self._used: set[str] = set()

    def take(self, name: str, shape: tuple[int | None, ...]) -> np.ndarray:
        """As the function `take`."""
        self._used.add(name)
        return take(self.state, name, shape)

    def ignore(self, pattern: str) -> None:
        """Tensors whose whole name matches are known and not needed."""
        self._used |= {name for name in self.state if re.fullmatch(pattern, name)}

    def finish(self, network: str) -> None:
        """ValueError if the state has tensors that the network did not take: then it is another network."""
        refuse_left_over(
            [name for name, value in self.state.items() if isinstance(value, np.ndarray)], self._used, network
        )


def refuse_left_over(state: Iterable[str], used: Collection[str], network: str) -> None:
    """ValueError if the file has names that the network does not use: then it is another network."""
    left = [name for name in state if name not in used]
    if left:
        raise ValueError(f'the tensor {quote(left[0])} ({len(left)} in all) does not belong to a {network}.')


def scaled(weight: np.ndarray, factor: float) -> np.ndarray:
    """weight * factor as contiguous float32."""
    return np.multiply(weight, np.float32(factor), dtype=np.float32, order='C')


def channel_rule(channels: Sequence[int], resolutions: Sequence[int]) -> dict[str, int]:
    """The numbers of the rule channels(r) = min(fmaps_base // r, fmaps_max), which must give every layer its channels."""
    fmaps_max = channels[0]
    fmaps_base = max(c * r for c, r in zip(channels, resolutions, strict=True))
    if list(channels) != [min(fmaps_base // r, fmaps_max) for r in resolutions]:
        raise ValueError(
            f'its layers have {list(channels)} channels, which no network of this family has: they halve with the resolution.'
        )
    return {'fmaps_base': fmaps_base, 'fmaps_max': fmaps_max}


def describe(state: State) -> str:
    """What a state dict looks like, for a message about one that is not recognised."""
    names = [name for name, value in state.items() if isinstance(value, np.ndarray)]
    if any('FromRGB' in name or 'fromrgb' in name for name in names):
        return 'a discriminator'
    return f'{len(names)} tensors such as {", ".join(map(quote, names[:3]))}'
