"""Finding, reading and writing image files. Every input is made here, most by Pillow, a few byte by byte."""

import os
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from mgan_jax import images

RNG = np.random.default_rng(0)


def scaled(values, white=255):
    """Stored numbers to [-1, 1]."""
    return np.asarray(values, np.float32) / (white / 2) - 1


def same(pixels, values, white=255):
    np.testing.assert_allclose(pixels, np.broadcast_to(scaled(values, white), pixels.shape), atol=2e-7)


def colours(height=6, width=9):
    return RNG.integers(0, 256, (height, width, 3), dtype=np.uint8)


def save(path, array, mode=None, **options):
    image = Image.fromarray(array)
    (image.convert(mode) if mode else image).save(path, **options)
    return path


def png(path, width, height, depth, colour_type, rows, *extra):
    """A PNG file of kinds that Pillow does not write; `rows` are bytes, `extra` further chunks."""

    def chunk(name, data):
        return struct.pack('>I', len(data)) + name + data + struct.pack('>I', zlib.crc32(name + data))

    header = struct.pack('>IIBBBBB', width, height, depth, colour_type, 0, 0, 0)
    data = zlib.compress(b''.join(b'\0' + row for row in rows))
    chunks = [chunk(b'IHDR', header), *(chunk(*item) for item in extra), chunk(b'IDAT', data), chunk(b'IEND', b'')]
    path.write_bytes(b'\x89PNG\r\n\x1a\n' + b''.join(chunks))
    return path


# Formats and modes


@pytest.mark.parametrize('name', ['a.png', 'a.bmp', 'a.tif', 'a.ppm', 'a.webp'])
def test_lossless_formats_are_read_exactly(tmp_path, name):
    values = colours()
    photo = images.read(save(tmp_path / name, values, **({'lossless': True} if name.endswith('webp') else {})), (6, 9))
    assert photo.pixels.dtype == np.float32
    assert photo.pixels.shape == (6, 9, 3)
    assert not photo.grey
    np.testing.assert_array_equal(images.to_uint8(photo.pixels), values)
    same(photo.pixels, values)


@pytest.mark.parametrize('options', [{}, {'progressive': True}, {'subsampling': 0, 'quality': 95}])
def test_jpeg_is_read_closely(tmp_path, options):
    path = save(tmp_path / 'a.jpg', np.full((16, 24, 3), (200, 100, 50), np.uint8), **options)
    np.testing.assert_allclose(
        images.read(path).pixels, np.broadcast_to(scaled((200, 100, 50)), (16, 24, 3)), atol=0.03
    )


def test_the_content_counts_not_the_name(tmp_path):
    values = colours()
    same(images.read(save(tmp_path / 'photo.jpg', values, format='PNG')).pixels, values)


def test_black_and_white_are_the_ends_of_the_range(tmp_path):
    pixels = images.read(save(tmp_path / 'a.png', np.array([[0, 255]], np.uint8))).pixels
    assert pixels[0, 0, 0] == -1
    assert pixels[0, 1, 0] == 1


@pytest.mark.parametrize('name', ['a.png', 'a.bmp', 'a.tif', 'a.pgm', 'a.jpg'])
def test_greyscale(tmp_path, name):
    values = np.repeat(np.arange(0, 256, 17, dtype=np.uint8)[None], 16, axis=0).repeat(16, axis=1)
    photo = images.read(save(tmp_path / name, values, **({'quality': 100} if name.endswith('jpg') else {})))
    assert photo.grey
    np.testing.assert_allclose(photo.pixels, np.repeat(scaled(values)[..., None], 3, axis=-1), atol=0.01)


@pytest.mark.parametrize('name', ['a.png', 'a.bmp', 'a.tif', 'a.pbm'])
def test_one_bit(tmp_path, name):
    values = np.array([[True, False, True], [False, False, True]])
    photo = images.read(save(tmp_path / name, values))
    assert photo.grey
    same(photo.pixels, 255 * values[..., None])


def test_colour_files_without_colour_are_grey(tmp_path):
    values = np.repeat(RNG.integers(0, 256, (4, 5, 1), dtype=np.uint8), 3, axis=-1)
    assert images.read(save(tmp_path / 'a.png', values)).grey
    values[2, 3, 1] ^= 1
    assert not images.read(save(tmp_path / 'b.png', values)).grey


