"""Strips of frames as a picture and as an animation."""

import io

import numpy as np
import pytest
from PIL import Image, ImageSequence

from mgan_jax.results import history, strips


def make_frame(colour, height=12, width=16):
    return history.make_frame(np.broadcast_to(np.float32(colour) / 127.5 - 1, (height, width, 3)), None)


def make_row(count, green=0, **size):
    """Returns frames that turn from black to red."""
    return [make_frame((255 * place / (count - 1), green, 0), **size) for place in range(count)]


def decode(content):
    return Image.open(io.BytesIO(content))


@pytest.mark.parametrize('count, shown', [(2, 2), (7, 7), (13, 7), (60, 7)])
def test_a_strip_has_evenly_spaced_frames_with_both_ends(count, shown):
    picture = decode(strips.draw_strip(['red'], [f'{place}' for place in range(count)], [make_row(count)])).convert(
        'RGB'
    )
    top = picture.height - 12
    left = picture.width - 16 * shown
    reds = [picture.getpixel((left + 16 * place + 8, top + 6))[0] for place in range(shown)]
    np.testing.assert_allclose(reds, np.linspace(0, 255, shown), atol=8)
    assert left > 0 and top > 0


def test_rows_are_labelled_and_below_each_other():
    picture = decode(
        strips.draw_strip(['a', 'a longer name'], ['-1', '+1'], [make_row(2), make_row(2, green=255)])
    ).convert('RGB')
    left, top = picture.width - 2 * 16, picture.height - 2 * 12
    assert picture.getpixel((left + 8, top + 6))[1] < 30 < 220 < picture.getpixel((left + 8, top + 18))[1]
    pixels = np.asarray(picture.convert('L')).astype(int)
    assert pixels[top:, :left].min() < 100 and pixels[:top, left:].min() < 100  # text
    assert left > 50


def test_large_frames_are_shrunk_for_the_strip():
    picture = decode(strips.draw_strip([''], ['0', '1'], [make_row(2, height=100, width=200)]))
    assert picture.width <= 2 * strips.MAX_SIDE + 20 and picture.height <= strips.MAX_SIDE // 2 + 30


def test_the_animation_plays_forwards_and_backwards(monkeypatch):
    monkeypatch.setattr(history, 'encode_video', lambda frames, duration: None)
    files = strips.make_strip_files('edit', ['red', 'green'], list('0123'), [make_row(4), make_row(4, green=255)])
    assert files.keys() == {'edit.png', 'edit.webp'}
    frames = [np.asarray(part.convert('RGB'))[6, 8] for part in ImageSequence.Iterator(decode(files['edit.webp']))]
    reds = [0, 85, 170, 255, 170, 85]
    np.testing.assert_allclose([colour[0] for colour in frames], reds + reds, atol=25)
    np.testing.assert_allclose([colour[1] for colour in frames], [0] * 6 + [255] * 6, atol=25)


def test_a_video_is_written_with_ffmpeg():
    if history.encode_video([(0, make_frame((0, 0, 0)))]) is None:
        pytest.skip('there is no ffmpeg')
    files = strips.make_strip_files('mix', [''], ['0', '1'], [make_row(2)])
    assert files['mix.mp4'][4:8] == b'ftyp'
