"""What image files hold, whatever their kind: decoded, upright, in the precision that they were stored in."""

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

FORMATS = ('PNG', 'JPEG', 'WEBP', 'BMP', 'TIFF', 'PPM')  # what Pillow may try; a file is read by its content
LARGEST = 2**31  # bytes of a file, since all of it is read into the memory
WANTED = 'PNG, JPEG, WebP, BMP, TIFF or PPM'


class Raster(NamedTuple):
    """A decoded file, upright, in the precision that it was stored in."""

    colour: np.ndarray  # [H W 1] or [H W 3]: uint8, uint16, or float32
    white: float  # the value in `colour` that stands for white; 0 is black
    alpha: np.ndarray | None  # uint8 [H W 1], 255 is opaque; None where the file has no transparency


def read_image_file(path: str | os.PathLike) -> bytes:
    """The content of a local file. ValueError with one sentence if it cannot be read."""
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            raise ValueError(f'{path} is no file: name an image file that can be read')
        if status.st_size > LARGEST:
            raise ValueError(f'{path} has {status.st_size:,} bytes, {LARGEST:,} is the limit: make it smaller first')
        with open(path, 'rb') as file:
            return file.read()
    except OSError as error:
        raise ValueError(f'{path} cannot be opened ({error.strerror}): name an image file that can be read') from error


def decode_raster(content: bytes, title: str) -> Raster:
    """Decodes the first image of a file's content and turns it upright; in any number of threads.

    title: what the file is called in errors. Raises ValueError as `images.read_image` does.
    """
    with _quiet():
        try:
            image = Image.open(io.BytesIO(content), formats=FORMATS)
            _require_few_pixels(image)
            layout = image.tile[0].args if image.tile else None  # gone after loading
            image.load()
        except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
            limit = f'{Image.MAX_IMAGE_PIXELS:,} pixels'
            raise ValueError(f'{title} has more pixels than the limit of {limit}: make it smaller first') from error
        except Exception as error:  # for a damaged file decoders raise almost anything
            raise ValueError(_complaint(title, content, error)) from error
        return _raster(title, _upright(image), layout)


def _require_few_pixels(image: Image.Image) -> None:
    """Pillow itself only warns of images between its limit and twice as many pixels."""
    if Image.MAX_IMAGE_PIXELS is not None and image.width * image.height > Image.MAX_IMAGE_PIXELS:
        raise Image.DecompressionBombError


_counting = threading.Lock()
_quiet_now: dict[str, Any] = {'threads': 0, 'filter': None}


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Ignores what Pillow warns of while any thread is in here.

    `warnings.catch_warnings` puts back all filters of the process as they were, and in several threads the wrong ones; this
    adds a filter for Pillow when the first thread enters, and takes that one away when the last leaves.
    """
    filters: Any
    with _counting:
        _quiet_now['threads'] += 1
        if _quiet_now['threads'] == 1:
            warnings.filterwarnings('ignore', module=r'PIL\.')
            _quiet_now['filter'] = warnings.filters[0]
    try:
        yield
    finally:
        with _counting:
            _quiet_now['threads'] -= 1
            filters = warnings.filters
            if not _quiet_now['threads'] and _quiet_now['filter'] in filters:  # unless somebody else took it away
                filters.remove(_quiet_now['filter'])


_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def _upright(image: Image.Image) -> Image.Image:
    """Turned as EXIF says (Pillow has turned a TIFF on loading). Damaged EXIF, not rare, is no obstacle."""
    try:
        turn = _TURNS.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # noqa: BLE001 - it raises almost anything
        return image
    return image if turn is None else image.transpose(turn)


def _raster(path, image: Image.Image, layout) -> Raster:
    if image.mode in ('P', 'PA'):
        image = image.convert('RGBA' if image.has_transparency_data else 'RGB')
    elif image.mode in ('La', 'YCbCr', 'CMYK', 'RGBX'):
        image = image.convert('LA' if image.mode == 'La' else 'RGB')
    array = np.asarray(image.convert('L') if image.mode == '1' else image)
    array = array.reshape(image.height, image.width, -1)
    white = _white(path, image, array)
    if image.mode.startswith('I'):
        array = array.astype(np.uint16)
        if isinstance(image, TiffImagePlugin.TiffImageFile) and image.tag_v2.get(262) == 0:
            array = np.uint16(white) - array  # zero is white, which Pillow undoes up to 8 bits only
    if image.mode in ('LA', 'RGBA'):
        return Raster(array[..., :-1], white, array[..., -1:])
    key = image.info.get('transparency')  # PNG may name one colour as the transparent one
    if key is None:
        return Raster(array, white, None)
    visible = (array != _as_decoded(key, layout)).any(axis=-1, keepdims=True)
    return Raster(array, white, visible.astype(np.uint8) * 255)


def _white(path, image: Image.Image, array: np.ndarray) -> float:
    """The value of white in the arrays of `image`; ValueError if its kind of pixels has none."""
    if image.mode in ('1', 'L', 'LA', 'RGB', 'RGBA'):
        return 255.0
    if image.mode.startswith('I;16'):
        if isinstance(image, TiffImagePlugin.TiffImageFile):
            return 2.0 ** image.tag_v2.get(258, (16,))[0] - 1  # 12 bits are decoded unscaled
        return 65535.0
    if image.mode == 'I' and image.format == 'PPM':
        return 65535.0
    if image.mode == 'F':
        low, high = array.min(), array.max()
        if low >= 0 and high <= 1:
            return 1.0
        raise ValueError(f'{path} holds floats from {low:g} to {high:g}, [0, 1] is wanted: rescale them')
    kind = {'I': 'signed or 32-bit integers', 'LAB': 'Lab colours'}.get(image.mode, f'pixels of mode {image.mode}')
    raise ValueError(f'{path} holds {kind}, grey or RGB of 8 or 16 bits is wanted: convert it first')


def _as_decoded(key: int | tuple[int, ...], layout) -> np.ndarray:
    """PNG names its transparent colour in the file's own depth; Pillow widens 2 and 4 bits and narrows 16-bit RGB."""
    scale = {'L;2': 85, 'L;4': 17, 'RGB;16B': 1 / 256}.get(layout, 1)
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


def _complaint(path, content: bytes, error: Exception) -> str:
    """One sentence on what a file is that does not decode."""
    head = content[:512]
    looks = next((kind for magic, kind in _SIGNATURES if re.match(magic, head, re.DOTALL)), 'no known kind of file')
    if ' ' in looks:
        return f'{path} looks like {looks}, a {WANTED} image is wanted: convert it or give another file'
    if isinstance(error, MemoryError):
        return f'{path} does not fit into memory: make it smaller first'
    return f'{path} looks like a truncated or damaged {looks} image, a whole one is wanted: copy or download it again'
