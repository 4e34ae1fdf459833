"""The official TensorFlow network pickles: inert objects -> the variables of each network by name."""

from collections.abc import Mapping

import numpy as np

from . import network_pickle
from .network_pickle import TF_NETWORKS
from .unpickling import Object

_TRIPLE = ('G', 'D', 'Gs')  # Gs: the moving average of G
_MAX_COMPONENTS = 8  # there are two, and a file may name the same one many times
_DAMAGED = 'it is truncated or damaged, so download it again.'


def recognise(value: object) -> bool:
    return _is_network(value) or (isinstance(value, tuple | list) and any(map(_is_network, value)))


def networks(value: object) -> dict[str, dict]:
    """{'G': state, 'D': state, 'Gs': state}, or the one network by its own name.

    A state has the arrays of the network's own variables and, as 'mapping/Dense0/weight', those of its components; its
    settings are under 'static_kwargs', those of the components nested in it.
    """
    if _is_network(value):
        return {str(_described(value).get('name', '')): _state(value)}
    found = list(value)[: len(_TRIPLE)] if isinstance(value, tuple | list) else []
    names = _TRIPLE if len(found) == 3 else [str(number) for number in range(len(found))]
    return {name: _state(network) for name, network in zip(names, found, strict=True) if _is_network(network)}


def _is_network(value: object) -> bool:
    return type(value) is Object and value.name in TF_NETWORKS


def _described(value: object) -> Mapping:
    state = value.state if type(value) is Object else None
    if type(state) is not dict:
        raise ValueError(f'a network of it has no description; {_DAMAGED}')
    return state


def _state(network: object) -> dict[str, object]:
    description = _described(network)
    state: dict[str, object] = _variables(description)
    settings = network_pickle.plain(description.get('static_kwargs'))
    kwargs: dict[str, object] = settings if isinstance(settings, dict) else {}
    components = description.get('components')
    for name, component in list(components.items())[:_MAX_COMPONENTS] if type(components) is dict else ():
        own = _described(component)
        state |= {f'{name}/{variable}': array for variable, array in _variables(own).items()}
        kwargs[str(name)] = network_pickle.plain(own.get('static_kwargs'))
    return state | {'static_kwargs': kwargs}


def _variables(description: Mapping) -> dict[str, object]:
    """[(name, array), ...]."""
    pairs = description.get('variables')
    if type(pairs) is not list or not all(isinstance(pair, tuple | list) and len(pair) == 2 for pair in pairs):
        raise ValueError(f'the variables of a network are not pairs of a name and an array; {_DAMAGED}')
    found = {str(name): network_pickle.array(value) for name, value in pairs}
    return {name: value for name, value in found.items() if isinstance(value, np.ndarray)}
