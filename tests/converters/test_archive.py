"""Zip archives as torch writes them, and others."""

import zipfile

import pytest
import torch_writer

from converters.archive import Archive


def open_archive(raw):
    return Archive(memoryview(raw))


def test_members_are_views_of_the_bytes():
    raw = torch_writer.archive({'data.pkl': b'pickle', 'data/0': b'\x01\x02'})
    archive = open_archive(raw)
    assert archive.has('data.pkl') and not archive.has('data/1')
    assert bytes(archive.member('data/0')) == b'\x01\x02'
    assert archive.member('data/0').obj is raw


@pytest.mark.parametrize(
    'members, message',
    [
        ({'constants.pkl': b'', 'data.pkl': b''}, 'TorchScript'),
        ({'z.npy': b''}, 'npz'),
        ({'readme.txt': b''}, 'not a torch file'),
    ],
)
def test_other_archives_are_named(members, message):
    with pytest.raises(ValueError, match=message):
        open_archive(torch_writer.archive(members))


def test_compressed_members_are_refused():
    bomb = torch_writer.archive({'data.pkl': b'\x00' * 10_000_000}, zipfile.ZIP_DEFLATED)
    with pytest.raises(ValueError, match='compressed'):
        open_archive(bomb).member('data.pkl')


def test_a_wrong_checksum_is_refused_and_a_missing_one_is_not():
    raw = bytearray(torch_writer.archive({'data.pkl': b'SPOILED'}))
    raw[raw.index(b'SPOILED')] ^= 1
    with pytest.raises(ValueError, match='checksum'):
        open_archive(bytes(raw)).member('data.pkl')
    entry = raw.index(b'PK\x01\x02')
    raw[entry + 16 : entry + 20] = bytes(4)
    assert bytes(open_archive(bytes(raw)).member('data.pkl')) == b'RPOILED'


def test_sizes_that_lie_are_refused():
    raw = bytearray(torch_writer.archive({'data.pkl': b'content'}))
    entry = raw.index(b'PK\x01\x02')
    raw[entry + 20 : entry + 28] = b'\xff\xff\xff\x70' * 2
    with pytest.raises(ValueError, match='length'):
        open_archive(bytes(raw)).member('data.pkl')
    with pytest.raises(ValueError, match='has 1895825407 bytes where 7 are promised'):
        open_archive(bytes(raw)).member('data.pkl', 7)


def test_offsets_that_lie_are_refused():
    raw = bytearray(torch_writer.archive({'data.pkl': b'content'}))
    entry = raw.index(b'PK\x01\x02')
    for offset in (3, 10_000, 2**32 - 2):
        raw[entry + 42 : entry + 46] = offset.to_bytes(4, 'little')
        with pytest.raises(ValueError, match='not where'):
            open_archive(bytes(raw)).member('data.pkl')


def test_every_truncation_is_one_sentence():
    raw = torch_writer.archive({'data.pkl': b'content', 'data/0': b'1234'})
    for length in range(4, len(raw)):
        with pytest.raises(ValueError, match='incomplete'):
            open_archive(raw[:length])
