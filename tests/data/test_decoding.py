"""Decoding of image files: formats, transparency, precision, colour spaces and orientation."""

import struct

import numpy as np
import pytest
from PIL import Image

from mgan_jax.data import images
from tests.image_files import RNG, assert_pixels, random_pixels, save_image, scale_pixels, write_raw_png

# Formats and modes


@pytest.mark.parametrize('name', ['a.png', 'a.bmp', 'a.tif', 'a.ppm', 'a.webp'])
def test_lossless_formats_are_read_exactly(tmp_path, name):
    values = random_pixels()
    photo = images.read_image(
        save_image(tmp_path / name, values, **({'lossless': True} if name.endswith('webp') else {})), (6, 9)
    )
    assert photo.pixels.dtype == np.float32
    assert photo.pixels.shape == (6, 9, 3)
    assert not photo.grey
    np.testing.assert_array_equal(images.to_uint8(photo.pixels), values)
    assert_pixels(photo.pixels, values)


@pytest.mark.parametrize('options', [{}, {'progressive': True}, {'subsampling': 0, 'quality': 95}])
def test_jpeg_is_read_closely(tmp_path, options):
    path = save_image(tmp_path / 'a.jpg', np.full((16, 24, 3), (200, 100, 50), np.uint8), **options)
    np.testing.assert_allclose(
        images.read_image(path).pixels, np.broadcast_to(scale_pixels((200, 100, 50)), (16, 24, 3)), atol=0.03
    )


def test_content_decides_the_format_not_the_name(tmp_path):
    values = random_pixels()
    assert_pixels(images.read_image(save_image(tmp_path / 'photo.jpg', values, format='PNG')).pixels, values)


def test_black_and_white_are_the_ends_of_the_range(tmp_path):
    pixels = images.read_image(save_image(tmp_path / 'a.png', np.array([[0, 255]], np.uint8))).pixels
    assert pixels[0, 0, 0] == -1
    assert pixels[0, 1, 0] == 1


@pytest.mark.parametrize('name', ['a.png', 'a.bmp', 'a.tif', 'a.pgm', 'a.jpg'])
def test_greyscale(tmp_path, name):
    values = np.repeat(np.arange(0, 256, 17, dtype=np.uint8)[None], 16, axis=0).repeat(16, axis=1)
    photo = images.read_image(save_image(tmp_path / name, values, **({'quality': 100} if name.endswith('jpg') else {})))
    assert photo.grey
    np.testing.assert_allclose(photo.pixels, np.repeat(scale_pixels(values)[..., None], 3, axis=-1), atol=0.01)


@pytest.mark.parametrize('name', ['a.png', 'a.bmp', 'a.tif', 'a.pbm'])
def test_one_bit(tmp_path, name):
    values = np.array([[True, False, True], [False, False, True]])
    photo = images.read_image(save_image(tmp_path / name, values))
    assert photo.grey
    assert_pixels(photo.pixels, 255 * values[..., None])


def test_rgb_files_with_equal_channels_are_grey(tmp_path):
    values = np.repeat(RNG.integers(0, 256, (4, 5, 1), dtype=np.uint8), 3, axis=-1)
    assert images.read_image(save_image(tmp_path / 'a.png', values)).grey
    values[2, 3, 1] ^= 1
    assert not images.read_image(save_image(tmp_path / 'b.png', values)).grey


def test_grey_is_a_property_of_the_whole_file(tmp_path):
    values = np.full((4, 12, 3), 90, np.uint8)
    values[0, 0] = (255, 0, 0)
    assert not images.read_image(save_image(tmp_path / 'a.png', values), 4).grey


@pytest.mark.parametrize('name', ['a.png', 'a.bmp', 'a.tif'])
def test_palette(tmp_path, name):
    image = Image.new('P', (2, 1))
    image.putpalette([10, 20, 30, 200, 100, 0])
    image.putpixel((1, 0), 1)
    image.save(tmp_path / name)
    photo = images.read_image(tmp_path / name)
    assert not photo.grey
    assert_pixels(photo.pixels, [[(10, 20, 30), (200, 100, 0)]])


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
    assert_pixels(
        images.read_image(tmp_path / 'a.pnm').pixels, values if values.ndim == 3 else values[..., None], white
    )


# Transparency


def test_transparency_is_blended_with_white(tmp_path):
    values = np.array([[(255, 0, 0, 255), (255, 0, 0, 0), (0, 0, 0, 51)]], np.uint8)
    photo = images.read_image(save_image(tmp_path / 'a.png', values))
    assert_pixels(photo.pixels, [[(255, 0, 0), (255, 255, 255), (204, 204, 204)]])
    assert not photo.grey


def test_transparent_pixels_do_not_make_an_image_coloured(tmp_path):
    values = np.array([[(255, 0, 0, 0), (70, 70, 70, 255)]], np.uint8)
    assert images.read_image(save_image(tmp_path / 'a.png', values)).grey