def test_grey_is_a_property_of_the_file_not_of_the_crop(tmp_path):
    values = np.full((4, 12, 3), 90, np.uint8)
    values[0, 0] = (255, 0, 0)
    assert not images.read(save(tmp_path / 'a.png', values), 4).grey


@pytest.mark.parametrize('name', ['a.png', 'a.bmp', 'a.tif'])
def test_palette(tmp_path, name):
    image = Image.new('P', (2, 1))
    image.putpalette([10, 20, 30, 200, 100, 0])
    image.putpixel((1, 0), 1)
    image.save(tmp_path / name)
    photo = images.read(tmp_path / name)
    assert not photo.grey
    same(photo.pixels, [[(10, 20, 30), (200, 100, 0)]])


PLAIN = {
    'P1': (b'P1\n# note\n2 1\n1 0\n', [[0, 255]], 255),
    'P2': (b'P2\n2 1\n100\n0 50\n', [[0, 128]], 255),
    'P3': (b'P3\n1 1\n255\n1 2 3\n', [[(1, 2, 3)]], 255),
    'P4': (b'P4\n2 1\n\x80', [[0, 255]], 255),
    'P5': (b'P5\n2 1\n255\n\x07\xff', [[7, 255]], 255),
    'P5 16 bit': (b'P5\n2 1\n65535\n\x01\x02\xff\xff', [[258, 65535]], 65535),
    'P5 10 bit': (b'P5\n2 1\n1023\n\x00\x01\x03\xff', [[64, 65535]], 65535),
    'P6': (b'P6\n1 1\n255\n\x01\x02\x03', [[(1, 2, 3)]], 255),
}


@pytest.mark.parametrize('kind', PLAIN)
def test_portable_anymaps(tmp_path, kind):
    data, values, white = PLAIN[kind]
    (tmp_path / 'a.pnm').write_bytes(data)
    values = np.array(values)
    same(images.read(tmp_path / 'a.pnm').pixels, values if values.ndim == 3 else values[..., None], white)


# Transparency


def test_alpha_shows_white_behind(tmp_path):
    values = np.array([[(255, 0, 0, 255), (255, 0, 0, 0), (0, 0, 0, 51)]], np.uint8)
    photo = images.read(save(tmp_path / 'a.png', values))
    same(photo.pixels, [[(255, 0, 0), (255, 255, 255), (204, 204, 204)]])
    assert not photo.grey


def test_hidden_colour_does_not_make_an_image_coloured(tmp_path):
    values = np.array([[(255, 0, 0, 0), (70, 70, 70, 255)]], np.uint8)
    assert images.read(save(tmp_path / 'a.png', values)).grey


def test_opaque_alpha_changes_nothing(tmp_path):
    values = colours()
    opaque = np.concatenate([values, np.full((6, 9, 1), 255, np.uint8)], axis=-1)
    np.testing.assert_array_equal(
        images.read(save(tmp_path / 'a.png', opaque)).pixels, images.read(save(tmp_path / 'b.png', values)).pixels
    )


@pytest.mark.parametrize('name', ['a.png', 'a.tif'])
def test_grey_with_alpha(tmp_path, name):
    photo = images.read(save(tmp_path / name, np.array([[(10, 255), (10, 0)]], np.uint8)))
    assert photo.grey
    same(photo.pixels, [[[10], [255]]])


def test_palette_with_alpha_channel(tmp_path):
    values = np.array([[(200, 100, 0, 255), (200, 100, 0, 0)]], np.uint8)
    Image.fromarray(values).convert('PA').save(tmp_path / 'a.tif')
    with Image.open(tmp_path / 'a.tif') as image:
        assert image.mode == 'PA'
    same(images.read(tmp_path / 'a.tif').pixels, [[(200, 100, 0), (255, 255, 255)]])


@pytest.mark.parametrize('transparency', [1, bytes([255, 0]), bytes([255, 51])])
def test_palette_with_transparency(tmp_path, transparency):
    image = Image.new('P', (2, 1))
    image.putpalette([10, 20, 30, 0, 0, 0])
    image.putpixel((1, 0), 1)
    image.save(tmp_path / 'a.png', transparency=transparency)
    behind = 204 if transparency == bytes([255, 51]) else 255
    same(images.read(tmp_path / 'a.png').pixels, [[(10, 20, 30), (behind,) * 3]])


