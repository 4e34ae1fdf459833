"""Writes torch files, honest and hostile, from NumPy arrays with hand-made pickle instructions. For tests only."""

import io
import struct
import zipfile
from typing import NamedTuple

import numpy as np

from converters.torch_file import LEGACY_START

_TYPES = {'f8': 'Double', 'f4': 'Float', 'f2': 'Half', 'i8': 'Long', 'i4': 'Int', 'u1': 'Byte', 'b1': 'Bool'}


class Raw(NamedTuple):
    """Pickle instructions put into the file as they are."""

    instructions: bytes


class Bfloat16(NamedTuple):
    """Bits [n] uint16 of bfloat16 numbers."""

    bits: np.ndarray


class Parameter(NamedTuple):
    """An array wrapped as torch.nn.Parameter."""

    array: np.ndarray


class Pickle:
    """Pickles nested dictionaries, lists, plain values and arrays, and keeps the arrays' bytes as storages.

    count, sizes, strides, offset: lies told about every array instead of the truth.
    """

    def __init__(self, legacy=False, order='<', count=None, sizes=None, strides=None, offset=0):
        self.legacy, self.order = legacy, order
        self.count, self.sizes, self.strides, self.offset = count, sizes, strides, offset
        self.storages: dict[str, tuple[int, bytes]] = {}

    def dumps(self, value) -> bytes:
        return b'\x80\x02' + self.put(value) + b'.'

    def put(self, value) -> bytes:
        if isinstance(value, Raw):
            return value.instructions
        if isinstance(value, np.ndarray):
            return self._tensor(value, _TYPES[value.dtype.str[1:]])
        if isinstance(value, Bfloat16):
            return self._tensor(value.bits, 'BFloat16')
        if isinstance(value, Parameter):
            arguments = self.put(value.array) + b'\x88' + _name('collections', 'OrderedDict') + b')R\x87'
            return _name('torch._utils', '_rebuild_parameter') + arguments + b'R'
        if isinstance(value, dict):
            return b'}(' + b''.join(self.put(key) + self.put(item) for key, item in value.items()) + b'u'
        if isinstance(value, list):
            return b'](' + b''.join(map(self.put, value)) + b'e'
        if isinstance(value, tuple):
            return b'(' + b''.join(map(self.put, value)) + b't'
        return _plain(value)

    def _tensor(self, array: np.ndarray, kind: str) -> bytes:
        key = str(len(self.storages))
        self.storages[key] = (array.size, array.astype(array.dtype.newbyteorder(self.order)).tobytes())
        strides = tuple(stride // array.itemsize for stride in np.ascontiguousarray(array).strides)[: array.ndim]
        count = array.size if self.count is None else self.count
        identity = ('storage', Raw(_name('torch', f'{kind}Storage')), key, 'cpu', count, *([None] * self.legacy))
        arguments = [
            Raw(self.put(identity) + b'Q'),
            self.offset,
            array.shape if self.sizes is None else self.sizes,
            strides if self.strides is None else self.strides,
            False,
            Raw(_name('collections', 'OrderedDict') + b')R'),
        ]
        return _name('torch._utils', '_rebuild_tensor_v2') + self.put(tuple(arguments)) + b'R'


def _name(module: str, name: str) -> bytes:
    return f'c{module}\n{name}\n'.encode()


def _plain(value) -> bytes:
    if value is None or isinstance(value, bool):
        return {None: b'N', True: b'\x88', False: b'\x89'}[value]
    if isinstance(value, str):
        return b'X' + struct.pack('<I', len(value.encode())) + value.encode()
    size = (value.bit_length() + 8) // 8
    return b'\x8a' + bytes([size]) + value.to_bytes(size, 'little', signed=True)


def call(module: str, name: str, *arguments) -> Raw:
    """Instructions that call `module.name(*arguments)`."""
    return Raw(_name(module, name) + Pickle().put(tuple(arguments)) + b'R')


def archive(members: dict[str, bytes], compression=zipfile.ZIP_STORED) -> bytes:
    """A zip archive of members below the folder `archive/`."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, 'w', compression) as file:
        for name, content in members.items():
            file.writestr(f'archive/{name}', content)
    return buffer.getvalue()


def without_checksums(raw: bytes) -> bytes:
    """A zip archive with the checksums of its members left out, as torch writes it if told so."""
    raw, entry = bytearray(raw), raw.find(b'PK\x01\x02')
    while entry >= 0:
        raw[entry + 16 : entry + 20] = bytes(4)
        entry = raw.find(b'PK\x01\x02', entry + 4)
    return bytes(raw)


def zip_file(value, compression=zipfile.ZIP_STORED, **lies) -> bytes:
    """A file of torch 1.6 or later."""
    pickle = Pickle(**lies)
    members = {'data.pkl': pickle.dumps(value), 'byteorder': b'big' if pickle.order == '>' else b'little'}
    members |= {f'data/{key}': raw for key, (_, raw) in pickle.storages.items()}
    return archive(members | {'version': b'3\n'}, compression)


def legacy_file(value, **lies) -> bytes:
    """A file of torch before 1.6."""
    pickle = Pickle(legacy=True, **lies)
    content = pickle.dumps(value)
    machine = {'protocol_version': 1001, 'little_endian': True, 'type_sizes': {'short': 2, 'int': 4, 'long': 4}}
    parts = [LEGACY_START, Pickle().dumps(1001), Pickle().dumps(machine), content]
    parts.append(Pickle().dumps(list(pickle.storages)))
    parts += [struct.pack('<q', count) + raw for count, raw in pickle.storages.values()]
    return b''.join(parts)