def test_opaque_alpha_changes_nothing(tmp_path):
    values = random_pixels()
    opaque = np.concatenate([values, np.full((6, 9, 1), 255, np.uint8)], axis=-1)
    np.testing.assert_array_equal(
        images.read_image(save_image(tmp_path / 'a.png', opaque)).pixels,
        images.read_image(save_image(tmp_path / 'b.png', values)).pixels,
    )


@pytest.mark.parametrize('name', ['a.png', 'a.tif'])
def test_grey_with_alpha(tmp_path, name):
    photo = images.read_image(save_image(tmp_path / name, np.array([[(10, 255), (10, 0)]], np.uint8)))
    assert photo.grey
    assert_pixels(photo.pixels, [[[10], [255]]])


def test_palette_with_alpha_channel(tmp_path):
    values = np.array([[(200, 100, 0, 255), (200, 100, 0, 0)]], np.uint8)
    Image.fromarray(values).convert('PA').save(tmp_path / 'a.tif')
    with Image.open(tmp_path / 'a.tif') as image:
        assert image.mode == 'PA'
    assert_pixels(images.read_image(tmp_path / 'a.tif').pixels, [[(200, 100, 0), (255, 255, 255)]])


@pytest.mark.parametrize('transparency', [1, bytes([255, 0]), bytes([255, 51])])
def test_palette_with_transparency(tmp_path, transparency):
    image = Image.new('P', (2, 1))
    image.putpalette([10, 20, 30, 0, 0, 0])
    image.putpixel((1, 0), 1)
    image.save(tmp_path / 'a.png', transparency=transparency)
    expected = 204 if transparency == bytes([255, 51]) else 255
    assert_pixels(images.read_image(tmp_path / 'a.png').pixels, [[(10, 20, 30), (expected,) * 3]])


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
    assert_pixels(images.read_image(save_image(tmp_path / 'a.png', values, transparency=transparency)).pixels, expected)


@pytest.mark.parametrize(('depth', 'row'), [(2, b'\x60'), (4, b'\x12')])
def test_the_transparent_colour_has_the_depth_of_the_file(tmp_path, depth, row):
    path = write_raw_png(tmp_path / 'a.png', 2, 1, depth, 0, [row], (b'tRNS', b'\0\1'))
    assert_pixels(images.read_image(path).pixels, [[[255], [2 * 255 / (2**depth - 1)]]])


def test_the_transparent_colour_of_16_bits(tmp_path):
    grey = struct.pack('>2H', 1000, 1001)
    path = write_raw_png(tmp_path / 'grey.png', 2, 1, 16, 0, [grey], (b'tRNS', struct.pack('>H', 1000)))
    assert_pixels(images.read_image(path).pixels, [[[65535], [1001]]], 65535)
    rgb = struct.pack('>6H', 1000, 2000, 3000, 51400, 25700, 0)
    path = write_raw_png(tmp_path / 'rgb.png', 2, 1, 16, 2, [rgb], (b'tRNS', rgb[:6]))
    assert_pixels(images.read_image(path).pixels, [[(255, 255, 255), (200, 100, 0)]])


# Other depths and colour spaces


@pytest.mark.parametrize('name', ['a.png', 'a.tif', 'a.pgm'])
@pytest.mark.parametrize('size', [None, (4, 64)])
def test_16_bit_grey_keeps_its_precision(tmp_path, name, size):
    values = (20000 + np.arange(256, dtype=np.uint16).reshape(4, 64)).astype(np.uint16)
    photo = images.read_image(save_image(tmp_path / name, values), size)
    assert photo.grey
    assert_pixels(photo.pixels, values[..., None], 65535)
    assert len(np.unique(photo.pixels)) == 256  # 8 bits would leave 2


def test_16_bit_precision_survives_resizing(tmp_path):
    values = np.broadcast_to(np.uint16(20000) + np.arange(64, dtype=np.uint16), (8, 64))
    pixels = images.read_image(save_image(tmp_path / 'a.png', np.ascontiguousarray(values)), (4, 32)).pixels
    np.testing.assert_allclose(pixels[2, 4:-4, 0], scale_pixels(20000.5 + 2 * np.arange(32), 65535)[4:-4], atol=2e-6)


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
    assert_pixels(images.read_image(tiff(tmp_path / 'a.tif', values, {})).pixels, values[..., None], 65535)
    turned = images.read_image(tiff(tmp_path / 'b.tif', values, {274: 6})).pixels
    assert_pixels(turned, np.rot90(values, -1)[..., None], 65535)


def test_16_bit_tiff_with_white_as_zero(tmp_path):
    values = np.array([[0, 1000, 65535]], '<u2')
    assert_pixels(
        images.read_image(tiff(tmp_path / 'a.tif', values, {262: 0})).pixels, 65535.0 - values[..., None], 65535
    )


def test_12_bit_tiff(tmp_path):
    packed = np.array([[0xFF, 0xF0, 0x01]], np.uint8)  # 4095, 1
    path = tiff(tmp_path / 'a.tif', packed, {256: 2, 258: 12})
    assert_pixels(images.read_image(path).pixels, [[[4095], [1]]], 4095)