@pytest.mark.parametrize(
    ('values', 'transparency', 'expected'),
    [
        (np.array([[7, 8]], np.uint8), 7, [[[255], [8]]]),
        (np.array([[False, True]]), 0, [[[255], [255]]]),
        (np.array([[(1, 2, 3), (1, 2, 4)]], np.uint8), (1, 2, 3), [[(255, 255, 255), (1, 2, 4)]]),
    ],
    ids=['grey', '1 bit', 'colour'],
)
def test_one_transparent_colour(tmp_path, values, transparency, expected):
    same(images.read(save(tmp_path / 'a.png', values, transparency=transparency)).pixels, expected)


@pytest.mark.parametrize(('depth', 'row'), [(2, b'\x60'), (4, b'\x12')])
def test_the_transparent_colour_has_the_depth_of_the_file(tmp_path, depth, row):
    path = png(tmp_path / 'a.png', 2, 1, depth, 0, [row], (b'tRNS', b'\0\1'))
    same(images.read(path).pixels, [[[255], [2 * 255 / (2**depth - 1)]]])


def test_the_transparent_colour_of_16_bits(tmp_path):
    grey = struct.pack('>2H', 1000, 1001)
    path = png(tmp_path / 'grey.png', 2, 1, 16, 0, [grey], (b'tRNS', struct.pack('>H', 1000)))
    same(images.read(path).pixels, [[[65535], [1001]]], 65535)
    rgb = struct.pack('>6H', 1000, 2000, 3000, 51400, 25700, 0)
    path = png(tmp_path / 'rgb.png', 2, 1, 16, 2, [rgb], (b'tRNS', rgb[:6]))
    same(images.read(path).pixels, [[(255, 255, 255), (200, 100, 0)]])


# More than 8 bits, other colours


@pytest.mark.parametrize('name', ['a.png', 'a.tif', 'a.pgm'])
@pytest.mark.parametrize('size', [None, (4, 64)])
def test_16_bit_grey_keeps_its_precision(tmp_path, name, size):
    values = (20000 + np.arange(256, dtype=np.uint16).reshape(4, 64)).astype(np.uint16)
    photo = images.read(save(tmp_path / name, values), size)
    assert photo.grey
    same(photo.pixels, values[..., None], 65535)
    assert len(np.unique(photo.pixels)) == 256  # 8 bits would leave 2


def test_16_bit_precision_survives_resizing(tmp_path):
    values = np.broadcast_to(np.uint16(20000) + np.arange(64, dtype=np.uint16), (8, 64))
    pixels = images.read(save(tmp_path / 'a.png', np.ascontiguousarray(values)), (4, 32)).pixels
    np.testing.assert_allclose(pixels[2, 4:-4, 0], scaled(20000.5 + 2 * np.arange(32), 65535)[4:-4], atol=2e-6)


def tiff(path, values, tags):
    """An uncompressed TIFF of one strip with the byte order of `values`."""
    order = '>' if values.dtype.str[0] == '>' else '<'
    height, width = values.shape
    entries = {
        256: width,
        257: height,
        258: 8 * values.itemsize,
        259: 1,
        262: 1,
        277: 1,
        278: height,
        279: values.nbytes,
    }
    entries = {**entries, **tags}
    entries[273] = 8 + 2 + 12 * (len(entries) + 1) + 4
    data = struct.pack(f'{order}2sHIH', b'MM' if order == '>' else b'II', 42, 8, len(entries))
    for tag, value in sorted(entries.items()):
        data += struct.pack(f'{order}HHI', tag, 3, 1) + struct.pack(f'{order}HH', value, 0)
    path.write_bytes(data + struct.pack(f'{order}I', 0) + values.tobytes())
    return path


@pytest.mark.parametrize('order', ['<u2', '>u2'])
def test_16_bit_tiff_of_either_byte_order_and_any_orientation(tmp_path, order):
    values = np.array([[1000, 2000, 3000], [40000, 50000, 65535]], order)
    same(images.read(tiff(tmp_path / 'a.tif', values, {})).pixels, values[..., None], 65535)
    turned = images.read(tiff(tmp_path / 'b.tif', values, {274: 6})).pixels
    same(turned, np.rot90(values, -1)[..., None], 65535)


def test_16_bit_tiff_with_white_as_zero(tmp_path):
    values = np.array([[0, 1000, 65535]], '<u2')
    same(images.read(tiff(tmp_path / 'a.tif', values, {262: 0})).pixels, 65535.0 - values[..., None], 65535)


