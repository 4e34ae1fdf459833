"""The zip archives that torch writes, read in place: members stored as they are, below one folder with `data.pkl`."""

import io
import struct
import zipfile
import zlib

from .unpickling import quote

START = b'PK\x03\x04'
_DAMAGED = 'it is truncated or damaged, so download it again.'


class Archive:
    """The members of a torch file by their names below its folder. Nothing is unpacked: members are views of the bytes."""

    def __init__(self, data: memoryview):
        self._data = data
        try:
            self._members = {info.filename: info for info in zipfile.ZipFile(_Window(data)).infolist()}
        except (zipfile.BadZipFile, NotImplementedError, ValueError, OverflowError, struct.error):
            raise ValueError(
                'it begins as a zip archive, as torch files do, but its end is missing or damaged: the download is '
                'probably incomplete, so download it again.'
            ) from None
        self._folder = self._find_folder()

    def _find_folder(self) -> str:
        pickles = [name for name in self._members if name.endswith('/data.pkl') and name.count('/') == 1]
        if any(name.endswith('/constants.pkl') for name in self._members):
            raise ValueError('it is a TorchScript program, not weights; save the state_dict() of the network instead.')
        if any(name.endswith('.npy') for name in self._members):
            raise ValueError(
                'it is a NumPy archive (.npz), which no known network is stored in; give a torch file (.pth).'
            )
        if len(pickles) != 1:
            raise ValueError('it is a zip archive but not a torch file; if it holds the weight file, unpack it first.')
        return pickles[0].removesuffix('data.pkl')

    def has(self, name: str) -> bool:
        return self._folder + name in self._members

    def member(self, name: str, size: int | None = None) -> memoryview:
        """The bytes of a member, checked against its checksum if it has one. size: the length that it must have."""
        if not self.has(name):
            raise ValueError(f'{quote(name)} is missing from its zip archive; {_DAMAGED}')
        info = self._members[self._folder + name]
        if info.compress_type != zipfile.ZIP_STORED or info.compress_size != info.file_size:
            raise ValueError(f'{quote(name)} is compressed, which torch never does; give the file as torch saved it.')
        if size is not None and size != info.file_size:
            raise ValueError(f'{quote(name)} has {info.file_size} bytes where {size} are promised; {_DAMAGED}')
        content = self._content(info)
        if len(content) != info.file_size or (info.CRC and zlib.crc32(content) != info.CRC):
            raise ValueError(f'{quote(name)} does not have the length and the checksum of its zip entry; {_DAMAGED}')
        return content

    def _content(self, info: zipfile.ZipInfo) -> memoryview:
        header = self._data[max(info.header_offset, 0) :][:30]
        if len(header) < 30 or header[:4] != START:
            raise ValueError(f'{quote(info.filename)} is not where its zip archive says; {_DAMAGED}')
        start = info.header_offset + 30 + sum(struct.unpack('<HH', header[26:30]))  # name and extra field
        return self._data[start : start + info.file_size]


class _Window:
    """Bytes in memory as the file that `zipfile` wants, without a copy of the whole."""

    def __init__(self, data: memoryview):
        self._data, self._position = data, 0

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        origin = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: len(self._data)}[whence]
        if origin + offset < 0:
            raise ValueError('a position before the beginning.')
        self._position = origin + offset
        return self._position

    def tell(self) -> int:
        return self._position

    def read(self, size: int = -1) -> bytes:
        end = len(self._data) if size < 0 else self._position + size
        piece = bytes(self._data[self._position : end])
        self._position += len(piece)
        return piece
