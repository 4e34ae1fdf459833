"""Draws scenes, painted from back to front: in their colours, or as segmentations with the numbers of the parts."""

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from math import pi, sin
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from mgan_jax.demo.landscape import Scene, clip_unit, snow_cover, sun_altitude

Colour = tuple[float, ...]  # sRGB in [0, 1]
# The parts of a scene. Their indices are the values of a segmentation.
PARTS: tuple[str, ...] = ('sky', 'sun or moon', 'clouds', 'hills', 'ground', 'path', 'trees')
PARTS += ('walls', 'windows', 'door', 'roof', 'chimney', 'tower')
OVERSAMPLE = 3  # scenes are drawn at 3 times the size and reduced by a box filter
BASE = 0.83  # y of the house's base line
HORIZON = 0.66  # y of the far edge of the ground and of the setting sun
WHITE = (0.97, 0.98, 1.0)
WOOD = (0.42, 0.28, 0.20)
LAMP = (1.0, 0.86, 0.42)
STARS = ((0.10, 0.10), (0.27, 0.20), (0.40, 0.07), (0.62, 0.12), (0.77, 0.22), (0.91, 0.09))


def _rgb(text: str) -> tuple[Colour, ...]:
    """Colours from a text "rrggbb rrggbb ..."."""
    return tuple(tuple(byte / 255 for byte in bytes.fromhex(word)) for word in text.split())


# hour: colours of the sky at the top, of the sky at the horizon, and of the light.
DAY = {
    0.00: _rgb('111a48 3a5192 8590c8'),
    0.14: _rgb('111a48 3a5192 8590c8'),
    0.20: _rgb('2e3678 9e7aa3 a79fc6'),
    0.26: _rgb('758fd1 ffc7b8 f7d9d6'),
    0.35: _rgb('4f9eeb ccedfa ffffff'),
    0.63: _rgb('4f9eeb ccedfa ffffff'),
    0.73: _rgb('6666b8 ffa85c ffc99e'),
    0.80: _rgb('33266b d66166 b88fae'),
    0.87: _rgb('111a48 3a5192 8590c8'),
    1.00: _rgb('111a48 3a5192 8590c8'),
}
# season: colours of the ground and of broad leaves.
YEAR = {
    0.00: _rgb('e6f0fa d6e6f5'),
    0.12: _rgb('dbe8eb ccd6db'),
    0.25: _rgb('94cc66 faadc7'),
    0.50: _rgb('66ad52 388f4d'),
    0.62: _rgb('8cb052 6b9942'),
    0.75: _rgb('ccad5c ed8029'),
    0.88: _rgb('d6d6c7 cc9975'),
    1.00: _rgb('e6f0fa d6e6f5'),
}


class _Brush(NamedTuple):
    pen: ImageDraw.ImageDraw
    side: float  # drawn pixels per unit length
    light: Colour | None  # multiplies every colour; None paints the numbers of the parts
    part: str = 'sky'  # the part being painted


def _mix(a: Colour, b: Colour, t: float) -> Colour:
    """(1 - t) a + t b of two colours."""
    return tuple(x + (y - x) * t for x, y in zip(a, b, strict=True))


def _between(table: Mapping[float, tuple[Colour, ...]], x: float) -> list[Colour]:
    """The colours of a table, interpolated linearly at x in [0, 1)."""
    keys, rows = list(table), list(table.values())
    i = bisect_right(keys, x)
    t = (x - keys[i - 1]) / (keys[i] - keys[i - 1])
    return [_mix(a, b, t) for a, b in zip(rows[i - 1], rows[i], strict=True)]


def _ink(brush: _Brush, colour: Colour) -> Any:
    if brush.light is None:
        return PARTS.index(brush.part)
    return tuple(int(255 * min(1.0, c * k) + 0.5) for c, k in zip(colour, brush.light, strict=True))


def _shining(brush: _Brush) -> _Brush:
    """A brush for parts that emit light: their colours stay as they are."""
    return brush if brush.light is None else brush._replace(light=(1.0, 1.0, 1.0))


