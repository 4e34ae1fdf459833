"""Numbered scenes, drawn in batches: the licence-free images behind the demo GAN."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from mgan_jax.demo.drawing import PARTS, draw_scene, segment_scene
from mgan_jax.demo.landscape import LATENT_DIM, attributes, from_latent


class SceneBatch(NamedTuple):
    """Drawn scenes with the latent codes they were drawn from and what is known of them."""

    latents: np.ndarray  # float32 [B LATENT_DIM]
    images: np.ndarray  # uint8 [B H W 3]
    attributes: np.ndarray  # float32 [B A]


def draw_batch(seed: int, start: int, count: int, size: int = 64) -> SceneBatch:
    """Scenes start .. start + count - 1.

    Scene i comes from default_rng([seed, i]), so its number alone gives it again, whatever the batch.
    """
    if count < 1:
        raise ValueError(f'count is {count}; a batch needs at least one scene.')
    latents = [_latent(seed, i) for i in range(start, start + count)]
    scenes = [from_latent(z) for z in latents]
    images = [draw_scene(scene, size) for scene in scenes]
    return SceneBatch(
        np.asarray(latents, np.float32), np.stack(images), np.stack([attributes(scene) for scene in scenes])
    )


def write_scenes(folder: Path, seed: int, start: int, count: int) -> None:
    """Scenes start .. start + count - 1 as images/NUMBER.png, what is seen in them as parts/NUMBER.png, whose pixels are
    lines of parts/classes.txt, counted from 0."""
    for name in ('images', 'parts'):
        (folder / name).mkdir()
    (folder / 'parts' / 'classes.txt').write_text('\n'.join(PARTS) + '\n', encoding='utf-8')
    for number in range(start, start + count):
        scene = from_latent(_latent(seed, number))
        Image.fromarray(draw_scene(scene)).save(folder / 'images' / f'{number:04d}.png')
        Image.fromarray(segment_scene(scene)).save(folder / 'parts' / f'{number:04d}.png')


def _latent(seed: int, number: int) -> np.ndarray:
    return np.random.default_rng([seed, number]).standard_normal(LATENT_DIM)
