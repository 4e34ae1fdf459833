"""Files that do not decode, and the resources that decoding uses: messages, threads, warnings and open files."""

import os
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from mgan_jax.data import decoding, images
from mgan_jax.storage import prefetch
from tests.image_files import random_pixels, save_image


@pytest.mark.parametrize(
    ('content', 'looks'),
    [
        (b'', 'an empty file'),
        (b'only some words\n', 'a text file'),
        ('nur Wörter: 東'.encode(), 'a text file'),
        (b'BMW, P1 and other words', 'a text file'),
        (b'\n<!DOCTYPE html><html>', 'an HTML page'),
        (b'<?xml version="1.0"?>\n<svg>', 'an SVG drawing'),
        (b'GIF89a', 'a GIF image'),
        (b'\0\0\0\x18ftypheic', 'a HEIC, AVIF or video file'),
        (b'%PDF-1.7', 'a PDF document'),
        (b'%!PS-Adobe-3.0 EPSF-3.0', 'a PostScript document'),
        (b'PK\x03\x04', 'a zip archive'),
        (b'\x1f\x8b\x08', 'a gzip archive'),
        (b'\0' * 257 + b'ustar', 'a tar archive'),
        (b'version https://git-lfs.github.com/spec/v1', 'a Git LFS pointer'),
        (bytes(range(256)), 'no known kind of file'),
    ],
)
def test_message_names_the_kind_of_a_file_that_is_no_image(tmp_path, content, looks):
    (tmp_path / 'a.png').write_bytes(content)
    with pytest.raises(ValueError, match=f'a.png looks like {looks}, a PNG, .* image is wanted') as caught:
        images.read_image(tmp_path / 'a.png')
    assert '\n' not in str(caught.value)


@pytest.mark.parametrize('suffix', ['gif', 'ico', 'tga', 'eps', 'pcx'])
def test_other_image_formats_are_refused(tmp_path, suffix):
    save_image(tmp_path / f'a.{suffix}', random_pixels(16, 16))
    with pytest.raises(ValueError, match='looks like'):
        images.read_image(tmp_path / f'a.{suffix}')


SAVE_OPTIONS = {'png': {}, 'jpg': {}, 'webp': {'lossless': True}, 'bmp': {}, 'tif': {}, 'ppm': {}}


@pytest.mark.parametrize('suffix', SAVE_OPTIONS)
@pytest.mark.parametrize('share', [0.1, 0.5, 0.9])
def test_truncated_files_are_refused(tmp_path, suffix, share):
    path = save_image(tmp_path / f'a.{suffix}', random_pixels(64, 64), **SAVE_OPTIONS[suffix])
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    kind = {'jpg': 'JPEG', 'webp': 'WebP', 'tif': 'TIFF'}.get(suffix, suffix.upper())
    with pytest.raises(ValueError, match=rf'a\.{suffix} looks like a truncated or damaged {kind} image'):
        images.read_image(path)


@pytest.mark.slow
@pytest.mark.parametrize('suffix', SAVE_OPTIONS)
def test_every_truncation_is_refused_or_loses_nothing(tmp_path, suffix):
    path = save_image(tmp_path / f'a.{suffix}', random_pixels(5, 4), **SAVE_OPTIONS[suffix])
    data, whole = path.read_bytes(), images.read_image(path).pixels
    for length in range(len(data)):
        path.write_bytes(data[:length])
        try:
            pixels = images.read_image(path).pixels
        except ValueError as error:
            assert str(path) in str(error)
        else:
            np.testing.assert_array_equal(pixels, whole)


@pytest.mark.parametrize('suffix', SAVE_OPTIONS)
def test_damaged_files_raise_value_error_or_decode(tmp_path, suffix):
    path = save_image(tmp_path / f'a.{suffix}', random_pixels(8, 8), **SAVE_OPTIONS[suffix])
    data = path.read_bytes()
    for position in range(0, min(len(data), 250), 2):
        path.write_bytes(data[:position] + bytes([data[position] ^ 0xFF]) + data[position + 1 :])
        try:
            pixels = images.read_image(path, 4).pixels
        except ValueError as error:
            assert str(path) in str(error)
        else:
            assert np.isfinite(pixels).all()


