"""Writes image files for tests, most with Pillow, some byte by byte, and compares pixels."""

import struct
import zlib

import numpy as np
from PIL import Image

RNG = np.random.default_rng(0)


def scale_pixels(values, white=255):
    """Scales stored values, 0 to `white`, to [-1, 1]."""
    return np.asarray(values, np.float32) / (white / 2) - 1


def assert_pixels(pixels, values, white=255):
    """Asserts that pixels in [-1, 1] equal stored values, broadcast."""
    np.testing.assert_allclose(pixels, np.broadcast_to(scale_pixels(values, white), pixels.shape), atol=2e-7)


def random_pixels(height=6, width=9):
    """Returns uint8 [H W 3]."""
    return RNG.integers(0, 256, (height, width, 3), dtype=np.uint8)


def save_image(path, array, mode=None, **options):
    """Writes an array with Pillow, converted to `mode` if it is given. Returns `path`."""
    image = Image.fromarray(array)
    (image.convert(mode) if mode else image).save(path, **options)
    return path


def write_raw_png(path, width, height, depth, colour_type, rows, *extra):
    """Writes a PNG of a kind that Pillow does not write. rows: bytes. extra: (name, data) of further chunks."""

    def chunk(name, data):
        return struct.pack('>I', len(data)) + name + data + struct.pack('>I', zlib.crc32(name + data))

    header = struct.pack('>IIBBBBB', width, height, depth, colour_type, 0, 0, 0)
    data = zlib.compress(b''.join(b'\0' + row for row in rows))
    chunks = [chunk(b'IHDR', header), *(chunk(*item) for item in extra), chunk(b'IDAT', data), chunk(b'IEND', b'')]
    path.write_bytes(b'\x89PNG\r\n\x1a\n' + b''.join(chunks))
    return path
