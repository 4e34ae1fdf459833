"""Hole masks from descriptions and from files, where white is the hole."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from mgan_jax.data import masks
from tests.image_files import save_image


def box(size, top, left, height, width):
    mask = np.zeros((*size, 1), np.float32)
    mask[top : top + height, left : left + width] = 1
    return mask


def parse(spec, size=(16, 24), seed=0):
    mask = masks.parse_mask(spec, size, seed)
    assert mask.dtype == np.float32
    assert mask.shape == (*size, 1)
    assert set(np.unique(mask)) == {0, 1}
    return mask


@pytest.mark.parametrize(
    ('spec', 'size', 'expected'),
    [
        ('center', (256, 256), (96, 96, 64, 64)),  # the paper's
        ('center', (16, 24), (6, 9, 4, 6)),
        ('center:0.5', (16, 24), (4, 6, 8, 12)),
        (' center:.5 ', (16, 24), (4, 6, 8, 12)),
        ('center:0.001', (5, 5), (2, 2, 1, 1)),
        ('box:0,0,1,1', (16, 24), (0, 0, 1, 1)),
        ('box: 3, 5, 13, 19', (16, 24), (3, 5, 13, 19)),
        ('box:0,0,16,23', (16, 24), (0, 0, 16, 23)),
    ],
)
def test_boxes(spec, size, expected):
    np.testing.assert_array_equal(parse(spec, size), box(size, *expected))


@given(st.floats(0.01, 0.99), st.integers(0, 2**32))
def test_random_has_the_exact_share(share, seed):
    assert parse(f'random:{share}', (10, 20), seed).sum() == round(share * 200)


def test_random_depends_only_on_the_seed():
    first = parse('random:0.3', (32, 32), 7)
    np.testing.assert_array_equal(first, parse('random:0.3', (32, 32), 7))
    assert (first != parse('random:0.3', (32, 32), 8)).any()


def test_random_is_spread_over_the_image():
    quarters = parse('random:0.5', (64, 64)).reshape(2, 32, 2, 32).mean(axis=(1, 3))
    np.testing.assert_allclose(quarters, 0.5, atol=0.07)


def test_center_does_not_depend_on_the_seed():
    np.testing.assert_array_equal(parse('center', seed=1), parse('center', seed=2))


@pytest.mark.parametrize(
    ('spec', 'message'),
    [
        ('', 'neither a known form nor a file that exists: give .center., .*random:SHARE'),
        ('middle', 'neither a known form nor a file that exists'),
        ('none.png', 'none.png.* neither a known form nor a file that exists'),
        ('center:', 'does not hold a number between 0 and 1 .exclusive.: give one, as in center:0.5'),
        ('center:half', 'number between 0 and 1'),
        ('center:0', 'number between 0 and 1'),
        ('center:1', 'number between 0 and 1'),
        ('center:nan', 'number between 0 and 1'),
        ('random', 'as in random:0.5'),
        ('random:50', 'number between 0 and 1'),
        ('random:-0.5', 'number between 0 and 1'),
        ('box', 'four whole numbers: give box:TOP,LEFT,HEIGHT,WIDTH'),
        ('box:1,2,3', 'four whole numbers'),
        ('box:1,2,3,4,5', 'four whole numbers'),
        ('box:1,2,3,4.5', 'four whole numbers'),
        ('box:-1,0,4,4', 'inside the image of 16 x 24 pixels'),
        ('box:0,0,17,4', 'inside the image'),
        ('box:0,21,4,4', 'inside the image'),
        ('box:0,0,0,4', 'at least one pixel'),
        ('box:0,0,16,24', 'leaves nothing known at 16 x 24 pixels'),
        ('random:0.0001', 'has no hole at 16 x 24 pixels'),
        ('random:0.9999', 'leaves nothing known'),
        ('center:0.999', 'leaves nothing known'),
    ],
)
def test_unusable_masks_are_refused_in_one_sentence(tmp_path, monkeypatch, spec, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=message) as caught:
        parse(spec)
    assert '\n' not in str(caught.value)


# Files


HOLE = box((16, 24), 2, 3, 5, 7)
GREY = np.uint8(255) * HOLE[..., 0].astype(np.uint8)


@pytest.mark.parametrize('mode', ['1', 'L', 'RGB', 'RGBA', 'P', 'LA'])
def test_file_modes(tmp_path, mode):
    np.testing.assert_array_equal(parse(save_image(tmp_path / 'a.png', GREY, mode)), HOLE)


@pytest.mark.parametrize('suffix', ['png', 'bmp', 'tif', 'webp', 'pgm', 'jpg'])
def test_file_formats(tmp_path, suffix):
    np.testing.assert_array_equal(parse(save_image(tmp_path / f'a.{suffix}', GREY)), HOLE)


def test_16_bit_file(tmp_path):
    np.testing.assert_array_equal(parse(save_image(tmp_path / 'a.png', GREY.astype(np.uint16) * 257)), HOLE)


def test_half_is_the_threshold(tmp_path):
    values = np.where(GREY > 0, 128, 127).astype(np.uint8)
    np.testing.assert_array_equal(parse(save_image(tmp_path / 'a.png', values)), HOLE)


def test_path_objects_and_files_named_like_a_form(tmp_path, monkeypatch):
    save_image(tmp_path / 'a.png', GREY)
    np.testing.assert_array_equal(parse(tmp_path / 'a.png'), HOLE)
    Image.fromarray(GREY).save(tmp_path / 'center', format='PNG')
    monkeypatch.chdir(tmp_path)
    assert (parse('center') != HOLE).any()
    np.testing.assert_array_equal(parse('./center'), HOLE)


@pytest.mark.parametrize('factor', [2, 5])
def test_larger_and_smaller_files_are_resized(tmp_path, factor):
    big = np.kron(GREY, np.ones((factor, factor), np.uint8))
    np.testing.assert_array_equal(parse(save_image(tmp_path / 'a.png', big)), HOLE)
    enlarged = parse(save_image(tmp_path / 'b.png', GREY), (16 * factor, 24 * factor))
    assert abs(enlarged.mean() - HOLE.mean()) < 0.01


def test_files_of_another_shape_are_cropped_at_the_centre(tmp_path):
    wide = np.pad(GREY, ((0, 0), (10, 10)), constant_values=255)
    np.testing.assert_array_equal(parse(save_image(tmp_path / 'a.png', wide)), HOLE)


def layer(colour_shown, alpha_shown, colour_elsewhere=(0, 0, 0), alpha_elsewhere=0):
    inside, outside = (*colour_shown, alpha_shown), (*colour_elsewhere, alpha_elsewhere)
    return np.where(HOLE > 0, np.array(inside, np.uint8), np.array(outside, np.uint8))


@pytest.mark.parametrize(
    'values',
    [
        layer((255, 255, 255), 255, (0, 0, 0), 255),  # opaque everywhere
        layer((255, 255, 255), 255),  # white strokes
        layer((0, 0, 0), 255, (255, 255, 255)),  # black strokes
        layer((200, 0, 0), 255),  # red strokes
        layer((0, 0, 0), 255),  # one colour everywhere: alpha decides
        layer((255, 255, 255), 200, (0, 0, 0), 255),  # not quite opaque
    ],
)
def test_alpha(tmp_path, values):
    np.testing.assert_array_equal(parse(save_image(tmp_path / 'a.png', values)), HOLE)


def test_transparent_white_is_known_beside_other_colours(tmp_path):
    values = layer((255, 255, 255), 255)
    values[0, 0] = (255, 255, 255, 0)
    values[15, 23] = (0, 0, 0, 255)
    np.testing.assert_array_equal(parse(save_image(tmp_path / 'a.png', values)), HOLE)


@pytest.mark.parametrize(
    ('values', 'message'),
    [
        (np.zeros((16, 24), np.uint8), 'a.png.* has no hole at 16 x 24 pixels: mark one, in white'),
        (np.full((16, 24), 255, np.uint8), 'a.png.* leaves nothing known at 16 x 24 pixels'),
        (np.zeros((16, 24, 4), np.uint8), 'has no hole'),
        (np.full((16, 24, 4), 255, np.uint8), 'leaves nothing known'),
    ],
)
def test_files_without_a_hole_or_without_anything_else_are_refused(tmp_path, values, message):
    with pytest.raises(ValueError, match=message):
        parse(save_image(tmp_path / 'a.png', values))


def test_a_hole_that_vanishes_by_shrinking_is_refused(tmp_path):
    values = np.zeros((160, 240), np.uint8)
    values[80, 120] = 255
    with pytest.raises(ValueError, match='has no hole at 16 x 24 pixels'):
        parse(save_image(tmp_path / 'a.png', values))


def test_files_that_are_no_images_are_refused(tmp_path):
    (tmp_path / 'a.png').write_text('words')
    with pytest.raises(ValueError, match=r'a\.png looks like a text file'):
        parse(str(tmp_path / 'a.png'))
    with pytest.raises(ValueError, match='is no file'):
        parse(str(tmp_path))
