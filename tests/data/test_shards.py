"""Tar files of the standard library, damaged ones and hostile ones."""

import io
import random
import tarfile

import pytest

from mgan_jax.data import shards

FORMATS = {'ustar': tarfile.USTAR_FORMAT, 'gnu': tarfile.GNU_FORMAT, 'pax': tarfile.PAX_FORMAT}


def write(entries, format=tarfile.PAX_FORMAT):
    """entries: (name, content) or TarInfos without content."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode='w', format=format) as tar:
        for entry in entries:
            if isinstance(entry, tarfile.TarInfo):
                tar.addfile(entry)
                continue
            info = tarfile.TarInfo(entry[0])
            info.size = len(entry[1])
            tar.addfile(info, io.BytesIO(entry[1]))
    return buffer.getvalue()


def members(data):
    return list(shards.tar_members('a.tar', lambda offset, size: data[offset : offset + size], len(data)))


def contents(data):
    return {member.name: data[member.offset : member.offset + member.size] for member in members(data)}


def special(name, kind, target=''):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def field(data, start, value, position=0):
    """`data` with another field in the header at `position`, and the matching checksum."""
    header = bytearray(data[position : position + 512])
    header[start : start + len(value)] = value
    header[148:156] = b' ' * 8
    header[148:156] = b'%06o\0 ' % sum(header)
    return data[:position] + bytes(header) + data[position + 512 :]


@pytest.mark.parametrize('format', FORMATS)
def test_members_of_every_format(format):
    entries = {
        'a.png': b'content',
        'empty.png': b'',
        'x/y/b.jpg': b'x' * 512,
        'c.txt': b'y' * 513,
        f'{"folder/" * 20}deep.png': b'deep',
    }
    if format != 'ustar':
        entries |= {'n' * 300 + '.png': b'long', 'Äpfel/東.png': b'names'}
    data = write(entries.items(), FORMATS[format])
    assert contents(data) == entries
    assert members(data)[0] == shards.TarMember('a.png', data.index(b'content'), 7)


def test_only_regular_files_have_content():
    names = {
        'link.png': tarfile.SYMTYPE,
        'hard.png': tarfile.LNKTYPE,
        'device.png': tarfile.CHRTYPE,
        'block.png': tarfile.BLKTYPE,
        'pipe.png': tarfile.FIFOTYPE,
        'folder.png': tarfile.DIRTYPE,
    }
    entries = [special(name, kind, '/etc/passwd') for name, kind in names.items()]
    data = write([('a.png', b'1'), *entries, ('b.png', b'2')])
    assert contents(data) == {'a.png': b'1', 'b.png': b'2'}
    lying = field(data, 124, b'%011o\0' % 10**6, position=1024)  # a link with a size
    assert contents(lying) == {'a.png': b'1', 'b.png': b'2'}


def test_sparse_files_are_skipped():
    sparse = write([('a.png', b'1' * 600), ('b.png', b'2')], tarfile.GNU_FORMAT)
    assert contents(field(sparse, 156, b'S')) == {'b.png': b'2'}
    more = field(field(sparse, 156, b'S'), 482, b'\1')
    assert contents(more[:512] + b'\0' * 504 + b'\1' + b'\0' * 519 + more[512:]) == {'b.png': b'2'}
    info = tarfile.TarInfo('a.png')
    info.pax_headers = {'GNU.sparse.major': '1', 'GNU.sparse.minor': '0'}
    assert contents(write([info, ('b.png', b'2')])) == {'b.png': b'2'}


def test_names_are_labels_only():
    entries = {'/etc/passwd.png': b'1', '../../up.png': b'2', 'a\\b.png': b'3'}
    assert contents(write(entries.items())) == entries


def test_global_headers_are_skipped():
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode='w', pax_headers={'comment': 'for all', 'path': 'wrong.png'}) as tar:
        info = tarfile.TarInfo('a.png')
        info.size, info.mtime = 3, 0.5
        tar.addfile(info, io.BytesIO(b'abc'))
    assert contents(buffer.getvalue()) == {'a.png': b'abc'}


def test_large_sizes():
    data = field(write([('a.png', b'12')]), 124, b'\x80' + (2).to_bytes(11))
    assert contents(data) == {'a.png': b'12'}
    info = tarfile.TarInfo('a.png')
    info.pax_headers = {'size': '2'}
    assert contents(write([info])[:1536] + b'12' + b'\0' * 510) == {'a.png': b'12'}


def test_signed_checksums_of_old_programs():
    data = write([('ä' * 10 + '.png', b'1')], tarfile.GNU_FORMAT)
    blank = data[:148] + b' ' * 8 + data[156:512]
    signed = sum(byte - 256 * (byte > 127) for byte in blank)
    assert contents(data[:148] + b'%06o\0 ' % signed + data[156:]) == {'ä' * 10 + '.png': b'1'}


@pytest.mark.parametrize('data', [b'', b'\0' * 1024, b'\0' * 512 + b'rubbish after the end' * 100])
def test_empty_archives(data):
    assert members(data) == []


def test_without_the_blocks_of_zeros_at_the_end():
    data = write([('a.png', b'1'), ('b.png', b'2' * 512)])
    assert contents(data[: 512 * 4]) == {'a.png': b'1', 'b.png': b'2' * 512}


WHOLE = write([('a.png', b'1' * 600), ('n' * 300 + '.png', b'2' * 600)])
LONG = write([('n' * 300 + '.png', b'2' * 600)], tarfile.GNU_FORMAT)


@pytest.mark.parametrize(
    ('data', 'words'),
    [
        (b'no tar file at all', 'ends in the middle of a header'),
        (b'no tar file at all' * 100, 'is no uncompressed tar file'),
        (WHOLE[:1000], 'ends at byte 1,000, 1,112 are wanted: copy it again'),
        (WHOLE[:1800], 'ends in the middle of a header'),
        (WHOLE[:1536] + b'damage' + WHOLE[1542:], 'is damaged at byte 1,536: copy it again'),
        (field(WHOLE, 124, b'77777777777\0'), 'ends at byte'),
        (field(WHOLE, 124, b'\x80' + b'\xff' * 11), 'ends at byte'),
        (field(WHOLE, 124, b'\xff' * 12), 'tells no size of what is at byte 0'),
        (field(WHOLE, 124, b'-0000000010\0'), 'tells no size'),
        (field(WHOLE, 124, b'12x4\0\0\0\0\0\0\0\0'), 'tells no size'),
        (field(LONG, 124, b'%011o\0' % 2**21) + b'\0' * 2**22, 'an extended header of 2,097,152 bytes'),
    ],
)
def test_damaged_and_hostile_files(data, words):
    with pytest.raises(ValueError, match=words) as caught:
        members(data)
    assert str(caught.value).startswith('a.tar ')
    assert '\n' not in str(caught.value)


@pytest.mark.parametrize(
    ('records', 'words'),
    [
        (b'30 path=too long\n', 'damaged extended header at byte 512'),
        (b'x path=a\n', 'damaged'),
        (b'0 path=a\n', 'damaged'),
        (b'-9 path=a\n', 'damaged'),
        (b'8 path a\n', 'damaged'),
        (b'11 size=-1\n', 'tells no size'),
        (b'13 size=1e30\n', 'tells no size'),
        (b'31 size=9999999999999999999999\n', 'tells no size'),
        (b'20 size=99999999999\n', 'ends at byte'),
    ],
)
def test_hostile_extended_headers(records, words):
    header = field(field(write([('pax', records)], tarfile.USTAR_FORMAT)[:1024], 156, b'x'), 0, b'pax')
    with pytest.raises(ValueError, match=words):
        members(header + write([('a.png', b'1')], tarfile.USTAR_FORMAT))


def test_random_damage_is_reported_or_harmless():
    """With random bytes in headers, each member lies inside the file and the iteration ends."""
    rng = random.Random(0)
    for _ in range(400):
        data = bytearray(WHOLE)
        start = rng.choice([0, 1536, 2048, 2560])
        for _ in range(rng.randrange(1, 4)):
            data[start + rng.randrange(512)] = rng.randrange(256)
        data = field(bytes(data), 0, b'', position=start)
        try:
            found = members(data)
        except ValueError as error:
            assert '\n' not in str(error)
        else:
            assert all(0 <= member.offset <= member.offset + member.size <= len(data) for member in found)
