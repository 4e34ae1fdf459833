"""Image files: finding, naming, reading and writing them.

H W are an image's height and width, C its channels (1 or 3). Pixels are float32 in [-1, 1], channels last; -1 is black,
1 is white.
"""

import glob
import itertools
import os
import re
import unicodedata
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import ExifTags, Image, TiffImagePlugin

# What Pillow may try, and the names by which a folder's images are recognised. A file is read by its content.
FORMATS = ('PNG', 'JPEG', 'WEBP', 'BMP', 'TIFF', 'PPM')
EXTENSIONS = ('.png', '.jpg', '.jpeg', '.webp', '.bmp', '.tif', '.tiff', '.ppm', '.pgm', '.pbm', '.pnm')
WANTED = 'PNG, JPEG, WebP, BMP, TIFF or PPM'
BUNDLED = 'bundled'
RESERVED = ('metrics.csv', 'config.json', 'report.html')  # written beside the result folders


class Source(NamedTuple):
    """An image file, and the name of its result folder."""

    path: Path
    name: str


class Photo(NamedTuple):
    """An image as the networks take it."""

    pixels: np.ndarray  # float32 [H W 3] in [-1, 1]
    grey: bool  # nothing in the file has a colour: a greyscale mode, or equal channels wherever anything shows


class Raster(NamedTuple):
    """A decoded file, upright, in the precision that it was stored in."""

    colour: np.ndarray  # [H W 1] or [H W 3]: uint8, uint16, or float32
    white: float  # the value in `colour` that stands for white; 0 is black
    alpha: np.ndarray | None  # uint8 [H W 1], 255 is opaque; None where the file has no transparency


def find(spec: str | os.PathLike | Sequence[str | os.PathLike], bundled: Path | None = None) -> list[Source]:
    """The image files that `spec` names, in its order, each once.

    Args:
        spec: a file, a folder (its image files, sorted, hidden ones skipped, subfolders not searched), a glob (sorted,
            `**` goes through subfolders), or several of them in a sequence or in one string separated by commas. What
            exists as a whole is never split, and a path that exists is not taken for a glob. Nothing, or the word
            'bundled', stands for the folder `bundled`.
        bundled: the folder of images that come with the library, if there is one.

    Returns:
        Sources with names that differ even where case is ignored and that never equal a name in RESERVED: the file's
        stem where only one file has it, else made from the extension and the parent folders ('a-png', 'x-1',
        'x-1-png').

    Raises:
        ValueError: a file is missing, or a folder or glob holds no image.
    """
    paths = [path for item in _items(spec) for path in _expand(item, bundled)]
    once: dict[Path, Path] = {}
    for path in paths:
        once.setdefault(path.resolve(), path)
    return [Source(path, name) for path, name in zip(once.values(), _names(list(once.values())), strict=True)]


def read(path: str | os.PathLike, size: tuple[int, int] | int | None = None) -> Photo:
    """Reads an image file at `size`, (height, width) in pixels; an int is a square, None keeps the file's own size.

    The image is turned upright (EXIF), the largest centred part with the aspect ratio of `size` is kept and resized by
    a Lanczos filter, antialiased, in float32; a part that has the right size already is not touched. Transparency shows
    white behind it. Grey with 16 bits keeps them; Pillow decodes 16-bit colour to 8 bits. Colour profiles are ignored:
    stored values are taken as sRGB. Of an animation or a multi-page file the first image is read.

    Raises:
        ValueError: the file is missing, no image, damaged, of more pixels than Pillow's limit, or of a kind with no
            defined range (signed or 32-bit integers, floats outside [0, 1], Lab colours).
    """
    raster = decode(path)
    grey = _is_grey(raster)
    if size is not None:
        size = _checked(size)
        raster = raster._replace(
            colour=crop(raster.colour, size), alpha=None if raster.alpha is None else crop(raster.alpha, size)
        )
    pixels = raster.colour.astype(np.float32) / np.float32(raster.white / 2) - 1
    if raster.alpha is not None:
        opacity = raster.alpha.astype(np.float32) / 255
        pixels = pixels * opacity + (1 - opacity)
    if size is not None:
        pixels = resize(pixels, size)
    pixels = np.clip(pixels, -1, 1)  # Lanczos overshoots
    return Photo(np.repeat(pixels, 3, axis=-1) if pixels.shape[-1] == 1 else pixels, grey)


