"""Pickles of whole networks, as NVIDIA publishes them, read into inert objects: no class of theirs exists here, no source
text in them is compiled.

NumPy arrays and tensors become arrays that are views of the file; everything else stays an `Object` of a name and a state.
"""

import itertools
import math
from collections.abc import Mapping

import numpy as np

from . import torch_file, unpickling
from .unpickling import Function, Object, inert

ARRAY, DTYPE = 'numpy.ndarray', 'numpy.dtype'
TF_NETWORKS = ('tfutil.Network', 'dnnlib.tflib.network.Network')
PERSISTENT = 'torch_utils.persistence._reconstruct_persistent_obj'
_DAMAGED = 'it is truncated or damaged, so download it again.'
_NUMBERS = ('f2', 'f4', 'f8', 'i1', 'i2', 'i4', 'i8', 'u1', 'u2', 'u4', 'u8', 'b1')


def load(data: memoryview) -> object:
    """The value of the pickle. ValueError with one sentence if it asks for anything that no network needs."""
    return unpickling.load(data, 0, _NAMES)[0]


def array(value: object) -> np.ndarray | None:
    """The array that a value stands for; None if it stands for none."""
    if isinstance(value, np.ndarray):
        return value
    if type(value) is not Object or value.name != ARRAY:
        return None
    state = value.state
    if type(state) is not tuple or len(state) != 5:
        raise ValueError(f'an array is badly described; {_DAMAGED}')
    _, shape, dtype, by_columns, raw = state
    numbers = _numbers(raw, dtype)
    if type(shape) is not tuple or not all(type(n) is int and n >= 0 for n in shape) or len(shape) > 8:
        raise ValueError(f'an array has a shape that no array has; {_DAMAGED}')
    if math.prod(shape) != numbers.size:
        raise ValueError(f'an array of shape {list(shape)} has {numbers.size} numbers; {_DAMAGED}')
    return numbers.reshape(shape, order='F' if by_columns is True else 'C')


def plain(value: object, depth: int = 2) -> object:
    """Settings without anything but numbers, texts, and dictionaries of them; None stands for everything else.

    At most 100 to a dictionary, since dictionaries may hold one another many times.
    """
    if isinstance(value, str | int | float | bool):
        return value
    if type(value) is dict and depth:
        return {str(key): plain(item, depth - 1) for key, item in itertools.islice(value.items(), 100)}
    return None


def _dtype(value: object) -> np.dtype:
    """dtype('f4', False, True) with the state (3, '<', ...). Numbers only: nothing else is ever looked at."""
    if type(value) is not Object or value.name != DTYPE or not value.arguments or value.arguments[0] not in _NUMBERS:
        raise ValueError('an array of it does not hold plain numbers, as weights do; it was not read.')
    order = value.state[1] if type(value.state) is tuple and len(value.state) > 1 else '<'
    return np.dtype(('>' if order == '>' else '<') + str(value.arguments[0]))


def _numbers(raw: object, dtype: object) -> np.ndarray:
    numbers, kind = _raw(raw), _dtype(dtype)
    if len(numbers) % kind.itemsize:
        raise ValueError(f'an array of it has {len(numbers)} bytes, which are no whole numbers; {_DAMAGED}')
    return np.frombuffer(numbers, kind)


def _raw(value: object) -> memoryview | bytes:
    if not isinstance(value, bytes | memoryview):
        raise ValueError(f'an array of it has no numbers; {_DAMAGED}')
    return value


def _scalar(arguments: tuple) -> np.ndarray:
    dtype, raw = arguments if len(arguments) == 2 else (None, None)
    numbers = _numbers(raw, dtype)
    if numbers.size != 1:
        raise ValueError(f'a number of it is badly described; {_DAMAGED}')
    return numbers.reshape(())


def _encoded(arguments: tuple) -> bytes:
    """_codecs.encode(text, 'latin1'): how protocol 2 writes bytes."""
    if len(arguments) != 2 or not isinstance(arguments[0], str) or arguments[1] != 'latin1':
        raise ValueError(f'bytes in it are badly described; {_DAMAGED}')
    return arguments[0].encode('latin-1', 'replace')


def _storage(arguments: tuple) -> np.ndarray:
    """torch.storage._load_from_bytes(raw): a torch file of one storage; it holds no further one."""
    raw = _raw(arguments[0] if arguments else None)
    return torch_file.read_storage(memoryview(raw))


def _tensor(arguments: tuple) -> np.ndarray:
    return torch_file.view(arguments[0] if arguments else None, arguments[1:])


def _first(arguments: tuple) -> object:
    return arguments[0] if arguments else None


_NAMES: Mapping[str, object] = {
    **{name: inert(name) for name in TF_NETWORKS},
    PERSISTENT: inert(PERSISTENT),
    'dnnlib.EasyDict': Function(lambda arguments: {}),
    'dnnlib.util.EasyDict': Function(lambda arguments: {}),
    'collections.OrderedDict': Function(unpickling.ordered_dict),
    'builtins.set': Function(lambda arguments: []),
    '__builtin__.set': Function(lambda arguments: []),
    '_codecs.encode': Function(_encoded),
    'numpy.ndarray': ARRAY,
    'numpy.dtype': inert(DTYPE),
    **{f'numpy.{core}.multiarray._reconstruct': inert(ARRAY) for core in ('core', '_core')},
    **{f'numpy.{core}.multiarray.scalar': Function(_scalar) for core in ('core', '_core')},
    'torch._utils._rebuild_tensor': Function(_tensor),
    'torch._utils._rebuild_tensor_v2': Function(_tensor),
    'torch._utils._rebuild_parameter': Function(_first),
    'torch.storage._load_from_bytes': Function(_storage),
    'torch.Size': Function(_first),
    'torch.device': Function(lambda arguments: None),
    **{f'torch.{kind}': None for kind in ('float16', 'float32', 'float64', 'bfloat16', 'int64')},
    'torch.memory_format': Function(lambda arguments: None),
    'torch.contiguous_format': None,
    'torch.channels_last': None,
}
