"""State dicts: named arrays as a file holds them, and the network that a name mapping makes of them."""

import itertools
from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

import numpy as np

from converters.unpickling import quote

State = Mapping[str, object]
_MAX_NETWORKS = 64  # looked for in one file


class Network(NamedTuple):
    """What `mgan_jax.models` writes: params are nested dictionaries of float32 arrays, channels last."""

    architecture: str
    configuration: dict
    params: dict


def networks(content: object) -> dict[str, State]:
    """The state dicts of a file by their names; '' where the file is one itself. A prefix `module.` is taken off."""
    if type(content) is not dict:
        raise ValueError(f'it holds a {type(content).__name__} where a state_dict (names and arrays) is expected.')
    nested = itertools.islice(content.items(), _MAX_NETWORKS)
    found = {'': content} if _is_state(content) else {str(key): value for key, value in nested if _is_state(value)}
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


def refuse_left_over(state: Iterable[str], used: Collection[str], network: str) -> None:
    """ValueError if the file has names that the network does not use: then it is another network."""
    left = [name for name in state if name not in used]
    if left:
        raise ValueError(f'the tensor {quote(left[0])} ({len(left)} in all) does not belong to a {network}.')


def describe(state: State) -> str:
    """What a state dict looks like, for a message about one that is not recognised."""
    names = [name for name, value in state.items() if isinstance(value, np.ndarray)]
    if any(name.startswith('synthesis.') for name in names):
        return 'a StyleGAN or StyleGAN2 generator, which is not converted yet'
    return f'{len(names)} tensors such as {", ".join(map(quote, names[:3]))}'
