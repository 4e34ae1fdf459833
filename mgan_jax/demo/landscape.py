"""The numbers that describe a drawn scene, a landscape with one house, computed from a latent code.

The scenes are aligned as face data sets are. The house is large, centred and on a fixed base line, with a jitter of
half a pixel at 64 pixels a side. Hour, season, colours and shapes vary. Lengths are fractions of the image side, with x
to the right and y down. Colours are sRGB in [0, 1]. `hour` and `season` are phases of a circle in [0, 1).
"""

from collections.abc import Sequence
from math import atan2, cos, erf, exp, pi, sin, sqrt
from typing import Any, NamedTuple

import numpy as np

PAINTS = ('wall_r', 'wall_g', 'wall_b', 'roof_r', 'roof_g', 'roof_b')
# A paint is the first colour plus a times the second and b times the third, with a and b in [-1, 1].
WALLS = ((0.79, 0.76, 0.74), (0.14, 0.00, -0.19), (0.06, -0.17, -0.06))
ROOFS = ((0.50, 0.34, 0.38), (0.29, 0.02, -0.20), (0.15, -0.13, -0.10))
# The intervals of uniformly distributed numbers, and the probability of each part.
RANGES = {
    'shift_x': (-0.008, 0.008),
    'shift_y': (-0.008, 0.008),
    'hill_height': (0.06, 0.26),
    'near_height': (0.03, 0.10),
    'near_phase': (0.0, 1.0),
    'width': (0.42, 0.50),
    'wall_height': (0.20, 0.26),
    'roof_height': (0.11, 0.24),
    'ridge': (0.0, 0.7),
    'tower_height': (0.04, 0.24),
    'size_left': (0.75, 1.2),
    'size_right': (0.75, 1.2),
    'cloud_x': (0.14, 0.42),
}
CHANCES = {
    'tower': 0.5,
    'chimney': 0.6,
    'path': 0.6,
    'tree_left': 0.75,
    'tree_right': 0.6,
    'conifer_left': 0.4,
    'conifer_right': 0.4,
}
LATENT_DIM = 12 + len(RANGES) + len(CHANCES)  # five pairs of numbers, two choices, the tables


class Scene(NamedTuple):
    """One scene. The numbers named in RANGES are in these ranges. The parts named in CHANCES are 0 or 1."""

    hour: float  # [0, 1): midnight 0, sunrise 0.25, noon 0.5, sunset 0.75
    season: float  # [0, 1): midwinter 0, spring 0.25, summer 0.5, autumn 0.75
    shift_x: float  # of the house
    shift_y: float
    hill_height: float  # of the far hills, above the horizon
    hill_phase: float  # turns
    near_height: float  # of the near hills
    near_phase: float  # turns
    width: float  # of the house
    wall_height: float
    roof_height: float
    ridge: float  # length of the ridge over that of the eaves: 0 is a gable roof, more is a hip roof
    wall_r: float  # [0, 1] paint, before light
    wall_g: float
    wall_b: float
    roof_r: float  # [0, 1] paint, before light
    roof_g: float
    roof_b: float
    tower: int
    tower_height: float  # of its wall, above the house's eaves
    chimney: int
    lit: int  # 1 if the windows are lit
    path: int
    tree_left: int
    tree_right: int
    size_left: float  # 1 is a broadleaf tree of height 0.36 or a conifer of 0.43
    size_right: float
    conifer_left: int  # 0 is a broadleaf tree
    conifer_right: int
    clouds: int  # 0, 1 or 2
    cloud_x: float


def sun_altitude(hour: float) -> float:
    """The altitude of the sun: -1 at midnight, 1 at noon."""
    return -cos(2 * pi * hour)


def snow_cover(season: float) -> float:
    """The amount of snow in [0, 1], 1 in midwinter."""
    return clip_unit((cos(2 * pi * season) - 0.5) / 0.3)


def _bump(season: float, centre: float) -> float:
    return max(0.0, cos(2 * pi * (season - centre))) ** 2


def clip_unit(x: float) -> float:
    """Clips x to [0, 1]."""
    return min(1.0, max(0.0, x))


