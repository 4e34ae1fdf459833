"""How an image came about: the curve of its loss and PSNR, and its frames as an animation. Pure but for `encode_video`.

Everything is bounded whatever the number of steps: at most CURVE losses and FRAMES frames of at most SIDE pixels a side,
which wait as compressed files.
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

CURVE, FRAMES, SIDE = 500, 60, 256
QUALITY, LASTS, LINGERS = 85, 4000, 1500  # of WebP; milliseconds of an animation, and of its last frame


class Frame(NamedTuple):
    """An image at one of its steps. psnr: None if there is nothing to compare with; frame: a WebP file."""

    psnr: float | None
    frame: bytes


ShownFrames = Sequence[tuple[int, Frame]]  # after how many steps, in their order


def keep_interval(steps: int, every: int, most: int) -> int:
    """The smallest multiple of `every` that fits into `steps` at most `most` times; 0 for 0, which is never."""
    return every * max(1, math.ceil(steps / (every * most))) if every else 0


def make_frame(pixels: np.ndarray, psnr: float | None) -> Frame:
    """pixels: [H W C] in [-1, 1], clipped; what is not finite shows grey."""
    picture = shrink_picture(pixels, SIDE)
    return Frame(psnr if psnr is not None and math.isfinite(psnr) else None, encode_webp(picture, QUALITY))


def shrink_picture(pixels: np.ndarray, side: int) -> Image.Image:
    """[H W C] in [-1, 1] at most `side` pixels a side, never enlarged."""
    values = images.to_uint8(np.nan_to_num(np.asarray(pixels, np.float32), posinf=0, neginf=0))
    picture = Image.fromarray(values[..., 0] if values.shape[-1] == 1 else values).convert('RGB')
    picture.thumbnail((side, side), Image.Resampling.LANCZOS)
    return picture


def encode_webp(picture: Image.Image, quality: int) -> bytes:
    content = io.BytesIO()
    picture.save(content, format='WEBP', quality=quality)
    return content.getvalue()


def history_csv(losses: Sequence[tuple[int, float]], shown: ShownFrames) -> bytes:
    """history.csv. loss: that of the codes after so many steps; psnr: of what the result would be if they were all."""
    rows: dict[int, dict[str, float]] = {step: {'loss': loss} for step, loss in losses}
    for step, seen in shown:
        if seen.psnr is not None:
            rows.setdefault(step, {})['psnr'] = round(seen.psnr, 4)
    text = io.StringIO()
    writer = csv.DictWriter(text, ('step', 'loss', 'psnr'), restval='', lineterminator='\n')
    writer.writeheader()
    writer.writerows({'step': step, **rows[step]} for step in sorted(rows))
    return text.getvalue().encode()


def parse_history(content: bytes) -> dict[str, dict[int, float]]:
    """The columns of a history.csv: numbers by their steps. What is no finite number is left out."""
    found: dict[str, dict[int, float]] = {'loss': {}, 'psnr': {}}
    for row in csv.DictReader(io.StringIO(content.decode(errors='replace'))):
        for name, values in found.items():
            try:
                step, value = int(row['step']), float(row[name])
            except (KeyError, TypeError, ValueError):
                continue
            if math.isfinite(value):
                values[step] = value
    return found


def encode_animation(shown: ShownFrames, milliseconds: int = LASTS) -> bytes:
    """history.webp: all frames within a few seconds, the last one for longer, again and again."""
    first, *rest = [Image.open(io.BytesIO(seen.frame)).convert('RGB') for _, seen in shown]
    lasts = [max(40, milliseconds // len(shown))] * len(rest) + [LINGERS]
    content = io.BytesIO()
    first.save(
        content, format='WEBP', save_all=True, append_images=rest, duration=lasts, loop=0, quality=QUALITY, method=3
    )
    return content.getvalue()


def encode_video(shown: ShownFrames, milliseconds: int = LASTS) -> bytes | None:
    """history.mp4, None where no ffmpeg is found or it cannot do that."""
    ffmpeg = shutil.which('ffmpeg')
    if ffmpeg is None:
        return None
    frames = [np.asarray(Image.open(io.BytesIO(seen.frame)).convert('RGB')) for _, seen in shown]
    height, width = frames[0].shape[:2]
    rate = max(1, round(1000 * len(frames) / milliseconds))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / 'history.mp4'
        taken = ['-f', 'rawvideo', '-pix_fmt', 'rgb24', '-s', f'{width}x{height}', '-r', str(rate), '-i', '-']
        even = ['-vf', 'pad=ceil(iw/2)*2:ceil(ih/2)*2', '-pix_fmt', 'yuv420p', '-movflags', '+faststart']
        command = [ffmpeg, '-v', 'error', '-threads', '1', *taken, *even, str(path)]
        try:
            subprocess.run(command, input=b''.join(map(np.ndarray.tobytes, frames)), check=True, capture_output=True)
            return path.read_bytes()
        except (OSError, subprocess.CalledProcessError):
            return None


def history_files(losses: Sequence[tuple[int, float]], shown: ShownFrames) -> dict[str, bytes]:
    """What an image's folder gets of this, by the names of the files."""
    found = {'history.csv': history_csv(losses, shown)}
    if shown:
        found['history.webp'] = encode_animation(shown)
        if film := encode_video(shown):
            found['history.mp4'] = film
    return found


def pack_frames(shown: ShownFrames) -> list[dict]:
    """As JSON takes it."""
    return [
        {'step': step, 'psnr': seen.psnr, 'frame': base64.b64encode(seen.frame).decode('ascii')} for step, seen in shown
    ]


def unpack_frames(told: list[dict]) -> tuple[tuple[int, Frame], ...]:
    return tuple((seen['step'], Frame(seen['psnr'], base64.b64decode(seen['frame']))) for seen in told)