def crop(array: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The largest centred part of [H W C] whose aspect ratio is that of `size` (height, width), in whole pixels."""
    height, width = array.shape[:2]
    target_height, target_width = size
    keep_height = min(height, max(1, round(width * target_height / target_width)))
    keep_width = min(width, max(1, round(height * target_width / target_height)))
    top, left = (height - keep_height) // 2, (width - keep_width) // 2
    return array[top : top + keep_height, left : left + keep_width]


def resize(array: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resizes float32 [H W C] to [*size C] by an antialiased Lanczos filter, not clipped; the same array if it fits."""
    if array.shape[:2] == tuple(size):
        return array
    height, width = size
    channels = [Image.fromarray(np.ascontiguousarray(array[..., c])) for c in range(array.shape[-1])]
    return np.stack([np.asarray(c.resize((width, height), Image.Resampling.LANCZOS)) for c in channels], axis=-1)


def to_uint8(pixels: np.ndarray) -> np.ndarray:
    """Floats in [-1, 1], any shape, to the nearest of 0 to 255; clips the rest. Raises ValueError for NaN."""
    pixels = np.asarray(pixels)
    if pixels.dtype.kind in 'biu':
        raise ValueError(f'pixels have dtype {pixels.dtype}, floats in [-1, 1] are wanted: rescale them first')
    pixels = pixels.astype(np.float32)
    if np.isnan(pixels).any():
        raise ValueError('pixels hold NaN, which no image file can store: look for the step that made them')
    return np.rint((np.clip(pixels, -1, 1) + 1) * np.float32(127.5)).astype(np.uint8)


def write_png(path: str | os.PathLike, pixels: np.ndarray) -> None:
    """Writes floats in [-1, 1], [H W 3] or [H W 1], as an 8-bit PNG. Raises ValueError for another shape or NaN."""
    values = to_uint8(pixels)
    if values.ndim != 3 or values.shape[-1] not in (1, 3) or not values.size:
        raise ValueError(
            f'pixels have shape {list(values.shape)}, [H W 3] or [H W 1] is wanted: write one image at a time'
        )
    Image.fromarray(values[..., 0] if values.shape[-1] == 1 else values).save(path, format='PNG')


def decode(path: str | os.PathLike) -> Raster:
    """Decodes an image file's first image and turns it upright. Raises ValueError as `read` does."""
    try:
        file = open(path, 'rb')  # noqa: SIM115 - closed below
    except OSError as error:
        raise ValueError(f'{path} cannot be opened ({error.strerror}): name an image file that can be read') from error
    with file, warnings.catch_warnings():
        warnings.simplefilter('ignore')
        warnings.simplefilter('error', Image.DecompressionBombWarning)
        try:
            image = Image.open(file, formats=FORMATS)
            layout = image.tile[0].args if image.tile else None  # gone after loading
            image.load()
        except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
            limit = f'{Image.MAX_IMAGE_PIXELS:,} pixels'
            raise ValueError(f'{path} has more pixels than the limit of {limit}: make it smaller first') from error
        except Exception as error:  # for a damaged file decoders raise almost anything
            raise ValueError(_complaint(path, file, error)) from error
        return _raster(path, _upright(image), layout)


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


def _is_grey(raster: Raster) -> bool:
    differs = (raster.colour != raster.colour[..., :1]).any(axis=-1, keepdims=True)
    return not (differs if raster.alpha is None else differs & (raster.alpha > 0)).any()


def _checked(size: tuple[int, int] | int) -> tuple[int, int]:
    height, width = (size, size) if isinstance(size, int) else size
    if height < 1 or width < 1:
        raise ValueError(f'the size is {height} x {width} pixels, at least 1 x 1 is wanted: give (height, width)')
    return height, width


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
    (rb'\x93NUMPY', 'a NumPy array'),
    (rb'version https://git-lfs', 'a Git LFS pointer'),
    (rb'(?i)\s*(<!doctype html|<html)', 'an HTML page'),
    (rb'(?i)(<\?xml.*)?<svg', 'an SVG drawing'),
    (rb'[^\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]*\Z', 'a text file'),
)


