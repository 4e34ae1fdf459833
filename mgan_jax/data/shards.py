"""What is where in a tar file, so that its members can be read in place: nothing is extracted.

Headers are untrusted. Of a member its name is taken, as a label only, and where its content lies; links, devices, folders
and sparse files have no content of their own and are passed over. POSIX (ustar, pax), GNU and old tar files are known.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

BLOCK = 512
LONGEST = 2**20  # bytes of an extended header; a name of more is no name
REGULAR = (b'0', b'\0', b'7')
NO_CONTENT = (b'1', b'2', b'3', b'4', b'5', b'6')  # links, devices, folders, pipes: whatever size they claim
EXTENSIONS = (b'x', b'g', b'L', b'K')

Read = Callable[[int, int], bytes]


class TarMember(NamedTuple):
    """A regular file in a tar file. offset, size: of its content, in bytes."""

    name: str
    offset: int
    size: int


def tar_members(title: str, read: Read, length: int) -> Iterator[TarMember]:
    """The regular files of an uncompressed tar file, in its order.

    Args:
        title: what the file is called in errors.
        read: read(offset, size) -> the bytes of the file there, fewer at its end.
        length: the size of the file.

    Raises:
        ValueError: with one sentence, for a file that is no tar file, ends too early or contradicts itself.
    """
    position = 0
    extended: dict[str, str] = {}
    while position < length and (header := _header(title, read, position)):
        kind = header[156:157]
        start = position + BLOCK * (1 + _more_headers(read, position, header))
        size = _size(title, header, kind, extended, position)
        if start + size > length:
            raise ValueError(f'{title} ends at byte {length:,}, {start + size:,} are wanted: copy it again')
        position = start + -(-size // BLOCK) * BLOCK
        if kind in EXTENSIONS:
            extended |= _extension(title, read, kind, start, size)
            continue
        name = extended.get('path') or _name(header)
        sparse = any(key.startswith('GNU.sparse') for key in extended)
        if kind in REGULAR and not sparse and not name.endswith('/'):
            yield TarMember(name, start, size)
        extended = {}


def _header(title: str, read: Read, position: int) -> bytes:
    """Empty at the end of the archive, which is a block of zeros."""
    header = read(position, BLOCK)
    if len(header) < BLOCK:
        raise ValueError(f'{title} ends in the middle of a header: copy it again, or give an uncompressed tar file')
    if not header.strip(b'\0'):
        return b''
    _check(title, header, position)
    return header


def _check(title: str, header: bytes, position: int) -> None:
    """The sum of a header's bytes stands in it, and its own place counts as spaces."""
    blank = header[:148] + b' ' * 8 + header[156:]
    told = _octal(header[148:156])
    if told == sum(blank) or told == sum(byte - 256 * (byte > 127) for byte in blank):  # signed, by some old writers
        return
    what = f'is damaged at byte {position:,}: copy it again' if position else 'is no uncompressed tar file: give one'
    raise ValueError(f'{title} {what}')


def _more_headers(read: Read, position: int, header: bytes) -> int:
    """How many blocks continue the header of GNU's old sparse files."""
    if header[156:157] != b'S' or not header[482]:
        return 0
    count = 1
    while len(block := read(position + count * BLOCK, BLOCK)) == BLOCK and block[504]:
        count += 1
    return count


def _size(title: str, header: bytes, kind: bytes, extended: dict[str, str], position: int) -> int:
    """Of the content: octal digits; from 8 GB on a binary number after a byte that says so; or in a header before."""
    if kind in NO_CONTENT:
        return 0
    text, field = extended.get('size', ''), header[124:136]
    if text and kind not in EXTENSIONS:
        size = int(text) if text.isascii() and text.isdigit() and len(text) < 20 else -1
    else:
        size = int.from_bytes(field[1:]) if field[0] == 0x80 else _octal(field)
    if size < 0:
        raise ValueError(f'{title} tells no size of what is at byte {position:,}: copy it again or write it anew')
    return size


def _octal(field: bytes) -> int:
    """-1 if it is none."""
    digits = field.strip(b' \0')
    return int(digits or b'0', 8) if not digits.strip(b'01234567') else -1


def _extension(title: str, read: Read, kind: bytes, start: int, size: int) -> dict[str, str]:
    """What a header tells of the member after it."""
    if kind not in b'xL':  # of all members, or of the target of a link
        return {}
    if size > LONGEST:
        raise ValueError(f'{title} has an extended header of {size:,} bytes at byte {start:,}: write it anew')
    data = read(start, size)
    return _records(title, data, start) if kind == b'x' else {'path': _text(data)}


def _records(title: str, data: bytes, start: int) -> dict[str, str]:
    """The records of a pax header: 'LENGTH KEY=VALUE\\n', where LENGTH counts all of it."""
    records = {}
    while data.strip(b'\0'):
        digits, _, _ = data[:20].partition(b' ')
        length = int(digits) if digits.isdigit() else 0
        key, equals, value = data[len(digits) + 1 : max(0, length - 1)].partition(b'=')
        if not equals or length > len(data) or data[length - 1 : length] != b'\n':
            raise ValueError(f'{title} has a damaged extended header at byte {start:,}: copy it again')
        records[_text(key)] = _text(value)
        data = data[length:]
    return records


def _name(header: bytes) -> str:
    name, prefix = _text(header[:100]), _text(header[345:500])
    return f'{prefix}/{name}' if prefix and header[257:263] == b'ustar\0' else name


def _text(data: bytes) -> str:
    return data.partition(b'\0')[0].decode('utf-8', 'replace')
