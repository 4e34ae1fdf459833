"""Detection of file formats by content."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch_writer

from converters import formats

DATA = Path(__file__).parent.parent / 'data'


@pytest.mark.parametrize('name, kind', [('pggan_res32', 'torch (zip)'), ('pggan_res32_legacy', 'torch (before 1.6)')])
def test_torch_files_by_any_name(tmp_path, name, kind):
    raw = (DATA / f'{name}.pth').read_bytes()
    path = tmp_path / 'weights.txt'
    path.write_bytes(raw)
    content = formats.read_weight_file(path)
    assert content.format == kind and content.sha256 == hashlib.sha256(raw).hexdigest()
    assert isinstance(content.value['layer0.conv.weight'], np.ndarray)


@pytest.mark.parametrize(
    'raw, message',
    [
        (b'', 'empty'),
        (b'<!DOCTYPE html>\n<html>', 'web page'),
        (b'\xef\xbb\xbf\n <html lang="en">', 'web page'),
        (b'version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n', 'git lfs pull'),
        (b'\x1f\x8b\x08\x00', 'packed file .gzip'),
        (b'BZh9', 'packed file .bzip2'),
        (bytes(257) + b'ustar\x00' + bytes(300), 'packed file .tar'),
        (b'\x93NUMPY\x01\x00', 'NumPy array'),
        (b'\x89HDF\r\n', 'HDF5'),
        (b'\x80\x03cdnnlib.tflib.network\nNetwork\n', 'ends in the middle of its pickle'),
        (b'\x80\x02ctfutil\nNetwork\n', 'ends in the middle of its pickle'),
        (
            b'\x80\x04\x95\x00\x00\x00\x00\x00\x00\x00\x00}\x8c\x05G_ema',
            'ends in the middle of its pickle',
        ),
        (b'\x80\x03cos\nsystem\n', "asks for 'os.system'"),
        (b'\x80\x03}.', 'Python pickle without a network'),
        (b'\x80\x02\x8a\nl', 'ends in the middle'),
        (b'PK', 'ends after 2 bytes'),
        (b'PK\x03\x04', 'incomplete'),
        (b'hello, world', "begins with 'hello, w'"),
        (b'\x00' * 100, 'begins with'),
    ],
)
def test_other_files_are_named(tmp_path, raw, message):
    path = tmp_path / 'weights.pth'
    path.write_bytes(raw)
    with pytest.raises(ValueError, match=message) as error:
        formats.read_weight_file(path)
    assert '\n' not in str(error.value)


def test_missing_files_and_directories(tmp_path):
    with pytest.raises(ValueError, match='no such file'):
        formats.read_weight_file(tmp_path / 'missing.pth')
    with pytest.raises(ValueError, match='directory'):
        formats.read_weight_file(tmp_path)


@pytest.mark.slow
def test_every_truncation_of_a_real_file_is_refused(tmp_path):
    path = tmp_path / 'weights.pth'
    for raw in (torch_writer.zip_file({'a': np.ones(9)}), torch_writer.legacy_file({'a': np.ones(9)})):
        for length in range(len(raw)):
            path.write_bytes(raw[:length])
            with pytest.raises(ValueError):
                formats.read_weight_file(path)
