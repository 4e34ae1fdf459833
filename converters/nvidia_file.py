"""NVIDIA's PyTorch network pickles (stylegan2-ada and later): inert objects -> the tensors of each network by name."""

import itertools
from collections.abc import Iterator
from typing import Any

from . import network_pickle
from .network_pickle import PERSISTENT
from .unpickling import Object

_MAX_DEPTH, _MAX_MODULES, _MAX_ITEMS = 8, 2000, 1000
_DAMAGED = 'it is truncated or damaged, so download it again.'


def recognise(value: object) -> bool:
    return _is_module(value) or (type(value) is dict and any(map(_is_module, value.values())))


def networks(value: object) -> dict[str, dict]:
    """{'G_ema': state, ...}. A state has the arrays of parameters and buffers by their paths ('mapping.fc0.weight'); under
    'attributes' the plain settings of each module by its path, '' for the network itself."""
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
                if (array := network_pickle.array(value)) is not None:
                    state[f'{path}{name}'] = array
        own = {name: network_pickle.plain(value, 0) for name, value in itertools.islice(module.items(), _MAX_ITEMS)}
        attributes[path.rstrip('.')] = {name: value for name, value in own.items() if value is not None}
    return state | {'attributes': attributes}


def _modules(path: str, module: object, depth: int) -> Iterator[tuple[str, dict]]:
    """A module's attributes and those of all below it, each with its path; one with `module.` below it has no end."""
    if depth > _MAX_DEPTH:
        raise ValueError(f'the modules of a network are nested more than {_MAX_DEPTH} deep; {_DAMAGED}')
    state = _attributes(module)
    yield path, state
    for name, below in _dictionary(state, '_modules').items():
        if below is not None:
            yield from _modules(f'{path}{name}.', below, depth + 1)


def _attributes(module: Any) -> dict:
    """The `state` of the one argument that the module is made from again; the source text beside it is not looked at."""
    meta = module.arguments[0] if _is_module(module) and module.arguments else None
    state = meta.get('state') if type(meta) is dict else None
    if type(state) is not dict:
        raise ValueError(f'a module of a network is badly described; {_DAMAGED}')
    return state


def _dictionary(state: dict, name: str) -> dict:
    value = state.get(name)
    return value if type(value) is dict else {}
