"""The two formats of `torch.save`, as nested dictionaries of NumPy arrays; torch is not needed.

Both are a pickle of tensors that refer to storages, flat runs of numbers kept beside it: in a zip archive (torch 1.6 and
later, a member `data/KEY` for each) or behind the pickle, one after another (before). Arrays are views of the file's bytes.
"""

import math
import struct
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from . import unpickling
from .archive import Archive
from .unpickling import Function, quote

LEGACY_START = b'\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.'  # the pickle of torch's magic number
_LEGACY_PROTOCOL = 1001
_MAX_SHARING = 4  # tensors may share storages, but not so often that a small file fills the memory
_DAMAGED = 'it is truncated or damaged, so download it again.'


@dataclass(frozen=True)
class _Storage:
    """A storage as a tensor refers to it: the type of its numbers ('f4', ...), its key and how many numbers it has."""

    kind: str
    key: str
    count: int

    @property
    def size(self) -> int:
        return self.count * (2 if self.kind == 'bfloat16' else np.dtype(self.kind).itemsize)


@dataclass(frozen=True)
class _StorageType:
    """What a name such as torch.FloatStorage stands for."""

    kind: str


_STORAGE_TYPES = {
    'torch.DoubleStorage': _StorageType('f8'),
    'torch.FloatStorage': _StorageType('f4'),
    'torch.HalfStorage': _StorageType('f2'),
    'torch.BFloat16Storage': _StorageType('bfloat16'),
    'torch.LongStorage': _StorageType('i8'),
    'torch.IntStorage': _StorageType('i4'),
    'torch.ShortStorage': _StorageType('i2'),
    'torch.CharStorage': _StorageType('i1'),
    'torch.ByteStorage': _StorageType('u1'),
    'torch.BoolStorage': _StorageType('?'),
}


def read_zip(data: memoryview) -> object:
    """The content of a file of torch 1.6 or later. ValueError with one sentence if it cannot be read."""
    archive = Archive(data)
    order = bytes(archive.member('byteorder')) if archive.has('byteorder') else b'little'
    if order not in (b'little', b'big'):
        raise ValueError(f'its byte order is {quote(order.decode("latin-1"))}; little or big is expected.')
    symbol = '<' if order == b'little' else '>'

    def find(storage: _Storage) -> np.ndarray:
        return _numbers(archive.member(f'data/{storage.key}', storage.size), storage, symbol)

    return _Tensors(find, len(data)).load(archive.member('data.pkl'), 0)[0]


def read_legacy(data: memoryview) -> object:
    """The content of a file of torch before 1.6. The pickle is read twice: for what it refers to, and then with that."""
    if bytes(data[: len(LEGACY_START)]) != LEGACY_START:
        raise ValueError(f'numbers in it are not stored as torch does; {_DAMAGED}')
    protocol, position = unpickling.load(data, len(LEGACY_START), {})
    if protocol != _LEGACY_PROTOCOL:
        raise ValueError(f'its torch format is not version {_LEGACY_PROTOCOL}; save it again with a current torch.')
    _, start = unpickling.load(data, position, {})  # about the machine that wrote it; the numbers are little-endian
    first = _Tensors(None, len(data))
    _, position = first.load(data, start)
    arrays = _storages_behind(data, position, first.storages)

    def find(storage: _Storage) -> np.ndarray:
        if storage.key not in arrays:
            raise ValueError(f'storage {quote(storage.key)} is not in the file; {_DAMAGED}')
        return arrays[storage.key]

    return _Tensors(find, len(data)).load(data, start)[0]


def read_storage(data: memoryview) -> np.ndarray:
    """The flat array of a storage that is saved by itself, as pickled networks keep their tensors."""
    value = read_legacy(data)
    if not isinstance(value, np.ndarray):
        raise ValueError(f'a tensor of it has something other than numbers; {_DAMAGED}')
    return value


def view(numbers: object, arguments: tuple) -> np.ndarray:
    """A tensor as torch._utils._rebuild_tensor_v2(storage, offset, sizes, strides, ...) makes it of a flat array."""
    offset, sizes, strides = arguments[:3] if len(arguments) >= 3 else (None,) * 3
    if not isinstance(numbers, np.ndarray) or not isinstance(sizes, tuple) or not isinstance(strides, tuple):
        raise ValueError(f'a tensor is badly described; {_DAMAGED}')
    return _view(numbers, offset, sizes, strides)


def _storages_behind(data: memoryview, position: int, storages: dict[str, _Storage]) -> dict[str, np.ndarray]:
    """The storages that follow the pickle: a list of their keys, then for each its length and its numbers."""
    keys, position = unpickling.load(data, position, {})
    if not isinstance(keys, list) or not all(isinstance(key, str) and key in storages for key in keys):
        raise ValueError(f'its list of storages does not fit its tensors; {_DAMAGED}')
    arrays = {}
    for key in keys:
        begin = position + 8
        position = begin + storages[key].size
        if position > len(data) or struct.unpack_from('<q', data, begin - 8)[0] != storages[key].count:
            raise ValueError(f'storage {quote(key)} does not have the numbers that its tensors promise; {_DAMAGED}')
        arrays[key] = _numbers(data[begin:position], storages[key], '<')
    return arrays


