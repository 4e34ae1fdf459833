"""Strips of small pictures: their places, their size, their bytes."""

import io

import numpy as np
import pytest
from PIL import Image

from mgan_jax.results import thumbnails

RED, GREEN, BLUE = np.eye(3, dtype=np.float32) * 2 - 1


def flat(colour, size):
    return np.broadcast_to(colour, (*size, 3)).astype(np.float32)


def opened(content):
    with Image.open(io.BytesIO(content)) as picture:
        assert picture.format == 'WEBP'
        return np.asarray(picture.convert('RGB')).astype(int)


def test_side_by_side_in_their_order_at_one_size():
    pictures = {
        'target': flat(BLUE, (64, 32)),
        'inversion': flat(RED, (64, 32)),
        'input': flat(RED, (16, 8)),  # of low resolution
        'result': flat(GREEN, (64, 32)),
    }
    strip = opened(thumbnails.make_thumbnail(pictures))
    assert strip.shape == (64, 96, 3)
    for place, colour in enumerate([RED, GREEN, BLUE]):
        np.testing.assert_allclose(strip[32, 32 * place + 16], (colour + 1) * 127.5, atol=25)


def test_large_ones_are_shrunk_and_two_will_do():
    strip = opened(thumbnails.make_thumbnail({'input': flat(RED, (512, 256)), 'result': flat(BLUE, (512, 256))}))
    assert strip.shape == (128, 128, 3)


def test_few_bytes_even_of_noise():
    rng = np.random.default_rng(0)
    pictures = {title: rng.uniform(-1, 1, (256, 256, 3)).astype(np.float32) for title in thumbnails.TITLES}
    smooth = {title: flat(RED, (256, 256)) for title in thumbnails.TITLES}
    assert len(thumbnails.make_thumbnail(smooth)) < 1000
    assert len(thumbnails.make_thumbnail(pictures)) <= 3 * thumbnails.BYTES


def file(colour, size, form):
    content = io.BytesIO()
    Image.fromarray(((flat(colour, size) + 1) * 127.5).astype(np.uint8)).save(content, format=form)
    return content.getvalue()


def test_of_files():
    strip = opened(thumbnails.thumbnail_from_files([file(RED, (200, 100), 'PNG'), file(BLUE, (200, 100), 'PNG')]))
    assert strip.shape == (128, 128, 3)
    np.testing.assert_allclose(strip[64, 96], [0, 0, 255], atol=25)


@pytest.mark.parametrize(
    'contents', [[], [b'no picture'], [b''], [file(RED, (9, 9), 'BMP')], [file(RED, (9, 9), 'PNG')[:50]]]
)
def test_none_of_files_that_cannot_be_read(contents):
    assert thumbnails.thumbnail_from_files(contents) is None
