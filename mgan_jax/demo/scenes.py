"""Batches of numbered drawn scenes, the licence-free training images of the demo."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from mgan_jax.demo.drawing import PARTS, draw_scene, segment_scene
from mgan_jax.demo.landscape import LATENT_DIM, measure_attributes, scene_from_latent


class SceneBatch(NamedTuple):
    """Drawn scenes, the latent codes that they were drawn from, and their attributes."""

    latents: np.ndarray  # float32 [B LATENT_DIM]
    images: np.ndarray  # uint8 [B H W 3]
    attributes: np.ndarray  # float32 [B A]


def draw_batch(seed: int, start: int, count: int, size: int = 64) -> SceneBatch:
    """Draws scenes start .. start + count - 1 at `size` pixels a side.

    Scene i comes from default_rng([seed, i]), so it does not depend on its batch. Raises ValueError for a count below
    1.
    """
    if count < 1:
        raise ValueError(f'count is {count}; a batch needs at least one scene.')
    latents = [_latent(seed, i) for i in range(start, start + count)]
    scenes = [scene_from_latent(z) for z in latents]
    images = [draw_scene(scene, size) for scene in scenes]
    return SceneBatch(
        np.asarray(latents, np.float32), np.stack(images), np.stack([measure_attributes(scene) for scene in scenes])
    )


def write_scenes(folder: Path, seed: int, start: int, count: int) -> None:
    """Writes scenes start .. start + count - 1 as images/NUMBER.png and their segmentations as parts/NUMBER.png.

    The value of a segmentation's pixel is a line number of parts/classes.txt, counted from 0.
    """
    for name in ('images', 'parts'):
        (folder / name).mkdir()
    (folder / 'parts' / 'classes.txt').write_text('\n'.join(PARTS) + '\n', encoding='utf-8')
    for number in range(start, start + count):
        scene = scene_from_latent(_latent(seed, number))
        Image.fromarray(draw_scene(scene)).save(folder / 'images' / f'{number:04d}.png')
        Image.fromarray(segment_scene(scene)).save(folder / 'parts' / f'{number:04d}.png')


def _latent(seed: int, number: int) -> np.ndarray:
    return np.random.default_rng([seed, number]).standard_normal(LATENT_DIM)