def _numbers(raw: memoryview, storage: _Storage, order: str) -> np.ndarray:
    """Bytes -> a flat array; bfloat16, which NumPy lacks, is the upper half of a float32."""
    if storage.kind == 'bfloat16':
        return (np.frombuffer(raw, order + 'u2').astype(np.uint32) << 16).view(np.float32)
    return np.frombuffer(raw, order + storage.kind)


class _Tensors:
    """Loads a pickle of tensors. `find` gives the array of a storage; None: only learn which storages there are."""

    def __init__(self, find: Callable[[_Storage], np.ndarray] | None, file_size: int):
        self.storages: dict[str, _Storage] = {}
        self._arrays: dict[str, np.ndarray] = {}
        self._find = find
        self._storage_bytes = file_size
        self._tensor_bytes = _MAX_SHARING * file_size

    def load(self, data: memoryview, start: int) -> tuple[object, int]:
        value, position = unpickling.load(data, start, self._names(), self._storage)
        if isinstance(value, _Storage) and self._find:  # saved by itself
            value = self._arrays[value.key]
        return value, position

    def _names(self) -> dict[str, object]:
        return {
            'torch._utils._rebuild_tensor': Function(self._tensor),
            'torch._utils._rebuild_tensor_v2': Function(self._tensor),
            'torch._utils._rebuild_parameter': Function(_first),
            'torch.Size': Function(_first),
            'torch.device': Function(lambda arguments: arguments),
            'collections.OrderedDict': Function(unpickling.ordered_dict),
            'argparse.Namespace': unpickling.inert('argparse.Namespace'),
            **_STORAGE_TYPES,
        }

    def _storage(self, identity: object) -> _Storage:
        storage = _described(identity)
        if storage.key not in self.storages:
            self._storage_bytes -= storage.size
            if self._storage_bytes < 0:
                raise ValueError(f'its storages promise more numbers than the file has room for; {_DAMAGED}')
            self.storages[storage.key] = storage
            if self._find:
                self._arrays[storage.key] = self._find(storage)
        if self.storages[storage.key] != storage:
            raise ValueError(f'storage {quote(storage.key)} is described in two ways; {_DAMAGED}')
        return storage

    def _tensor(self, arguments: tuple) -> np.ndarray | None:
        storage, offset, sizes, strides = arguments[:4] if len(arguments) >= 4 else (None,) * 4
        if (type(storage), type(sizes), type(strides)) != (_Storage, tuple, tuple):
            raise ValueError(f'a tensor is badly described; {_DAMAGED}')
        if not self._find:
            return None
        array = _view(self._arrays[storage.key], offset, sizes, strides)
        self._tensor_bytes -= array.nbytes
        if self._tensor_bytes < 0:
            raise ValueError(f'its tensors stand for more than {_MAX_SHARING} times the numbers that it holds.')
        return array


def _first(arguments: tuple) -> object:
    return arguments[0] if arguments else None


def _described(identity: object) -> _Storage:
    """('storage', type, key, device, number of elements[, view]), checked."""
    if not isinstance(identity, tuple) or len(identity) not in (5, 6) or not isinstance(identity[0], str):
        raise ValueError(f'a tensor refers to something other than a storage; {_DAMAGED}')
    tag, kind, key, _, count = identity[:5]
    if tag != 'storage' or not isinstance(kind, _StorageType) or not isinstance(key, str) or not _is_size(count):
        raise ValueError(f'a tensor refers to a storage that is badly described; {_DAMAGED}')
    if len(identity) == 6 and identity[5] is not None:
        raise ValueError('a tensor refers to a part of a storage, as very old torch wrote; save it again.')
    return _Storage(kind.kind, key, count)


def _view(numbers: np.ndarray, offset: int, sizes: tuple, strides: tuple) -> np.ndarray:
    """A tensor as a view of its storage, checked against the storage's length; offset and strides count elements."""
    if not all(map(_is_size, (offset, *sizes, *strides))) or len(sizes) != len(strides) or len(sizes) > 8:
        raise ValueError(f'a tensor has sizes or strides that no tensor has; {_DAMAGED}')
    if 0 in sizes:
        return np.zeros(0, numbers.dtype)
    last = offset + sum((size - 1) * stride for size, stride in zip(sizes, strides, strict=True))
    if last >= numbers.size or math.prod(sizes) > numbers.size:
        raise ValueError(f'a tensor of shape {list(sizes)} reaches beyond its storage of {numbers.size}; {_DAMAGED}')
    width = numbers.itemsize
    return np.ndarray(sizes, numbers.dtype, numbers, offset * width, tuple(stride * width for stride in strides))


def _is_size(value: object) -> bool:
    return isinstance(value, int) and 0 <= value < 2**48