def test_12_bit_tiff(tmp_path):
    packed = np.array([[0xFF, 0xF0, 0x01]], np.uint8)  # 4095, 1
    path = tiff(tmp_path / 'a.tif', packed, {256: 2, 258: 12})
    same(images.read(path).pixels, [[[4095], [1]]], 4095)


def test_16_bit_colour_is_read_with_8_bits(tmp_path):
    path = png(tmp_path / 'a.png', 1, 1, 16, 2, [struct.pack('>3H', 65535, 25700, 300)])
    np.testing.assert_allclose(images.read(path).pixels[0, 0], scaled((65535, 25700, 300), 65535), atol=2 / 255)


def test_float_in_zero_to_one(tmp_path):
    values = np.array([[0, 0.25, 1]], np.float32)
    photo = images.read(save(tmp_path / 'a.tif', values))
    assert photo.grey
    same(photo.pixels, values[..., None], 1)


@pytest.mark.parametrize('values', [[0, 255], [-1, 1], [0.5, np.nan], [0, np.inf]])
def test_float_of_another_range_is_refused(tmp_path, values):
    path = save(tmp_path / 'a.tif', np.array([values], np.float32))
    with pytest.raises(ValueError, match=r'a\.tif holds floats from .* to .*, \[0, 1\] is wanted: rescale'):
        images.read(path)


def test_32_bit_integers_are_refused(tmp_path):
    path = save(tmp_path / 'a.tif', np.array([[1, 2]], np.int32))
    with pytest.raises(ValueError, match=r'a\.tif holds signed or 32-bit integers.*convert it'):
        images.read(path)


def test_lab_is_refused(tmp_path):
    Image.new('LAB', (2, 2)).save(tmp_path / 'a.tif')
    with pytest.raises(ValueError, match=r'a\.tif holds Lab colours.*convert it'):
        images.read(tmp_path / 'a.tif')


@pytest.mark.parametrize('name', ['a.jpg', 'a.tif'])
def test_cmyk(tmp_path, name):
    Image.new('CMYK', (16, 16), (0, 255, 255, 0)).save(tmp_path / name, **({'quality': 95} if name == 'a.jpg' else {}))
    with Image.open(tmp_path / name) as image:
        assert image.mode == 'CMYK'
    photo = images.read(tmp_path / name)
    np.testing.assert_allclose(photo.pixels, np.broadcast_to(scaled((255, 0, 0)), (16, 16, 3)), atol=0.03)
    assert not photo.grey


def test_a_colour_profile_changes_nothing(tmp_path):
    values = colours()
    same(images.read(save(tmp_path / 'a.png', values, icc_profile=b'no profile at all')).pixels, values)


# Orientation, animation, size


