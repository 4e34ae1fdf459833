"""Finds out by its content what a file is, and reads it: path -> nested dictionaries of NumPy arrays."""

import hashlib
import mmap
from pathlib import Path
from typing import NamedTuple

from . import archive, network_pickle, nvidia_file, tf_file, torch_file

_EXPECTED = 'a weight file (.pth, .pt, or a network .pkl) is expected'
_PACKED = f'it is a packed file ({{}}); {_EXPECTED}, so unpack it and give the file inside.'

# What files begin with that are taken for weights now and then.
_STARTS = (
    (b'version https://git-lfs', 'it is a Git LFS pointer, not the file itself; fetch it with `git lfs pull`.'),
    (b'\x1f\x8b', _PACKED.format('gzip')),
    (b'BZh', _PACKED.format('bzip2')),
    (b'\xfd7zXZ', _PACKED.format('xz')),
    (b'7z\xbc\xaf', _PACKED.format('7z')),
    (b'Rar!', _PACKED.format('rar')),
    (b'(\xb5/\xfd', _PACKED.format('zstandard')),
    (b'\x93NUMPY', f'it is a NumPy array (.npy), not a network; {_EXPECTED}.'),
    (b'\x89HDF', f'it is an HDF5 file (.h5), which is not read; {_EXPECTED}.'),
    (b'\x89PNG', f'it is an image; {_EXPECTED}.'),
    (b'\xff\xd8\xff', f'it is an image; {_EXPECTED}.'),
)


class Content(NamedTuple):
    """What a file holds (nested dictionaries of NumPy arrays), the name of its format and its checksum."""

    value: object
    format: str
    sha256: str


def read(path: Path) -> Content:
    """Reads a weight file. ValueError with one sentence for everything that is not one."""
    if not path.exists():
        raise ValueError(f'there is no such file; {_EXPECTED}.')
    if not path.is_file():
        raise ValueError(f'it is a directory or a device, not a file; {_EXPECTED}.')
    if not path.stat().st_size:
        raise ValueError(f'it is empty; {_EXPECTED}, so download it again.')
    with path.open('rb') as file:
        data = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    value, name = _decode(data)
    return Content(value, name, hashlib.sha256(data).hexdigest())


def _decode(data: memoryview) -> tuple[object, str]:
    start = bytes(data[:4096])
    if start.startswith(archive.START):
        return torch_file.read_zip(data), 'torch (zip)'
    if start.startswith(torch_file.LEGACY_START):
        return torch_file.read_legacy(data), 'torch (before 1.6)'
    if start[:1] == b'\x80' and start[1:2] in (b'\x02', b'\x03', b'\x04', b'\x05'):
        return _decode_pickle(data)
    raise ValueError(_refusal(start))


def _refusal(start: bytes) -> str:
    """Says what a file is that is not read, from its first bytes."""
    for prefix, sentence in _STARTS:
        if start.startswith(prefix):
            return sentence
    text = start.lstrip(b'\xef\xbb\xbf \t\r\n').lower()
    if text.startswith((b'<!doctype', b'<html', b'<?xml', b'<head')):
        return 'it is a web page, not weights: the link wants a confirmation or a login, so download it in a browser.'
    if start[257:262] == b'ustar':
        return _PACKED.format('tar')
    if torch_file.LEGACY_START.startswith(start) or archive.START.startswith(start):
        return f'it ends after {len(start)} bytes: the download is incomplete, so download it again.'
    return f'it begins with {ascii(start[:8])[1:]}, which no known format does; {_EXPECTED}.'


def _decode_pickle(data: memoryview) -> tuple[object, str]:
    """The networks of a pickle that torch did not write."""
    value = network_pickle.load(data)
    if tf_file.recognise(value):
        return tf_file.networks(value), 'TensorFlow network pickle'
    if nvidia_file.recognise(value):
        return nvidia_file.networks(value), 'NVIDIA PyTorch network pickle'
    raise ValueError(f'it is a Python pickle without a network in it; {_EXPECTED}.')
