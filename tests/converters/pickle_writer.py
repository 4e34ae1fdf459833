"""Writes network pickles, honest and hostile, instruction by instruction. For tests only."""

import struct

import numpy as np

from tests.converters.torch_writer import Pickle, Raw, call, legacy_file

__all__ = ['Raw', 'call', 'nvidia', 'network_array', 'tensor', 'tf', 'dumps']


def dumps(value, protocol: int = 2) -> bytes:
    return bytes([0x80, protocol]) + put(value) + b'.'


def put(value) -> bytes:
    if isinstance(value, Raw):
        return value.instructions
    if isinstance(value, np.ndarray):
        return network_array(value).instructions
    if isinstance(value, bytes):
        return b'B' + struct.pack('<I', len(value)) + value
    if isinstance(value, dict):
        return b'}(' + b''.join(put(key) + put(item) for key, item in value.items()) + b'u'
    if isinstance(value, list):
        return b'](' + b''.join(map(put, value)) + b'e'
    if isinstance(value, tuple):
        return b'(' + b''.join(map(put, value)) + b't'
    if isinstance(value, float):
        return b'G' + struct.pack('>d', value)
    return Pickle().put(value)


def network_array(array: np.ndarray, kind: str | None = None, shape=None, raw: bytes | None = None) -> Raw:
    """A NumPy array as NumPy pickles it; kind, shape and raw: lies about it."""
    kind = kind or array.dtype.str[1:]
    dtype = b'cnumpy\ndtype\n' + put((kind, False, True)) + b'R' + put((3, '<', None, None, None, -1, -1, 0)) + b'b'
    state = (1, array.shape if shape is None else shape, Raw(dtype), False, array.tobytes() if raw is None else raw)
    head = b'cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n' + put((0,)) + put(b'b') + b'tR'
    return Raw(head + put(state) + b'b')


def tf(variables: dict, components: dict | None = None, network: str = 'dnnlib.tflib.network\nNetwork', **state) -> Raw:
    """A `Network` of TensorFlow."""
    described = {'version': 3, 'name': 'Gs', 'static_kwargs': {}, 'build_module_src': 'import os; os.abort()'}
    described |= {'components': components or {}, 'variables': list(variables.items()), **state}
    return Raw(b'c' + network.encode() + b'\n)\x81' + put(described) + b'b')


def tensor(array: np.ndarray, storage: bytes | None = None, offset=0, sizes=None, strides=None) -> Raw:
    """A tensor as a pickled PyTorch module has it; storage: what stands for the nested file."""
    if storage is None:
        storage = nested(array)
    strides = tuple(s // array.itemsize for s in array.strides) if strides is None else strides
    loaded = Raw(b'ctorch.storage\n_load_from_bytes\n' + put((storage,)) + b'R')
    arguments = (loaded, offset, array.shape if sizes is None else sizes, strides, False, {})
    return Raw(b'ctorch._utils\n_rebuild_tensor_v2\n' + put(arguments) + b'R')


def nested(array: np.ndarray) -> bytes:
    """The torch file of a storage by itself."""
    raw = legacy_file(np.ascontiguousarray(array))
    begin = raw.index(b'ctorch._utils\n_rebuild_tensor_v2\n(')
    identity = raw.index(b'(', begin)
    end = raw.index(b'Q', identity) + 1
    tail = raw.index(b'.', raw.index(b'OrderedDict\n)R', end))
    return raw[:begin] + raw[identity + 1 : end] + raw[tail:]


def nvidia(tensors: dict, children: dict | None = None, **state) -> Raw:
    """A module of a PyTorch network with persistent classes."""
    own = {'_parameters': tensors, '_buffers': {}, '_modules': children or {}, **state}
    meta = {'type': 'class', 'version': 6, 'module_src': 'import os; os.abort()', 'class_name': 'G', 'state': own}
    return Raw(b'ctorch_utils.persistence\n_reconstruct_persistent_obj\n' + put((meta,)) + b'R')


def tf_file(variables: dict[str, np.ndarray]) -> bytes:
    """An official pickle of one network; variables below `mapping/` and `synthesis/` belong to its components."""
    parts: dict[str, dict] = {'': {}, 'mapping': {}, 'synthesis': {}}
    for name, array in variables.items():
        part, _, rest = name.partition('/')
        part, rest = (part, rest) if part in parts else ('', name)
        parts[part][rest] = array
    own = parts.pop('')
    components = {name: tf(arrays) for name, arrays in parts.items() if arrays}
    return dumps(tf(own, components, static_kwargs={'fused_scale': 'auto' if components else False}), protocol=4)


def nvidia_file(state: dict[str, np.ndarray]) -> bytes:
    """NVIDIA's pickle of one generator."""
    return dumps({'G_ema': _module(state)}, protocol=4)


def _module(state: dict[str, np.ndarray]) -> Raw:
    own = {name: tensor(array) for name, array in state.items() if '.' not in name}
    below: dict[str, dict] = {}
    for name, array in state.items():
        if '.' in name:
            part, rest = name.split('.', 1)
            below.setdefault(part, {})[rest] = array
    return nvidia(own, {name: _module(part) for name, part in below.items()})
