"""Numbered scenes, drawn in batches: the licence-free images behind the demo GAN."""

from typing import NamedTuple

import numpy as np

from mgan_jax.demo.drawing import draw
from mgan_jax.demo.landscape import LATENT_DIM, attributes, from_latent


class Batch(NamedTuple):
    """Drawn scenes with the latent codes they were drawn from and what is known of them."""

    latents: np.ndarray  # float32 [B LATENT_DIM]
    images: np.ndarray  # uint8 [B H W 3]
    attributes: np.ndarray  # float32 [B A]


def batch(seed: int, start: int, count: int, size: int = 64) -> Batch:
    """Scenes start .. start + count - 1.

    Scene i comes from default_rng([seed, i]), so its number alone gives it again, whatever the batch.
    """
    if count < 1:
        raise ValueError(f'count is {count}; a batch needs at least one scene.')
    latents = [np.random.default_rng([seed, i]).standard_normal(LATENT_DIM) for i in range(start, start + count)]
    scenes = [from_latent(z) for z in latents]
    images = [draw(scene, size) for scene in scenes]
    return Batch(np.asarray(latents, np.float32), np.stack(images), np.stack([attributes(scene) for scene in scenes]))