def _polygon(brush: _Brush, points: Iterable[tuple[float, float]], colour: Colour) -> None:
    brush.pen.polygon([(x * brush.side, y * brush.side) for x, y in points], fill=_ink(brush, colour))


def _box(brush: _Brush, left: float, top: float, right: float, bottom: float, colour: Colour) -> None:
    _polygon(brush, ((left, top), (right, top), (right, bottom), (left, bottom)), colour)


def _disc(brush: _Brush, x: float, y: float, rx: float, ry: float, colour: Colour) -> None:
    s = brush.side
    brush.pen.ellipse(((x - rx) * s, (y - ry) * s, (x + rx) * s, (y + ry) * s), fill=_ink(brush, colour))


def _orb(hour: float) -> tuple[float, float]:
    """The centre (x, y) of the sun or moon, which moves from the left horizon to the right."""
    phase = (hour - 0.23) % 1.0
    phase = phase / 0.54 if phase < 0.54 else (phase - 0.54) / 0.46
    return 0.08 + 0.84 * phase, HORIZON - 0.56 * sin(pi * phase)


def _sky(scene: Scene, size: int, top: Colour, low: Colour) -> Image.Image:
    """The sky, a colour gradient with a glow around the sun or moon, at the final size."""
    x, y = _orb(scene.hour)
    grid = (np.arange(size, dtype=np.float32) + 0.5) / size
    down = np.clip(grid / HORIZON, 0, 1)[:, None, None]
    glow = np.exp(-((grid[:, None] - y) ** 2) / 0.03) * np.exp(-((grid[None] - x) ** 2) / 0.03)
    upper, lower = np.asarray(top, np.float32), np.asarray(low, np.float32)
    sky = upper + (lower - upper) * down
    sky = sky + (0.45 * glow)[:, :, None] * (np.asarray(_mix(tuple(lower), (1.0, 0.98, 0.85), 0.5), np.float32) - sky)
    return Image.fromarray((255 * sky + 0.5).astype(np.uint8))


def _lights(brush: _Brush, scene: Scene) -> None:
    """Stars, and the sun or moon."""
    altitude = sun_altitude(scene.hour)
    x, y = _orb(scene.hour)
    night = clip_unit(-2 * altitude - 0.4)
    if night > 0:  # stars belong to the part 'sky'
        for sx, sy in STARS:
            _disc(brush, sx, sy, 0.011, 0.011, _mix((0.2, 0.25, 0.5), (0.9, 0.9, 0.8), night))
    by_day = 0.23 <= scene.hour < 0.77
    colour = _mix((1.0, 0.60, 0.36), (1.0, 0.94, 0.55), clip_unit(1.6 * altitude)) if by_day else (0.95, 0.95, 0.86)
    _disc(brush._replace(part='sun or moon'), x, y, 0.075, 0.075, colour)


def _clouds(brush: _Brush, scene: Scene, low: Colour) -> None:
    brush = brush._replace(part='clouds')
    colour = _mix(low, WHITE, 0.25 + 0.55 * clip_unit(sun_altitude(scene.hour)))
    for i in range(scene.clouds):
        x, y = (scene.cloud_x, 1.05 - scene.cloud_x)[i], 0.15 + 0.12 * i
        _disc(brush, x, y, 0.13, 0.035, colour)
        _disc(brush, x - 0.03, y - 0.025, 0.065, 0.05, colour)
        _disc(brush, x + 0.05, y - 0.012, 0.05, 0.04, colour)


def _ridge(brush: _Brush, height: float, phase: float, turns: float, colour: Colour) -> None:
    """Hills with the outline height * (0.6 + 0.4 sin) above the horizon."""
    xs = [i / 16 for i in range(17)]
    line = [(x, HORIZON - height * (0.6 + 0.4 * sin(2 * pi * (turns * x + phase)))) for x in xs]
    _polygon(brush, [(0, 1), *line, (1, 1)], colour)


