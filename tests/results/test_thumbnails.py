"""Thumbnails: order, size and number of bytes."""

import io

import numpy as np
import pytest
from PIL import Image

from mgan_jax.results import thumbnails

RED, GREEN, BLUE = np.eye(3, dtype=np.float32) * 2 - 1


def plain_image(colour, size):
    return np.broadcast_to(colour, (*size, 3)).astype(np.float32)


def decode(content):
    with Image.open(io.BytesIO(content)) as picture:
        assert picture.format == 'WEBP'
        return np.asarray(picture.convert('RGB')).astype(int)


def test_pictures_are_joined_in_order_at_one_size():
    pictures = {
        'target': plain_image(BLUE, (64, 32)),
        'inversion': plain_image(RED, (64, 32)),
        'input': plain_image(RED, (16, 8)),  # a low-resolution input
        'result': plain_image(GREEN, (64, 32)),
    }
    strip = decode(thumbnails.make_thumbnail(pictures))
    assert strip.shape == (64, 96, 3)
    for index, colour in enumerate([RED, GREEN, BLUE]):
        np.testing.assert_allclose(strip[32, 32 * index + 16], (colour + 1) * 127.5, atol=25)


def test_large_pictures_are_shrunk_and_the_target_is_optional():
    strip = decode(
        thumbnails.make_thumbnail({'input': plain_image(RED, (512, 256)), 'result': plain_image(BLUE, (512, 256))})
    )
    assert strip.shape == (128, 128, 3)


def test_thumbnails_of_noise_stay_within_the_limit():
    rng = np.random.default_rng(0)
    pictures = {title: rng.uniform(-1, 1, (256, 256, 3)).astype(np.float32) for title in thumbnails.TITLES}
    smooth = {title: plain_image(RED, (256, 256)) for title in thumbnails.TITLES}
    assert len(thumbnails.make_thumbnail(smooth)) < 1000
    assert len(thumbnails.make_thumbnail(pictures)) <= 3 * thumbnails.MAX_BYTES


def encode_file(colour, size, form):
    content = io.BytesIO()
    Image.fromarray(((plain_image(colour, size) + 1) * 127.5).astype(np.uint8)).save(content, format=form)
    return content.getvalue()


def test_a_thumbnail_of_files():
    strip = decode(
        thumbnails.make_thumbnail_from_files(
            [encode_file(RED, (200, 100), 'PNG'), encode_file(BLUE, (200, 100), 'PNG')]
        )
    )
    assert strip.shape == (128, 128, 3)
    np.testing.assert_allclose(strip[64, 96], [0, 0, 255], atol=25)


@pytest.mark.parametrize(
    'contents', [[], [b'no picture'], [b''], [encode_file(RED, (9, 9), 'BMP')], [encode_file(RED, (9, 9), 'PNG')[:50]]]
)
def test_unreadable_files_have_no_thumbnail(contents):
    assert thumbnails.make_thumbnail_from_files(contents) is None
