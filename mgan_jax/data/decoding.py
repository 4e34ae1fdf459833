"""Decodes image files into arrays, upright and in the precision in which they are stored."""

import contextlib
import io
import os
import re
import stat
import threading
import warnings
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from PIL import ExifTags, Image, TiffImagePlugin

FORMATS = ('PNG', 'JPEG', 'WEBP', 'BMP', 'TIFF', 'PPM')  # Pillow tries these; the content of a file decides
FORMATS_TEXT = 'PNG, JPEG, WebP, BMP, TIFF or PPM'
MAX_FILE_BYTES = 2**31  # a file is read into memory as a whole


class Raster(NamedTuple):
    """A decoded image, upright, in the precision in which it is stored."""

    colour: np.ndarray  # [H W 1] or [H W 3]: uint8, uint16 or float32
    white: float  # the value of white in `colour`; black is 0
    alpha: np.ndarray | None  # uint8 [H W 1], 255 is opaque; None if the file has no transparency


def read_image_file(path: str | os.PathLike) -> bytes:
    """Returns the content of a local file.

    Raises ValueError if `path` is not a regular file, has more than 2 GiB, or cannot be opened.
    """
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            raise ValueError(f'{path} is no file: name an image file that can be read')
        if status.st_size > MAX_FILE_BYTES:
            raise ValueError(
                f'{path} has {status.st_size:,} bytes, {MAX_FILE_BYTES:,} is the limit: make it smaller first'
            )
        with open(path, 'rb') as file:
            return file.read()
    except OSError as error:
        raise ValueError(f'{path} cannot be opened ({error.strerror}): name an image file that can be read') from error


def decode_raster(content: bytes, title: str) -> Raster:
    """Decodes the first image in the content of a file and turns it upright (EXIF). Thread-safe.

    title: the name of the file in error messages. Raises ValueError under the conditions of `images.read_image`.
    """
    with _ignore_pillow_warnings():
        try:
            image = Image.open(io.BytesIO(content), formats=FORMATS)
            _require_few_pixels(image)
            raw_mode = image.tile[0].args if image.tile else None  # Pillow drops it on loading
            image.load()
        except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
            limit = f'{Image.MAX_IMAGE_PIXELS:,} pixels'
            raise ValueError(f'{title} has more pixels than the limit of {limit}: make it smaller first') from error
        except Exception as error:  # decoders raise almost any exception for a damaged file
            raise ValueError(_describe_failure(title, content, error)) from error
        return _to_raster(title, _turn_upright(image), raw_mode)


def _require_few_pixels(image: Image.Image) -> None:
    """Raises DecompressionBombError above Pillow's limit; Pillow only warns below twice the limit."""
    if Image.MAX_IMAGE_PIXELS is not None and image.width * image.height > Image.MAX_IMAGE_PIXELS:
        raise Image.DecompressionBombError


_filter_lock = threading.Lock()
_filter_state: dict[str, Any] = {'threads': 0, 'filter': None}  # threads inside; the warning filter they share


@contextlib.contextmanager
def _ignore_pillow_warnings() -> Iterator[None]:
    """Ignores Pillow's warnings while any thread is inside.

    `warnings.catch_warnings` is not thread-safe: it restores all filters of the process. The first thread that enters adds
    one filter; the last thread that leaves removes that filter.
    """
    filters: Any
    with _filter_lock:
        _filter_state['threads'] += 1
        if _filter_state['threads'] == 1:
            warnings.filterwarnings('ignore', module=r'PIL\.')
            _filter_state['filter'] = warnings.filters[0]
    try:
        yield
    finally:
        with _filter_lock:
            _filter_state['threads'] -= 1
            filters = warnings.filters
            if not _filter_state['threads'] and _filter_state['filter'] in filters:  # other code may have removed it
                filters.remove(_filter_state['filter'])


_TRANSPOSE_OF_ORIENTATION = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def _turn_upright(image: Image.Image) -> Image.Image:
    """Applies the EXIF orientation. Pillow has already applied that of a TIFF; damaged EXIF is ignored."""
    try:
        transpose = _TRANSPOSE_OF_ORIENTATION.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # noqa: BLE001 - damaged EXIF raises almost any exception
        return image
    return image if transpose is None else image.transpose(transpose)


