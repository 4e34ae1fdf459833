"""Cropping and resizing to the size of a network, and writing PNG files."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from mgan_jax.data import images
from tests.image_files import RNG, assert_pixels, random_pixels, save_image, scale_pixels


def test_an_image_of_this_size_is_not_resampled(tmp_path):
    values = random_pixels(5, 7)
    path = save_image(tmp_path / 'a.png', values)
    np.testing.assert_array_equal(images.read_image(path, (5, 7)).pixels, images.read_image(path).pixels)


@pytest.mark.parametrize(('height', 'width', 'size'), [(9, 5, (5, 5)), (5, 9, (5, 5)), (8, 9, (4, 9)), (8, 9, (8, 2))])
def test_the_crop_is_the_centre(tmp_path, height, width, size):
    values = random_pixels(height, width)
    top, left = (height - size[0]) // 2, (width - size[1]) // 2
    assert_pixels(
        images.read_image(save_image(tmp_path / 'a.png', values), size).pixels,
        values[top : top + size[0], left : left + size[1]],
    )


def test_an_integer_size_is_a_square(tmp_path):
    assert images.read_image(save_image(tmp_path / 'a.png', random_pixels(7, 13)), 4).pixels.shape == (4, 4, 3)


@pytest.mark.parametrize('size', [(64, 48), (16, 12), (33, 25)])
def test_a_linear_ramp_stays_linear(tmp_path, size):
    ramp = np.broadcast_to(np.linspace(10000, 50000, 128).astype(np.uint16), (160, 128))
    pixels = images.read_image(save_image(tmp_path / 'a.png', np.ascontiguousarray(ramp)), size).pixels[..., 0]
    width, crop_width = size[1], images.crop_center(ramp, size).shape[1]
    centres = (128 - crop_width) // 2 + (np.arange(width) + 0.5) * crop_width / width - 0.5
    expected = scale_pixels(10000 + 40000 * centres / 127, 65535)
    inner = slice(3, -3)  # the filter reaches over three pixels
    np.testing.assert_allclose(pixels[size[0] // 2, inner], expected[inner], atol=2e-4)


def test_shrinking_is_antialiased(tmp_path):
    board = (np.indices((64, 64)).sum(axis=0) % 2 * 255).astype(np.uint8)
    np.testing.assert_allclose(images.read_image(save_image(tmp_path / 'a.png', board), 8).pixels, 0, atol=0.02)


def test_resizing_stays_in_the_range(tmp_path):
    edge = np.zeros((16, 16), np.uint8)
    edge[:, 8:] = 255
    pixels = images.read_image(save_image(tmp_path / 'a.png', edge), 40).pixels
    assert pixels.min() == -1
    assert pixels.max() == 1


@pytest.mark.parametrize('shape', [(1, 1), (1, 50), (50, 1), (3, 1000)])
def test_extreme_shapes(tmp_path, shape):
    photo = images.read_image(save_image(tmp_path / 'a.png', np.full(shape, 60, np.uint8)), (8, 4))
    np.testing.assert_allclose(photo.pixels, np.broadcast_to(scale_pixels(60), (8, 4, 3)), atol=1e-6)


def test_a_size_of_zero_is_refused(tmp_path):
    with pytest.raises(ValueError, match='0 x 4 pixels'):
        images.read_image(save_image(tmp_path / 'a.png', random_pixels()), (0, 4))


# Writing


def test_to_uint8_inverts_reading():
    np.testing.assert_array_equal(images.to_uint8(scale_pixels(np.arange(256))), np.arange(256))


def test_to_uint8_rounds_and_clips():
    stored = np.array([99.4, 99.6, -20, 300, np.inf])
    np.testing.assert_array_equal(images.to_uint8(scale_pixels(stored)), [99, 100, 0, 255, 255])


@given(st.floats(-1, 1, width=32))
def test_to_uint8_is_off_by_half_a_step_at_most(value):
    assert abs(scale_pixels(images.to_uint8(np.float32(value))) - value) <= 1.0001 / 255


def test_to_uint8_refuses_integers_and_nan():
    with pytest.raises(ValueError, match='dtype uint8, floats'):
        images.to_uint8(np.zeros((2, 2, 3), np.uint8))
    with pytest.raises(ValueError, match='NaN'):
        images.to_uint8(np.array([0, np.nan]))


@pytest.mark.parametrize('channels', [1, 3])
def test_write_png(tmp_path, channels):
    values = RNG.integers(0, 256, (5, 4, channels), dtype=np.uint8)
    images.write_png(tmp_path / 'ä.png', scale_pixels(values))
    with Image.open(tmp_path / 'ä.png') as image:
        assert (image.format, image.mode) == ('PNG', 'L' if channels == 1 else 'RGB')
        np.testing.assert_array_equal(np.asarray(image).reshape(values.shape), values)
    assert_pixels(images.read_image(tmp_path / 'ä.png').pixels, values)


@pytest.mark.parametrize('shape', [(4, 4), (4, 4, 2), (1, 4, 4, 3), (0, 4, 3)])
def test_write_png_refuses_other_shapes(tmp_path, shape):
    with pytest.raises(ValueError, match=r'\[H W 3\] or \[H W 1\] is wanted'):
        images.write_png(tmp_path / 'a.png', np.zeros(shape, np.float32))
    assert not (tmp_path / 'a.png').exists()


def test_write_png_refuses_nan(tmp_path):
    with pytest.raises(ValueError, match='NaN'):
        images.write_png(tmp_path / 'a.png', np.full((2, 2, 3), np.nan))
    assert not (tmp_path / 'a.png').exists()