@pytest.mark.parametrize('limit', [9, 17])
def test_too_many_pixels_are_refused(tmp_path, monkeypatch, limit):
    path = save_image(tmp_path / 'a.png', random_pixels(3, 6))  # above the limit, and above twice the limit
    monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', limit)
    with pytest.raises(ValueError, match=f'more pixels than the limit of {limit} pixels: make it smaller'):
        images.read_image(path)


def test_missing_files_and_folders_are_refused(tmp_path):
    with pytest.raises(ValueError, match='none.png cannot be opened .No such file'):
        images.read_image(tmp_path / 'none.png')
    with pytest.raises(ValueError, match='is no file: name an image file'):
        images.read_image(tmp_path)


def test_pipes_and_huge_files_are_not_read(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / 'pipe.png')  # opening it waits for a writer
    with pytest.raises(ValueError, match='pipe.png is no file'):
        images.read_image(tmp_path / 'pipe.png')
    path = save_image(tmp_path / 'a.png', random_pixels())
    monkeypatch.setattr(decoding, 'MAX_FILE_BYTES', 10)
    with pytest.raises(ValueError, match='bytes, 10 is the limit: make it smaller'):
        images.read_image(path)


def test_no_warning_leaks_and_filters_are_restored(tmp_path):
    text = PngImagePlugin.PngInfo()
    text.add_text('note', 'x' * 1000)
    path = save_image(tmp_path / 'a.png', random_pixels(), pnginfo=text)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter('always')
        images.read_image(path)
        warnings.warn('after decoding', stacklevel=1)
    assert [str(w.message) for w in caught] == ['after decoding']


def test_threads_read_what_one_thread_reads(tmp_path):
    text = PngImagePlugin.PngInfo()
    text.add_text('note', 'x' * 1000)
    exif = Image.Exif()
    exif[274] = 6
    paths = [
        save_image(tmp_path / f'a.{suffix}', random_pixels(40, 30), **options)
        for suffix, options in SAVE_OPTIONS.items()
    ]
    paths += [
        save_image(tmp_path / 'b.png', random_pixels(), pnginfo=text),
        save_image(tmp_path / 'b.jpg', random_pixels(16, 32), exif=exif),
    ]
    damaged = tmp_path / 'damaged.png'
    damaged.write_bytes(paths[0].read_bytes()[:-60])
    expected = [images.read_image(path, 8).pixels for path in paths]
    before = list(warnings.filters)
    items = [*range(len(paths)), -1] * 20
    for read in prefetch.prefetch(lambda i: images.read_image([*paths, damaged][i], 8), items, workers=4, depth=8):
        if read.item < 0:
            assert 'damaged' in str(read.error)
        else:
            np.testing.assert_array_equal(read.value.pixels, expected[read.item])
    assert list(warnings.filters) == before


def test_files_are_closed(tmp_path):
    if not Path('/proc/self/fd').exists():
        pytest.skip('open descriptors cannot be counted here')
    good = [
        save_image(tmp_path / f'a.{suffix}', random_pixels(32, 32), **options)
        for suffix, options in SAVE_OPTIONS.items()
    ]
    bad = [tmp_path / f'bad.{suffix}' for suffix in SAVE_OPTIONS]
    for source, target in zip(good, bad, strict=True):
        target.write_bytes(source.read_bytes()[:-60])
    save_image(tmp_path / 'lzw.tif', random_pixels(32, 32), compression='tiff_lzw')
    before = len(os.listdir('/proc/self/fd'))
    for path in [*good, tmp_path / 'lzw.tif', *bad]:
        try:
            images.read_image(path, 8)
        except ValueError:
            continue
    assert len(os.listdir('/proc/self/fd')) == before
