"""NVIDIA's PyTorch network pickles (stylegan2-ada and later): inert objects -> a state dict per network."""

import itertools
from collections.abc import Iterator
from typing import Any

from . import network_pickle
from .network_pickle import PERSISTENT
from .unpickling import Object

_MAX_DEPTH, _MAX_MODULES, _MAX_ITEMS = 8, 2000, 1000
_DAMAGED = 'it is truncated or damaged, so download it again.'


def recognise_nvidia_networks(value: object) -> bool:
    """Whether the value of a pickle is such a network, or a dictionary with one."""
    return _is_module(value) or (type(value) is dict and any(map(_is_module, value.values())))


def extract_nvidia_networks(value: object) -> dict[str, dict[str, Any]]:
    """{'G_ema': state, ...}. A state has the arrays of parameters and buffers by path, such as 'mapping.fc0.weight'.

    Its item 'attributes' has the settings of each module by path, '' for the network itself.
    """
    found = value.items() if type(value) is dict else [('', value)]
    return {str(name): _state(module) for name, module in found if _is_module(module)}


def _is_module(value: object) -> bool:
    return type(value) is Object and value.name == PERSISTENT


def _state(network: object) -> dict[str, object]:
    state: dict[str, object] = {}
    attributes: dict[str, object] = {}
    for count, (path, module) in enumerate(_modules('', network, 0)):
        if count > _MAX_MODULES:
            raise ValueError(f'a network of it has more than {_MAX_MODULES} modules; {_DAMAGED}')
        for kind in ('_parameters', '_buffers'):
            for name, value in itertools.islice(_dictionary(module, kind).items(), _MAX_ITEMS):
                if (array := network_pickle.to_array(value)) is not None:
                    state[f'{path}{name}'] = array
        items = itertools.islice(module.items(), _MAX_ITEMS)
        own = {name: network_pickle.to_settings(value, 0) for name, value in items}
        attributes[path.rstrip('.')] = {name: value for name, value in own.items() if value is not None}
    return state | {'attributes': attributes}


def _modules(path: str, module: object, depth: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """The attributes of a module and of all submodules, each with its path. Raises ValueError for deep nesting."""
    if depth > _MAX_DEPTH:
        raise ValueError(f'the modules of a network are nested more than {_MAX_DEPTH} deep; {_DAMAGED}')
    state = _attributes(module)
    yield path, state
    for name, below in _dictionary(state, '_modules').items():
        if below is not None:
            yield from _modules(f'{path}{name}.', below, depth + 1)


def _attributes(module: Any) -> dict[str, Any]:
    """The item `state` of the argument from which the module is reconstructed. Its source text is not used."""
    meta = module.arguments[0] if _is_module(module) and module.arguments else None
    state = meta.get('state') if type(meta) is dict else None
    if type(state) is not dict:
        raise ValueError(f'a module of a network is badly described; {_DAMAGED}')
    return state


def _dictionary(state: dict[str, Any], name: str) -> dict[str, Any]:
    value = state.get(name)
    return value if type(value) is dict else {}
