"""The optimisation of an image over its steps: curves of loss and PSNR, and frames as an animation or a video.

Sizes are bounded for any number of steps: at most MAX_LOSSES losses and FRAMES frames, each at most MAX_SIDE pixels a side
and compressed. All functions but `encode_video` are pure.
"""

import base64
import csv
import io
import math
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from mgan_jax.data import images
from mgan_jax.settings import fields

MAX_LOSSES, MAX_SIDE = 500, 256
FRAMES = fields.FRAMES
WEBP_QUALITY = 85
DURATION, LAST_FRAME = 4000, 1500  # milliseconds: of an animation without its last frame, and of its last frame


class Frame(NamedTuple):
    """An image at one step. psnr: in dB, None without a target. webp: the content of a WebP file."""

    psnr: float | None
    webp: bytes


Frames = Sequence[tuple[int, Frame]]  # (number of steps done, frame), in ascending order


def choose_interval(num_steps: int, every: int, most: int) -> int:
    """Returns the smallest multiple of `every` that has at most `most` multiples up to `num_steps`; 0 if `every` is 0."""
    return every * max(1, math.ceil(num_steps / (every * most))) if every else 0


def make_frame(pixels: np.ndarray, psnr: float | None) -> Frame:
    """Compresses an image [H W C] in [-1, 1], clipped. Pixels that are not finite become grey."""
    picture = shrink_picture(pixels, MAX_SIDE)
    return Frame(psnr if psnr is not None and math.isfinite(psnr) else None, encode_webp(picture, WEBP_QUALITY))


def shrink_picture(pixels: np.ndarray, side: int) -> Image.Image:
    """Converts [H W C] in [-1, 1] to an RGB picture of at most `side` pixels a side; never enlarges it."""
    values = images.to_uint8(np.nan_to_num(np.asarray(pixels, np.float32), posinf=0, neginf=0))
    picture = Image.fromarray(values[..., 0] if values.shape[-1] == 1 else values).convert('RGB')
    picture.thumbnail((side, side), Image.Resampling.LANCZOS)
    return picture


def encode_webp(picture: Image.Image, quality: int) -> bytes:
    """Returns the content of a WebP file. quality: 0 to 100."""
    content = io.BytesIO()
    picture.save(content, format='WEBP', quality=quality)
    return content.getvalue()


def format_history(losses: Sequence[tuple[int, float]], frames: Frames) -> bytes:
    """Returns the content of history.csv with the columns step, loss and psnr.

    losses: (step, loss of the codes after so many steps). frames: their PSNR is that of the result after so many steps.
    """
    rows: dict[int, dict[str, float]] = {step: {'loss': loss} for step, loss in losses}
    for step, frame in frames:
        if frame.psnr is not None:
            rows.setdefault(step, {})['psnr'] = round(frame.psnr, 4)
    text = io.StringIO()
    writer = csv.DictWriter(text, ('step', 'loss', 'psnr'), restval='', lineterminator='\n')
    writer.writeheader()
    writer.writerows({'step': step, **rows[step]} for step in sorted(rows))
    return text.getvalue().encode()


def parse_history(content: bytes) -> dict[str, dict[int, float]]:
    """Returns {'loss': {step: value}, 'psnr': {step: value}} of a history.csv, without values that are not finite."""
    curves: dict[str, dict[int, float]] = {'loss': {}, 'psnr': {}}
    for row in csv.DictReader(io.StringIO(content.decode(errors='replace'))):
        for name, values in curves.items():
            try:
                step, value = int(row['step']), float(row[name])
            except (KeyError, TypeError, ValueError):
                continue
            if math.isfinite(value):
                values[step] = value
    return curves


def encode_animation(frames: Frames, duration: int = DURATION) -> bytes:
    """Returns the content of an animated WebP file that repeats without end and shows the last frame longer.

    duration: of the frames before the last one, in milliseconds.
    """
    first, *rest = [Image.open(io.BytesIO(frame.webp)).convert('RGB') for _, frame in frames]
    durations = [max(40, duration // len(frames))] * len(rest) + [LAST_FRAME]
    content = io.BytesIO()
    first.save(
        content,
        format='WEBP',
        save_all=True,
        append_images=rest,
        duration=durations,
        loop=0,
        quality=WEBP_QUALITY,
        method=3,
    )
    return content.getvalue()


def encode_video(frames: Frames, duration: int = DURATION) -> bytes | None:
    """Returns the content of an MP4 file; None if ffmpeg is missing or fails. duration: of all frames, in milliseconds."""
    ffmpeg = shutil.which('ffmpeg')
    if ffmpeg is None:
        return None
    pixels = [np.asarray(Image.open(io.BytesIO(frame.webp)).convert('RGB')) for _, frame in frames]
    height, width = pixels[0].shape[:2]
    rate = max(1, round(1000 * len(pixels) / duration))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / 'history.mp4'
        source = ['-f', 'rawvideo', '-pix_fmt', 'rgb24', '-s', f'{width}x{height}', '-r', str(rate), '-i', '-']
        even_size = ['-vf', 'pad=ceil(iw/2)*2:ceil(ih/2)*2', '-pix_fmt', 'yuv420p', '-movflags', '+faststart']
        command = [ffmpeg, '-v', 'error', '-threads', '1', *source, *even_size, str(path)]
        try:
            subprocess.run(command, input=b''.join(map(np.ndarray.tobytes, pixels)), check=True, capture_output=True)
            return path.read_bytes()
        except (OSError, subprocess.CalledProcessError):
            return None


def make_history_files(losses: Sequence[tuple[int, float]], frames: Frames) -> dict[str, bytes]:
    """Returns {name: content} of history.csv and, if there are frames, history.webp and history.mp4 (with ffmpeg)."""
    files = {'history.csv': format_history(losses, frames)}
    if frames:
        files['history.webp'] = encode_animation(frames)
        if video := encode_video(frames):
            files['history.mp4'] = video
    return files


def pack_frames(frames: Frames) -> list[dict]:
    """Converts frames to JSON values, for checkpoints."""
    return [
        {'step': step, 'psnr': frame.psnr, 'frame': base64.b64encode(frame.webp).decode('ascii')}
        for step, frame in frames
    ]


def unpack_frames(packed: list[dict]) -> tuple[tuple[int, Frame], ...]:
    """Inverts `pack_frames`."""
    return tuple((entry['step'], Frame(entry['psnr'], base64.b64decode(entry['frame']))) for entry in packed)