def _land(brush: _Brush, scene: Scene, low: Colour, ground: Colour) -> None:
    """Two layers of hills, the farther one bluer, then the ground and the path to the door."""
    hills, field, path = (brush._replace(part=part) for part in ('hills', 'ground', 'path'))
    _ridge(hills, scene.hill_height, scene.hill_phase, 1.1, _mix(_mix(ground, (0.30, 0.45, 0.60), 0.55), low, 0.2))
    _ridge(hills, scene.near_height, scene.near_phase, 0.8, _mix(ground, (0.25, 0.45, 0.45), 0.30))
    curve = [(i / 8, HORIZON + 0.06 - 0.03 * sin(pi * i / 8)) for i in range(9)]
    _polygon(field, [(0, 1), *curve, (1, 1)], ground)
    if scene.path:
        x, y = 0.5 + scene.shift_x, BASE + scene.shift_y
        points = ((x - 0.05, y - 0.02), (x + 0.05, y - 0.02), (x + 0.15, 1), (x - 0.11, 1))
        _polygon(path, points, _mix((0.93, 0.82, 0.62), (0.76, 0.78, 0.84), snow_cover(scene.season)))


def _tree(brush: _Brush, x: float, size: float, conifer: int, leaves: Colour, snow: float) -> None:
    brush, base = brush._replace(part='trees'), BASE + 0.02
    _box(brush, x - 0.018 * size, base - 0.14 * size, x + 0.018 * size, base, WOOD)
    if not conifer:
        _disc(brush, x, base - 0.23 * size, 0.105 * size, 0.13 * size, leaves)
        _disc(brush, x - 0.025 * size, base - 0.265 * size, 0.06 * size, 0.07 * size, _mix(leaves, WHITE, 0.22))
        return
    needles = (0.13, 0.40, 0.32)
    for low, high, half in ((0.06, 0.24, 0.105), (0.16, 0.33, 0.085), (0.25, 0.43, 0.06)):
        points = ((x - half * size, base - low * size), (x, base - high * size), (x + half * size, base - low * size))
        _polygon(brush, points, _mix(needles, WHITE, 0.12 if low == 0.16 else 0.0))
    tip = ((x - 0.04 * size, base - 0.31 * size), (x, base - 0.43 * size), (x + 0.04 * size, base - 0.31 * size))
    _polygon(brush, tip, _mix(needles, WHITE, 0.9 * snow))


def _roof(
    brush: _Brush, centre: float, eaves: float, half: float, height: float, ridge: float, colour: Colour, snow: float
) -> None:
    """A trapezium with snow on it, except for a strip along the eaves."""
    for low, paint in ((0.0, colour), (0.3, _mix(colour, WHITE, 0.95 * snow))):
        reach = half * (1 - low * (1 - ridge))
        y, top = eaves - low * height, eaves - height
        points = ((centre - reach, y), (centre - half * ridge, top), (centre + half * ridge, top), (centre + reach, y))
        _polygon(brush, points, paint)


def _window(brush: _Brush, glow: tuple[int, Colour], x: float, y: float, half: float, tall: float) -> None:
    """A window with a pale frame. glow: whether it is lit, and the colour of its pane."""
    lit, pane = glow
    brush = brush._replace(part='windows')
    _box(brush, x - half - 0.012, y - tall - 0.012, x + half + 0.012, y + tall + 0.012, WHITE)
    _box(_shining(brush) if lit else brush, x - half, y - tall, x + half, y + tall, pane)


def _tower(
    brush: _Brush, scene: Scene, x: float, base: float, wall: Colour, roof: Colour, glow: tuple[int, Colour]
) -> None:
    eaves, brush = base - scene.wall_height - scene.tower_height, brush._replace(part='tower')
    _box(brush, x - 0.075, eaves, x + 0.075, base, _mix(wall, (0.3, 0.25, 0.4), 0.14))
    _window(brush, glow, x, eaves + 0.075, 0.022, 0.035)
    _roof(brush, x, eaves + 0.01, 0.1, 0.19, 0.0, roof, snow_cover(scene.season))