def _turn(a: float, b: float) -> float:
    """The angle of (a, b), in turns. It is uniform in [0, 1) for independent normal numbers a, b, and periodic."""
    return (atan2(a, b) / (2 * pi)) % 1.0


def _uniform(normal: float) -> float:
    """The normal distribution function, which is uniform in (0, 1) for a normal number."""
    return 0.5 + 0.5 * erf(normal / sqrt(2))


def _paint(palette: Sequence[tuple[float, float, float]], first: float, second: float) -> tuple[float, ...]:
    """A colour of the palette, uniformly distributed for two independent normal numbers."""
    shares = 2 * _uniform(first) - 1, 2 * _uniform(second) - 1
    return tuple(c + shares[0] * a + shares[1] * b for c, a, b in zip(*palette, strict=True))


def scene_from_latent(z: np.ndarray) -> Scene:
    """The scene of a latent code z [LATENT_DIM] ~ N(0, I).

    It depends only on the direction of z, as in generators that normalise z. It is continuous in z, except where parts
    appear or vanish.
    """
    numbers = iter((z * sqrt(LATENT_DIM) / np.linalg.norm(z)).tolist())
    turn = _turn(next(numbers), next(numbers))
    hour = (turn + 0.03 * sin(2 * pi * turn) + 0.03 * sin(4 * pi * turn)) % 1.0  # noon is more frequent than midnight
    season = _turn(next(numbers), next(numbers))
    walls = _paint(WALLS, next(numbers), next(numbers))
    roofs = _paint(ROOFS, next(numbers), next(numbers))
    hill_phase = _turn(next(numbers), next(numbers))
    lit = int(_uniform(next(numbers)) < 0.1 + 0.75 * clip_unit(0.5 - 1.5 * sun_altitude(hour)))
    clouds = int(3 * _uniform(next(numbers)))
    rest: dict[str, Any] = dict(zip(PAINTS, walls + roofs, strict=True))
    rest |= {name: low + (high - low) * _uniform(next(numbers)) for name, (low, high) in RANGES.items()}
    rest |= {name: int(_uniform(next(numbers)) < chance) for name, chance in CHANCES.items()}
    return Scene(hour=hour, season=season, hill_phase=hill_phase, lit=lit, clouds=clouds, **rest)


def sample_scene(rng: np.random.Generator) -> Scene:
    """Draws a random scene."""
    return scene_from_latent(rng.standard_normal(LATENT_DIM))


def _share(scene: Scene, name: str) -> float:
    """A number of the scene, scaled from its range to [0, 1]."""
    low, high = RANGES[name]
    value: float = getattr(scene, name)
    return (value - low) / (high - low)


def _measures(scene: Scene) -> dict[str, float]:
    """{attribute: value in [0, 1]}. The shape of a missing part is 0."""
    altitude = sun_altitude(scene.hour)
    return {
        'daylight': clip_unit(0.5 + 1.2 * altitude),
        'warm': exp(-((altitude / 0.3) ** 2)),
        'morning': 0.5 + 0.5 * sin(2 * pi * scene.hour),
        'sun_height': 0.5 + 0.5 * altitude,
        'snow': snow_cover(scene.season),
        'spring': _bump(scene.season, 0.25),
        'autumn': _bump(scene.season, 0.75),
        'hill_height': _share(scene, 'hill_height'),
        'roof_height': _share(scene, 'roof_height'),
        'ridge': _share(scene, 'ridge'),
        'tower_height': scene.tower * _share(scene, 'tower_height'),
        'conifer_left': scene.tree_left * scene.conifer_left,
        'conifer_right': scene.tree_right * scene.conifer_right,
        **{name: getattr(scene, name) for name in ('tower', 'chimney', 'lit', 'path', 'tree_left', 'tree_right')},
        **{name: getattr(scene, name) for name in PAINTS},
    }


ATTRIBUTES: tuple[str, ...] = tuple(_measures(sample_scene(np.random.default_rng(0))))


def measure_attributes(scene: Scene) -> np.ndarray:
    """The attributes of a scene, float32 [A] in [0, 1], in the order of ATTRIBUTES."""
    return np.clip(np.fromiter(_measures(scene).values(), np.float32), 0.0, 1.0)