def test_16_bit_colour_is_read_with_8_bits(tmp_path):
    path = write_raw_png(tmp_path / 'a.png', 1, 1, 16, 2, [struct.pack('>3H', 65535, 25700, 300)])
    np.testing.assert_allclose(
        images.read_image(path).pixels[0, 0], scale_pixels((65535, 25700, 300), 65535), atol=2 / 255
    )


def test_float_in_zero_to_one(tmp_path):
    values = np.array([[0, 0.25, 1]], np.float32)
    photo = images.read_image(save_image(tmp_path / 'a.tif', values))
    assert photo.grey
    assert_pixels(photo.pixels, values[..., None], 1)


@pytest.mark.parametrize('values', [[0, 255], [-1, 1], [0.5, np.nan], [0, np.inf]])
def test_float_of_another_range_is_refused(tmp_path, values):
    path = save_image(tmp_path / 'a.tif', np.array([values], np.float32))
    with pytest.raises(ValueError, match=r'a\.tif holds floats from .* to .*, \[0, 1\] is wanted: rescale'):
        images.read_image(path)


def test_32_bit_integers_are_refused(tmp_path):
    path = save_image(tmp_path / 'a.tif', np.array([[1, 2]], np.int32))
    with pytest.raises(ValueError, match=r'a\.tif holds signed or 32-bit integers.*convert it'):
        images.read_image(path)


def test_lab_is_refused(tmp_path):
    Image.new('LAB', (2, 2)).save(tmp_path / 'a.tif')
    with pytest.raises(ValueError, match=r'a\.tif holds Lab colours.*convert it'):
        images.read_image(tmp_path / 'a.tif')


@pytest.mark.parametrize('name', ['a.jpg', 'a.tif'])
def test_cmyk(tmp_path, name):
    Image.new('CMYK', (16, 16), (0, 255, 255, 0)).save(tmp_path / name, **({'quality': 95} if name == 'a.jpg' else {}))
    with Image.open(tmp_path / name) as image:
        assert image.mode == 'CMYK'
    photo = images.read_image(tmp_path / name)
    np.testing.assert_allclose(photo.pixels, np.broadcast_to(scale_pixels((255, 0, 0)), (16, 16, 3)), atol=0.03)
    assert not photo.grey


def test_a_colour_profile_changes_nothing(tmp_path):
    values = random_pixels()
    assert_pixels(
        images.read_image(save_image(tmp_path / 'a.png', values, icc_profile=b'no profile at all')).pixels, values
    )


# Orientation, animation


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
    values[:8, :8] = 220  # a marker at the top left of the stored array
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {'a.webp': {'lossless': True}, 'a.jpg': {'quality': 95}}.get(name, {})
    pixels = images.read_image(save_image(tmp_path / name, values, exif=exif, **options)).pixels
    expected = scale_pixels(TURNS[orientation](values))
    assert pixels.shape == expected.shape
    np.testing.assert_allclose(pixels, expected, atol=0.05)


def test_orientation_6_turns_clockwise(tmp_path):
    values = np.zeros((4, 6), np.uint8)
    values[0, 0] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # the viewer turns it clockwise
    pixels = images.read_image(save_image(tmp_path / 'a.png', values, exif=exif)).pixels
    assert pixels.shape == (6, 4, 3)
    assert np.argwhere(pixels[..., 0] > 0).tolist() == [[0, 3]]


@pytest.mark.parametrize('exif', [b'Exif\0\0II*\0\xff\xff\xff\x7f', b'MM\0*\0', b'no such notes'])
@pytest.mark.parametrize('name', ['a.png', 'a.webp', 'a.jpg'])
def test_damaged_exif_is_ignored(tmp_path, name, exif):
    path = save_image(tmp_path / name, np.full((16, 16, 3), 200, np.uint8), exif=exif)
    np.testing.assert_allclose(images.read_image(path).pixels, scale_pixels(200), atol=0.02)


def test_orientation_is_applied_beside_a_damaged_tag(tmp_path):
    entries = struct.pack('>HHII', 0x0112, 3, 1, 6 << 16) + struct.pack('>HHII', 0x011A, 2, 4, 0x61626300)
    exif = b'Exif\0\0MM\0*' + struct.pack('>IH', 8, 2) + entries + bytes(4)  # a resolution that is text
    assert images.read_image(save_image(tmp_path / 'a.jpg', random_pixels(16, 32), exif=exif)).pixels.shape == (
        32,
        16,
        3,
    )


@pytest.mark.parametrize('name', ['a.png', 'a.webp', 'a.tif'])
def test_the_first_frame_is_read(tmp_path, name):
    first, second = random_pixels(8, 8), random_pixels(8, 8)
    options = {'lossless': True} if name == 'a.webp' else {}
    save_image(tmp_path / name, first, save_all=True, append_images=[Image.fromarray(second)], **options)
    with Image.open(tmp_path / name) as image:
        assert image.n_frames == 2
    assert_pixels(images.read_image(tmp_path / name).pixels, first)