def _house(brush: _Brush, scene: Scene) -> None:
    snow, half = snow_cover(scene.season), scene.width / 2
    wall, roof = (scene.wall_r, scene.wall_g, scene.wall_b), (scene.roof_r, scene.roof_g, scene.roof_b)
    x, base = 0.5 + scene.shift_x, BASE + scene.shift_y
    eaves = base - scene.wall_height
    glow = (scene.lit, LAMP if scene.lit else (0.36, 0.48, 0.62))
    walls, door, tiles, chimney = (brush._replace(part=part) for part in ('walls', 'door', 'roof', 'chimney'))
    if scene.chimney:
        _box(chimney, x - 0.15, eaves - scene.roof_height - 0.03, x - 0.085, eaves, _mix(roof, (0.35, 0.2, 0.2), 0.5))
        top = eaves - scene.roof_height - 0.03
        _box(chimney, x - 0.16, top - 0.02, x - 0.075, top + 0.01, _mix((0.5, 0.4, 0.4), WHITE, snow))
    _box(walls, x - half, eaves, x + half, base, wall)
    _box(walls, x - half, eaves, x + half, eaves + 0.035, _mix(wall, (0.25, 0.2, 0.4), 0.28))
    for side in (-1, 1):
        _window(brush, glow, x + side * 0.125, eaves + 0.55 * scene.wall_height, 0.034, 0.042)
    _box(door, x - 0.05, base - 0.15, x + 0.05, base, WHITE)
    _box(door, x - 0.038, base - 0.138, x + 0.038, base, _mix(roof, WOOD, 0.5))
    _roof(tiles, x, eaves + 0.01, half + 0.04, scene.roof_height, scene.ridge, roof, snow)
    if scene.tower:
        _tower(brush, scene, x + half + 0.02, base, wall, roof, glow)


def draw_scene(scene: Scene, size: int = 64) -> np.ndarray:
    """Draws a scene: -> uint8 [H W 3] with H = W = size. Raises ValueError for a size below 8."""
    _require_size(size)
    top, low, light = _between(DAY, scene.hour)
    side = size * OVERSAMPLE
    image = _sky(scene, size, top, low).resize((side, side), Image.Resampling.NEAREST)
    _paint(_Brush(ImageDraw.Draw(image), side, light), scene, low)
    return np.array(image.reduce(OVERSAMPLE))


def segment_scene(scene: Scene, size: int = 64) -> np.ndarray:
    """Segments a scene: -> uint8 [H W] with H = W = size, the index in PARTS of the part visible at the pixel's centre.

    The shapes are those of `draw_scene`. Raises ValueError for a size below 8.
    """
    _require_size(size)
    side = size * OVERSAMPLE
    image = Image.new('L', (side, side), PARTS.index('sky'))
    _paint(_Brush(ImageDraw.Draw(image), side, light=None), scene, WHITE)
    return np.array(image)[OVERSAMPLE // 2 :: OVERSAMPLE, OVERSAMPLE // 2 :: OVERSAMPLE]


def _require_size(size: int) -> None:
    if size < 8:
        raise ValueError(f'size is {size} pixels; a scene needs at least 8.')


def _paint(brush: _Brush, scene: Scene, low: Colour) -> None:
    """Paints everything but the sky, from back to front. low: the colour of the sky at the horizon."""
    ground, leaves = _between(YEAR, scene.season)
    _lights(_shining(brush), scene)
    _clouds(_shining(brush), scene, low)
    _land(brush, scene, low, ground)
    if scene.tree_left:
        _tree(brush, 0.125, scene.size_left, scene.conifer_left, leaves, snow_cover(scene.season))
    if scene.tree_right:
        _tree(brush, 0.91, scene.size_right, scene.conifer_right, leaves, snow_cover(scene.season))
    _house(brush, scene)