TURNS = {
    1: lambda a: a,
    2: np.fliplr,
    3: lambda a: np.rot90(a, 2),
    4: np.flipud,
    5: lambda a: np.swapaxes(a, 0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.rot90(np.swapaxes(a, 0, 1), 2),
    8: np.rot90,
}


@pytest.mark.parametrize('orientation', TURNS)
@pytest.mark.parametrize('name', ['a.png', 'a.webp', 'a.tif', 'a.jpg'])
def test_exif_orientation(tmp_path, name, orientation):
    values = np.full((16, 32, 3), 20, np.uint8)
    values[:8, :8] = 220  # the marker is at the top left of what is stored
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {'a.webp': {'lossless': True}, 'a.jpg': {'quality': 95}}.get(name, {})
    pixels = images.read(save(tmp_path / name, values, exif=exif, **options)).pixels
    expected = scaled(TURNS[orientation](values))
    assert pixels.shape == expected.shape
    np.testing.assert_allclose(pixels, expected, atol=0.05)


def test_phones_turn_the_top_right_corner_up(tmp_path):
    values = np.zeros((4, 6), np.uint8)
    values[0, 0] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned clockwise
    pixels = images.read(save(tmp_path / 'a.png', values, exif=exif)).pixels
    assert pixels.shape == (6, 4, 3)
    assert np.argwhere(pixels[..., 0] > 0).tolist() == [[0, 3]]


@pytest.mark.parametrize('exif', [b'Exif\0\0II*\0\xff\xff\xff\x7f', b'MM\0*\0', b'no such notes'])
@pytest.mark.parametrize('name', ['a.png', 'a.webp', 'a.jpg'])
def test_broken_exif_is_no_obstacle(tmp_path, name, exif):
    path = save(tmp_path / name, np.full((16, 16, 3), 200, np.uint8), exif=exif)
    np.testing.assert_allclose(images.read(path).pixels, scaled(200), atol=0.02)


def test_the_orientation_counts_beside_broken_notes(tmp_path):
    entries = struct.pack('>HHII', 0x0112, 3, 1, 6 << 16) + struct.pack('>HHII', 0x011A, 2, 4, 0x61626300)
    exif = b'Exif\0\0MM\0*' + struct.pack('>IH', 8, 2) + entries + bytes(4)  # a resolution made of letters
    assert images.read(save(tmp_path / 'a.jpg', colours(16, 32), exif=exif)).pixels.shape == (32, 16, 3)


@pytest.mark.parametrize('name', ['a.png', 'a.webp', 'a.tif'])
def test_the_first_frame_is_read(tmp_path, name):
    first, second = colours(8, 8), colours(8, 8)
    options = {'lossless': True} if name == 'a.webp' else {}
    save(tmp_path / name, first, save_all=True, append_images=[Image.fromarray(second)], **options)
    with Image.open(tmp_path / name) as image:
        assert image.n_frames == 2
    same(images.read(tmp_path / name).pixels, first)


def test_an_image_of_the_right_size_is_not_touched(tmp_path):
    values = colours(5, 7)
    path = save(tmp_path / 'a.png', values)
    np.testing.assert_array_equal(images.read(path, (5, 7)).pixels, images.read(path).pixels)


@pytest.mark.parametrize(('height', 'width', 'size'), [(9, 5, (5, 5)), (5, 9, (5, 5)), (8, 9, (4, 9)), (8, 9, (8, 2))])
def test_the_crop_is_the_centre(tmp_path, height, width, size):
    values = colours(height, width)
    top, left = (height - size[0]) // 2, (width - size[1]) // 2
    same(images.read(save(tmp_path / 'a.png', values), size).pixels, values[top : top + size[0], left : left + size[1]])


def test_an_integer_size_is_a_square(tmp_path):
    assert images.read(save(tmp_path / 'a.png', colours(7, 13)), 4).pixels.shape == (4, 4, 3)


@pytest.mark.parametrize('size', [(64, 48), (16, 12), (33, 25)])
def test_a_linear_ramp_stays_linear(tmp_path, size):
    ramp = np.broadcast_to(np.linspace(10000, 50000, 128).astype(np.uint16), (160, 128))
    pixels = images.read(save(tmp_path / 'a.png', np.ascontiguousarray(ramp)), size).pixels[..., 0]
    width, kept = size[1], images.crop(ramp, size).shape[1]
    centres = (128 - kept) // 2 + (np.arange(width) + 0.5) * kept / width - 0.5
    expected = scaled(10000 + 40000 * centres / 127, 65535)
    inner = slice(3, -3)  # the filter reaches over three pixels
    np.testing.assert_allclose(pixels[size[0] // 2, inner], expected[inner], atol=2e-4)


def test_shrinking_is_antialiased(tmp_path):
    board = (np.indices((64, 64)).sum(axis=0) % 2 * 255).astype(np.uint8)
    np.testing.assert_allclose(images.read(save(tmp_path / 'a.png', board), 8).pixels, 0, atol=0.02)


def test_resizing_stays_in_the_range(tmp_path):
    edge = np.zeros((16, 16), np.uint8)
    edge[:, 8:] = 255
    pixels = images.read(save(tmp_path / 'a.png', edge), 40).pixels
    assert pixels.min() == -1
    assert pixels.max() == 1


@pytest.mark.parametrize('shape', [(1, 1), (1, 50), (50, 1), (3, 1000)])
def test_odd_shapes(tmp_path, shape):
    photo = images.read(save(tmp_path / 'a.png', np.full(shape, 60, np.uint8)), (8, 4))
    np.testing.assert_allclose(photo.pixels, np.broadcast_to(scaled(60), (8, 4, 3)), atol=1e-6)


def test_an_impossible_size_is_refused(tmp_path):
    with pytest.raises(ValueError, match='0 x 4 pixels'):
        images.read(save(tmp_path / 'a.png', colours()), (0, 4))


# Files that are no images


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
        (b'version https://git-lfs.github.com/spec/v1', 'a Git LFS pointer'),
        (bytes(range(256)), 'no known kind of file'),
    ],
)
def test_what_is_no_image_is_named(tmp_path, content, looks):
    (tmp_path / 'a.png').write_bytes(content)
    with pytest.raises(ValueError, match=f'a.png looks like {looks}, a PNG, .* image is wanted') as caught:
        images.read(tmp_path / 'a.png')
    assert '\n' not in str(caught.value)


@pytest.mark.parametrize('suffix', ['gif', 'ico', 'tga', 'eps', 'pcx'])
def test_formats_outside_the_list_are_refused(tmp_path, suffix):
    save(tmp_path / f'a.{suffix}', colours(16, 16))
    with pytest.raises(ValueError, match='looks like'):
        images.read(tmp_path / f'a.{suffix}')


FULL = {'png': {}, 'jpg': {}, 'webp': {'lossless': True}, 'bmp': {}, 'tif': {}, 'ppm': {}}


@pytest.mark.parametrize('suffix', FULL)
@pytest.mark.parametrize('share', [0.1, 0.5, 0.9])
def test_truncated_files_are_refused(tmp_path, suffix, share):
    path = save(tmp_path / f'a.{suffix}', colours(64, 64), **FULL[suffix])
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    kind = {'jpg': 'JPEG', 'webp': 'WebP', 'tif': 'TIFF'}.get(suffix, suffix.upper())
    with pytest.raises(ValueError, match=rf'a\.{suffix} looks like a truncated or damaged {kind} image'):
        images.read(path)


@pytest.mark.parametrize('suffix', FULL)
def test_every_truncation_is_refused_or_loses_nothing(tmp_path, suffix):
    path = save(tmp_path / f'a.{suffix}', colours(5, 4), **FULL[suffix])
    data, whole = path.read_bytes(), images.read(path).pixels
    for length in range(len(data)):
        path.write_bytes(data[:length])
        try:
            pixels = images.read(path).pixels
        except ValueError as error:
            assert str(path) in str(error)
        else:
            np.testing.assert_array_equal(pixels, whole)


@pytest.mark.parametrize('suffix', FULL)
def test_damaged_files_raise_value_error_or_decode(tmp_path, suffix):
    path = save(tmp_path / f'a.{suffix}', colours(8, 8), **FULL[suffix])
    data = path.read_bytes()
    for position in range(0, min(len(data), 250), 2):
        path.write_bytes(data[:position] + bytes([data[position] ^ 0xFF]) + data[position + 1 :])
        try:
            pixels = images.read(path, 4).pixels
        except ValueError as error:
            assert str(path) in str(error)
        else:
            assert np.isfinite(pixels).all()


@pytest.mark.parametrize('limit', [9, 17])
def test_too_many_pixels_are_refused(tmp_path, monkeypatch, limit):
    path = save(tmp_path / 'a.png', colours(3, 6))  # above the limit, and above twice the limit
    monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', limit)
    with pytest.raises(ValueError, match=f'more pixels than the limit of {limit} pixels: make it smaller'):
        images.read(path)


def test_missing_files_and_folders_are_refused(tmp_path):
    with pytest.raises(ValueError, match='none.png cannot be opened .No such file'):
        images.read(tmp_path / 'none.png')
    with pytest.raises(ValueError, match='cannot be opened .Is a directory'):
        images.read(tmp_path)


def test_no_warning_leaks_and_filters_are_restored(tmp_path):
    text = PngImagePlugin.PngInfo()
    text.add_text('note', 'x' * 1000)
    path = save(tmp_path / 'a.png', colours(), pnginfo=text)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter('always')
        images.read(path)
        warnings.warn('still seen', stacklevel=1)
    assert [str(w.message) for w in caught] == ['still seen']


def test_files_are_closed(tmp_path):
    if not Path('/proc/self/fd').exists():
        pytest.skip('open descriptors cannot be counted here')
    good = [save(tmp_path / f'a.{suffix}', colours(32, 32), **options) for suffix, options in FULL.items()]
    bad = [tmp_path / f'bad.{suffix}' for suffix in FULL]
    for source, target in zip(good, bad, strict=True):
        target.write_bytes(source.read_bytes()[:-60])
    save(tmp_path / 'lzw.tif', colours(32, 32), compression='tiff_lzw')
    before = len(os.listdir('/proc/self/fd'))
    for path in [*good, tmp_path / 'lzw.tif', *bad]:
        try:
            images.read(path, 8)
        except ValueError:
            continue
    assert len(os.listdir('/proc/self/fd')) == before


# Writing


def test_to_uint8_inverts_reading():
    np.testing.assert_array_equal(images.to_uint8(scaled(np.arange(256))), np.arange(256))


def test_to_uint8_rounds_and_clips():
    stored = np.array([99.4, 99.6, -20, 300, np.inf])
    np.testing.assert_array_equal(images.to_uint8(scaled(stored)), [99, 100, 0, 255, 255])


@given(st.floats(-1, 1, width=32))
def test_to_uint8_is_off_by_half_a_step_at_most(value):
    assert abs(scaled(images.to_uint8(np.float32(value))) - value) <= 1.0001 / 255


def test_to_uint8_refuses_integers_and_nan():
    with pytest.raises(ValueError, match='dtype uint8, floats'):
        images.to_uint8(np.zeros((2, 2, 3), np.uint8))
    with pytest.raises(ValueError, match='NaN'):
        images.to_uint8(np.array([0, np.nan]))


@pytest.mark.parametrize('channels', [1, 3])
def test_write_png(tmp_path, channels):
    values = RNG.integers(0, 256, (5, 4, channels), dtype=np.uint8)
    images.write_png(tmp_path / 'ä.png', scaled(values))
    with Image.open(tmp_path / 'ä.png') as image:
        assert (image.format, image.mode) == ('PNG', 'L' if channels == 1 else 'RGB')
        np.testing.assert_array_equal(np.asarray(image).reshape(values.shape), values)
    same(images.read(tmp_path / 'ä.png').pixels, values)


@pytest.mark.parametrize('shape', [(4, 4), (4, 4, 2), (1, 4, 4, 3), (0, 4, 3)])
def test_write_png_refuses_other_shapes(tmp_path, shape):
    with pytest.raises(ValueError, match=r'\[H W 3\] or \[H W 1\] is wanted'):
        images.write_png(tmp_path / 'a.png', np.zeros(shape, np.float32))
    assert not (tmp_path / 'a.png').exists()


def test_write_png_refuses_nan(tmp_path):
    with pytest.raises(ValueError, match='NaN'):
        images.write_png(tmp_path / 'a.png', np.full((2, 2, 3), np.nan))
    assert not (tmp_path / 'a.png').exists()


# Finding


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """Files are empty: finding looks at names only."""
    names = ['b.PNG', 'a.jpg', 'note.txt', '.hidden.png', 'x/1.png', 'x/y/1.png', 'x/y/deep.webp', 'empty/note.txt']
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def found(spec, bundled=None):
    return [(source.path.as_posix(), source.name) for source in images.find(spec, bundled)]


def test_find_a_file(tree):
    assert found('a.jpg') == found(['a.jpg']) == found(Path('a.jpg')) == [('a.jpg', 'a')]
    assert found('note.txt') == [('note.txt', 'note')]  # reading decides


def test_find_a_folder_sorted_without_hidden_files(tree):
    assert found('.') == [('a.jpg', 'a'), ('b.PNG', 'b')]
    assert found(str(tree)) == [(f'{tree}/a.jpg', 'a'), (f'{tree}/b.PNG', 'b')]


def test_find_a_glob(tree):
    assert found('x/*') == [('x/1.png', '1')]
    assert [path for path, _ in found('**')] == ['a.jpg', 'b.PNG', 'x/1.png', 'x/y/1.png', 'x/y/deep.webp']
    assert [path for path, _ in found('**/1.png')] == ['x/1.png', 'x/y/1.png']


def test_find_keeps_the_given_order_and_drops_repetitions(tree):
    expected = [('x/y/deep.webp', 'deep'), ('a.jpg', 'a'), ('b.PNG', 'b')]
    assert found('x/y/deep.webp, ., a.jpg') == expected
    assert found(('x/y/deep.webp', '.', str(tree / 'a.jpg'))) == expected


def test_find_drops_links_to_the_same_file(tree):
    (tree / 'link.png').symlink_to(tree / 'b.PNG')
    assert found('b.PNG,link.png') == [('b.PNG', 'b')]


def test_what_exists_is_not_split_and_no_glob(tree):
    for name in ['c,d.png', 'e[1].png', 'f,g/h.png']:
        (tree / name).parent.mkdir(exist_ok=True)
        (tree / name).touch()
    assert found('c,d.png') == [('c,d.png', 'c,d')]
    assert found('e[1].png') == [('e[1].png', 'e[1]')]
    assert found('f,g') == found('f,g/*.png') == [('f,g/h.png', 'h')]
    assert found(['c,d.png', 'a.jpg']) == [('c,d.png', 'c,d'), ('a.jpg', 'a')]


def test_the_home_folder_is_expanded(tree, monkeypatch):
    monkeypatch.setenv('HOME', str(tree))
    assert found('~/x') == [(f'{tree}/x/1.png', '1')]


@pytest.mark.parametrize('spec', ['', ' , ', [], [''], None, 'bundled', ['bundled']])
def test_nothing_stands_for_the_bundled_images(tree, spec):
    assert found(spec, bundled=tree / 'x') == [(f'{tree}/x/1.png', '1')]
    with pytest.raises(ValueError, match='no images are named and none are bundled'):
        found(spec)


@pytest.mark.parametrize(
    ('spec', 'message'),
    [
        ('none.png', 'none.png does not exist: give an image file, a folder or a glob'),
        ('a.jpg,none.png', 'none.png does not exist'),
        ('empty', 'the folder empty holds no image: give files whose names end in .png, .jpg'),
        ('*.bmp', r'the glob \*.bmp matches no image'),
        ('*.txt', r'the glob \*.txt matches no image'),
    ],
)
def test_find_says_what_is_missing(tree, spec, message):
    with pytest.raises(ValueError, match=message):
        found(spec)


def names(*paths):
    return images._names([Path(path) for path in paths])


@pytest.mark.parametrize(
    ('paths', 'expected'),
    [
        (['x/a.png', 'y/b.png'], ['a', 'b']),
        (['a.png', 'a.jpg'], ['a-png', 'a-jpg']),
        (['x/1.png', 'y/1.png'], ['x-1', 'y-1']),
        (['x/1.png', 'x/1.jpg', 'y/1.png'], ['x-1-png', 'x-1-jpg', 'y-1-png']),
        (['p/x/1.png', 'q/x/1.png', '2.png'], ['p-x-1', 'q-x-1', '2']),
        (['A.png', 'a.jpg'], ['A-png', 'a-jpg']),
        (['x/a.png', 'y/A.png'], ['x-a', 'y-A']),
        (['a.png', 'a.jpg', 'a-png.bmp'], [None, None, 'a-png']),
        (
            ['metrics.csv.png', 'Config.json.png', 'report.html.webp'],
            ['metrics.csv-png', 'Config.json-png', 'report.html-webp'],
        ),
        (['x/...png', 'y/....png'], ['x-image', 'y-image']),
        (['.a.png', 'b .png', 'c..png'], ['a', 'b', 'c']),
        (['a:b*.png', 'straße.png', '東.png'], ['a_b_', 'straße', '東']),
        (['cafe\u0301.png', 'x/caf\u00e9.png'], None),
        (['a/b/1.png', 'a-b/1.png', 'c/1.png'], None),
        (['x' * 250 + '.png', 'x' * 249 + 'y.png', '東' * 80 + '.png'], None),
        (['bad\udcff.png'], ['bad_']),
    ],
)
def test_names_are_different_and_safe(paths, expected):
    result = names(*paths)
    assert result == names(*paths)
    assert len({images._key(name) for name in result}) == len(paths)
    for name in result:
        assert name
        assert not set(name) & set('/\\\0')
        assert not name.startswith('.')
        assert name.lower() not in images.RESERVED
        assert len(name.encode()) < 200
    for name, wanted in zip(result, expected or [], strict=bool(expected)):
        assert wanted is None or name == wanted


PARTS = st.text(st.sampled_from('aA.-é 1'), min_size=1, max_size=3).filter(lambda part: part.strip('.'))


@given(
    st.lists(st.tuples(PARTS, PARTS, st.sampled_from(['.png', '.PNG', '.jpg'])), unique=True, min_size=1, max_size=8)
)
def test_names_are_different_whatever_the_files(parts):
    result = names(*(f'/{folder}/{stem}{suffix}' for folder, stem, suffix in parts))
    assert len({images._key(name) for name in result}) == len(parts)
    assert all(name and '/' not in name and not name.startswith('.') for name in result)


def test_non_ascii_paths(tmp_path):
    folder = tmp_path / 'Fotos für 東京'
    folder.mkdir()
    values = colours()
    save(folder / 'Äpfel 1.png', values)
    (source,) = images.find(str(folder))
    assert source.name == 'Äpfel 1'
    same(images.read(source.path).pixels, values)