def _complaint(path, file, error: Exception) -> str:
    """One sentence on what a file is that does not decode."""
    file.seek(0)
    head = file.read(512)
    looks = next((kind for magic, kind in _SIGNATURES if re.match(magic, head, re.DOTALL)), 'no known kind of file')
    if ' ' in looks:
        return f'{path} looks like {looks}, a {WANTED} image is wanted: convert it or give another file'
    if isinstance(error, MemoryError):
        return f'{path} does not fit into memory: make it smaller first'
    return f'{path} looks like a truncated or damaged {looks} image, a whole one is wanted: copy or download it again'


def _items(spec) -> list[str]:
    if not isinstance(spec, str | os.PathLike):
        return [text for text in map(os.fspath, spec or ()) if text.strip()] or [BUNDLED]
    text = os.fspath(spec)
    whole = os.path.expanduser(text)
    if os.path.exists(whole) or (glob.has_magic(whole) and glob.glob(whole, recursive=True)):
        return [text]
    return [part.strip() for part in text.split(',') if part.strip()] or [BUNDLED]


def _expand(item: str, bundled: Path | None) -> list[Path]:
    """The files of one part of a specification."""
    path = Path(os.path.expanduser(item))
    if item == BUNDLED and not path.exists():
        if bundled is None:
            raise ValueError('no images are named and none are bundled here: give an image file, a folder or a glob')
        path = Path(bundled)
    if path.is_dir():
        hits = [hit for hit in path.iterdir() if not hit.name.startswith('.')]
    elif path.exists():
        return [path]
    elif glob.has_magic(item):
        hits = [Path(hit) for hit in glob.glob(str(path), recursive=True)]
    else:
        raise ValueError(f'{item} does not exist: give an image file, a folder or a glob')
    hits = sorted(hit for hit in hits if hit.suffix.lower() in EXTENSIONS and hit.is_file())
    if not hits:
        where = f'the folder {path} holds' if path.is_dir() else f'the glob {item} matches'
        raise ValueError(f'{where} no image: give files whose names end in {", ".join(EXTENSIONS)}')
    return hits


def _names(paths: list[Path]) -> list[str]:
    """A folder name for each path; files that share a stem are told apart in the same way."""
    groups: dict[str, list[int]] = {}
    for index, path in enumerate(paths):
        groups.setdefault(_key(_clean(path.stem)), []).append(index)
    names, taken = [''] * len(paths), {_key(name) for name in RESERVED}
    for members in sorted(groups.values(), key=len):  # a stem that is alone comes first, and keeps its name
        for attempt in _attempts([paths[index] for index in members]):
            keys = {_key(name) for name in attempt}
            if len(keys) == len(members) and not keys & taken:
                break
        taken |= keys
        for index, name in zip(members, attempt, strict=True):
            names[index] = name
    return names


def _attempts(paths: list[Path]) -> Iterator[list[str]]:
    """Ever longer names for files with the same stem; numbers when folders do not tell them apart."""
    full = [Path(os.path.abspath(path)) for path in paths]
    for depth in range(max(len(path.parts) for path in full) - 1):
        plain = ['-'.join([*path.parts[1:][-depth - 1 : -1], _clean(path.stem)]) for path in full]
        yield [_clean(name) for name in plain]
        yield [_clean(name + path.suffix.replace('.', '-')) for name, path in zip(plain, full, strict=True)]
    for start in itertools.count(1):
        yield [f'{_clean(path.stem)}-{start + i}' for i, path in enumerate(full)]


def _clean(name: str) -> str:
    """A name that any file system takes for a folder, at most 160 bytes, never hidden."""
    name = re.sub(r'[<>:"/\\|?*\x00-\x1f\x7f\ud800-\udfff]', '_', unicodedata.normalize('NFC', name))
    return name.encode()[:160].decode(errors='ignore').strip('. ') or 'image'


def _key(name: str) -> str:
    return unicodedata.normalize('NFC', name.casefold())