def _to_raster(title: str, image: Image.Image, raw_mode: Any) -> Raster:
    """Converts a loaded Pillow image. raw_mode: the pixel layout of the file, such as 'L;4'."""
    image = _convert_mode(image)
    array = np.asarray(image.convert('L') if image.mode == '1' else image)
    array = array.reshape(image.height, image.width, -1)
    white = _white_value(title, image, array)
    if image.mode.startswith('I'):
        array = array.astype(np.uint16)
        if isinstance(image, TiffImagePlugin.TiffImageFile) and image.tag_v2.get(262) == 0:
            array = np.uint16(white) - array  # 'WhiteIsZero', which Pillow inverts only up to 8 bits
    if image.mode in ('LA', 'RGBA'):
        return Raster(array[..., :-1], white, array[..., -1:])
    key = image.info.get('transparency')  # the one transparent colour of a PNG
    if key is None:
        return Raster(array, white, None)
    opaque = (array != _decoded_colour(key, raw_mode)).any(axis=-1, keepdims=True)
    return Raster(array, white, opaque.astype(np.uint8) * 255)


def _convert_mode(image: Image.Image) -> Image.Image:
    """Converts palettes and colour spaces of 8 bits to grey or RGB, with alpha if there is any."""
    if image.mode in ('P', 'PA'):
        return image.convert('RGBA' if image.has_transparency_data else 'RGB')
    if image.mode in ('La', 'YCbCr', 'CMYK', 'RGBX'):
        return image.convert('LA' if image.mode == 'La' else 'RGB')
    return image


def _white_value(title: str, image: Image.Image, array: np.ndarray) -> float:
    """Returns the value of white in `array`. Raises ValueError for pixels without a defined range."""
    if image.mode in ('1', 'L', 'LA', 'RGB', 'RGBA'):
        return 255.0
    if image.mode.startswith('I;16'):
        if isinstance(image, TiffImagePlugin.TiffImageFile):
            return 2.0 ** image.tag_v2.get(258, (16,))[0] - 1  # Pillow does not scale 12 bits
        return 65535.0
    if image.mode == 'I' and image.format == 'PPM':
        return 65535.0
    if image.mode == 'F':
        low, high = array.min(), array.max()
        if low >= 0 and high <= 1:
            return 1.0
        raise ValueError(f'{title} holds floats from {low:g} to {high:g}, [0, 1] is wanted: rescale them')
    kind = {'I': 'signed or 32-bit integers', 'LAB': 'Lab colours'}.get(image.mode, f'pixels of mode {image.mode}')
    raise ValueError(f'{title} holds {kind}, grey or RGB of 8 or 16 bits is wanted: convert it first')


def _decoded_colour(key: int | tuple[int, ...], raw_mode: Any) -> np.ndarray:
    """Scales a PNG's transparent colour to Pillow's depth: Pillow widens 2 and 4 bits and narrows 16-bit RGB."""
    scale = {'L;2': 85, 'L;4': 17, 'RGB;16B': 1 / 256}.get(raw_mode, 1)
    return np.floor(np.atleast_1d(key) * scale)


_SIGNATURES = (
    (rb'\x89PNG', 'PNG'),
    (rb'\xff\xd8\xff', 'JPEG'),
    (rb'RIFF....WEBP', 'WebP'),
    (rb'BM.{4}\0{4}', 'BMP'),
    (rb'II[\x2a\x2b]\0|MM\0[\x2a\x2b]', 'TIFF'),
    (rb'P[1-6f]\s', 'PPM'),
    (rb'\Z', 'an empty file'),
    (rb'GIF8', 'a GIF image'),
    (rb'....ftyp', 'a HEIC, AVIF or video file'),
    (rb'8BPS', 'a Photoshop document'),
    (rb'%PDF', 'a PDF document'),
    (rb'%!PS', 'a PostScript document'),
    (rb'PK\x03\x04', 'a zip archive'),
    (rb'\x1f\x8b', 'a gzip archive'),
    (rb'.{257}ustar', 'a tar archive'),
    (rb'\x93NUMPY', 'a NumPy array'),
    (rb'version https://git-lfs', 'a Git LFS pointer'),
    (rb'(?i)\s*(<!doctype html|<html)', 'an HTML page'),
    (rb'(?i)(<\?xml.*)?<svg', 'an SVG drawing'),
    (rb'[^\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]*\Z', 'a text file'),
)


def _describe_failure(title: str, content: bytes, error: Exception) -> str:
    """Returns one sentence on why a file does not decode: what it is by its first bytes, and what to do."""
    head = content[:512]
    kind = next((kind for pattern, kind in _SIGNATURES if re.match(pattern, head, re.DOTALL)), 'no known kind of file')
    if ' ' in kind:  # none of FORMATS
        return f'{title} looks like {kind}, a {FORMATS_TEXT} image is wanted: convert it or give another file'
    if isinstance(error, MemoryError):
        return f'{title} does not fit into memory: make it smaller first'
    return f'{title} looks like a truncated or damaged {kind} image, a whole one is wanted: copy or download it again'
