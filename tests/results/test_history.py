"""Curves and frames of an image: intervals, history.csv, animations, videos, and the JSON of checkpoints."""

import csv
import io
import json
import subprocess

import numpy as np
import pytest
from PIL import Image

from mgan_jax.results import history

RED, BLUE = np.array([1, -1, -1], np.float32), np.array([-1, -1, 1], np.float32)


def plain_image(colour, size=(8, 6)):
    return np.broadcast_to(colour, (*size, 3))


def make_frames(count, size=(8, 6)):
    """Returns frames that turn from red to blue."""
    shares = np.linspace(0, 1, count)
    return tuple(
        (n + 1, history.make_frame(plain_image((1 - s) * RED + s * BLUE, size), 20 + s)) for n, s in enumerate(shares)
    )


@pytest.mark.parametrize(
    'steps, every, most, expected',
    [(300, 5, 60, 5), (3000, 5, 60, 50), (301, 5, 60, 10), (3, 5, 60, 5), (300, 0, 60, 0), (7, 1, 500, 1), (1001, 1, 500, 3)],
)  # fmt: skip
def test_the_interval_is_the_smallest_multiple_that_fits(steps, every, most, expected):
    interval = history.choose_interval(steps, every, most)
    assert interval == expected
    if every:
        assert interval % every == 0 and steps // interval <= most
        assert interval == every or steps / (interval - every) > most


@pytest.mark.parametrize('size, expected', [((1024, 512), (256, 128)), ((16, 16), (16, 16)), ((1, 700), (1, 256))])
def test_frames_are_small_and_never_enlarged(size, expected):
    for channels in (1, 3):
        content = history.make_frame(np.zeros((*size, channels), np.float32), None).webp
        with Image.open(io.BytesIO(content)) as picture:
            assert (picture.format, picture.size[::-1]) == ('WEBP', expected)


def test_pixels_that_are_not_finite_are_grey():
    pixels = np.full((8, 8, 3), np.nan, np.float32)
    frame = history.make_frame(pixels, float('inf'))
    assert frame.psnr is None
    with Image.open(io.BytesIO(frame.webp)) as picture:
        assert abs(int(np.asarray(picture)[0, 0, 0]) - 128) < 4


def test_the_content_of_history_csv():
    frames = (
        (10, history.Frame(21.23456, b'')),
        (20, history.Frame(None, b'')),
        (25, history.Frame(22.0, b'')),
    )
    content = history.format_history([(0, 0.5), (10, 0.25), (20, 0.125)], frames)
    assert content == b'step,loss,psnr\n0,0.5,\n10,0.25,21.2346\n20,0.125,\n25,,22.0\n'
    assert history.parse_history(content) == {'loss': {0: 0.5, 10: 0.25, 20: 0.125}, 'psnr': {10: 21.2346, 25: 22.0}}


@pytest.mark.parametrize('content', [b'', b'\xff\xfe', b'a,b\n1,2\n', b'step,loss,psnr\nx,1,2\n1,nan,inf\n,,\n'])
def test_a_damaged_history_has_no_curves(content):
    assert history.parse_history(content) == {'loss': {}, 'psnr': {}}


def test_history_is_read_by_the_csv_module():
    content = history.format_history([(step, 1 / (step + 1)) for step in range(300)], make_frames(5))
    rows = list(csv.DictReader(io.StringIO(content.decode())))
    assert [int(row['step']) for row in rows] == list(range(300))
    assert [row['psnr'] != '' for row in rows[:7]] == [False, True, True, True, True, True, False]


def test_the_animation_shows_all_frames_and_the_last_one_longer():
    with Image.open(io.BytesIO(history.encode_animation(make_frames(12)))) as picture:
        assert (picture.format, picture.n_frames, picture.size, picture.info['loop']) == ('WEBP', 12, (6, 8), 0)
        durations = []
        for number in range(12):
            picture.seek(number)
            picture.load()
            durations.append(picture.info['duration'])
            colour = np.asarray(picture.convert('RGB'))[4, 3].astype(int)
            if number in (0, 11):
                assert np.abs(colour - ([255, 0, 0], [0, 0, 255])[number == 11]).max() < 30
    assert durations == [333] * 11 + [history.LAST_FRAME]


def test_an_animation_of_one_frame():
    with Image.open(io.BytesIO(history.encode_animation(make_frames(1)))) as picture:
        assert picture.size == (6, 8)


def test_the_video_has_all_frames():
    """Of an odd size, which ffmpeg pads."""
    if history.shutil.which('ffmpeg') is None or (video := history.encode_video(make_frames(6, (33, 31)))) is None:
        pytest.skip('no ffmpeg that writes MP4')
    probe = [history.shutil.which('ffmpeg'), '-v', 'error', '-i', '-', '-f', 'rawvideo', '-pix_fmt', 'rgb24', '-']
    raw = subprocess.run(probe, input=video, capture_output=True, check=True).stdout
    frames = np.frombuffer(raw, np.uint8).reshape(-1, 34, 32, 3)
    assert len(frames) == 6
    assert frames[0, 16, 16, 0] > 200 > 60 > frames[0, 16, 16, 2] and frames[-1, 16, 16, 2] > 200


def test_no_video_without_ffmpeg(monkeypatch, tmp_path):
    monkeypatch.setenv('PATH', str(tmp_path))
    assert history.encode_video(make_frames(2)) is None
    assert history.make_history_files([(0, 1.0)], make_frames(2)).keys() == {'history.csv', 'history.webp'}
    (tmp_path / 'ffmpeg').write_text('#!/bin/sh\nexit 1\n')
    (tmp_path / 'ffmpeg').chmod(0o755)
    assert history.encode_video(make_frames(2)) is None


def test_without_frames_there_is_only_history_csv():
    assert history.make_history_files([(0, 1.0)], ()) == {'history.csv': b'step,loss,psnr\n0,1.0,\n'}


def test_frames_survive_json():
    frames = (*make_frames(3), (9, history.Frame(None, b'\x00\xff')))
    assert history.unpack_frames(json.loads(json.dumps(history.pack_frames(frames)))) == frames
