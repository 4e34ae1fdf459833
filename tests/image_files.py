"""Image files for the tests, most by Pillow, some byte by byte."""

import struct
import zlib

import numpy as np
from PIL import Image

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
