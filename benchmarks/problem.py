"""The problem of the step benchmarks: PGGAN and VGG-16 up to relu3_3 with random weights, random codes, a random target.

All arrays are NumPy's, so that a process without JAX can use them.
"""

import math
from typing import NamedTuple

import jax
import numpy as np

from mgan_jax import composition, models
from mgan_jax.models import pggan, vgg

EXTRACTOR_LAYER = 'relu3_3'


class Setting(NamedTuple):
    """The size of the problem.

    resolution: of the images. fmaps_max: largest number of channels of PGGAN, and its latent size. layer, codes, batch: l, N
    and B. cached: compute the features of the target once, not in each step. compile: allow torch.compile. matmul: rows
    of the matrix product that is timed beside the steps.
    """

    resolution: int = 256
    fmaps_max: int = 512
    extractor_size: int = 256
    layer: int = 8
    codes: int = 20
    batch: int = 1
    cached: bool = True
    compile: bool = True
    matmul: int = 4096


class Weights(NamedTuple):
    """Pytrees with Flax's names; kernels [3 3 C_in C_out]."""

    generator: dict
    extractor: dict


class Start(NamedTuple):
    """Initial codes and target. latents [B N D], alpha [B N C]; target [B H W 3] in [-1, 1]."""

    latents: np.ndarray
    alpha: np.ndarray
    target: np.ndarray


def build_networks(setting: Setting) -> tuple[models.Generator, models.Extractor]:
    """PGGAN, and the blocks of VGG-16 that relu3_3 needs."""
    generator = pggan.build_pggan(setting.resolution, latent_dim=setting.fmaps_max, fmaps_max=setting.fmaps_max)
    return generator, vgg.build_vgg(depths=(2, 2, 3), channels=(64, 128, 256))


def draw_weights(setting: Setting) -> Weights:
    """Random weights with the shapes of `init` and about its variances; biases are not 0. Compiles nothing."""
    rng = np.random.default_rng(1)

    def draw(leaf: jax.ShapeDtypeStruct) -> np.ndarray:
        scale = 0.1 if leaf.ndim == 1 else math.sqrt(2 * leaf.shape[-1] / leaf.size)
        return scale * rng.standard_normal(leaf.shape, dtype=np.float32)

    shapes = (jax.eval_shape(network.init, jax.random.key(0)) for network in build_networks(setting))
    return Weights(*(jax.tree.map(draw, tree) for tree in shapes))


def draw_start(setting: Setting, weights: Weights) -> Start:
    """Random codes and a random target, the same in every run with the same setting."""
    generator, _ = build_networks(setting)
    codes = composition.init(
        jax.random.key(2),
        generator,
        weights.generator,
        batch=setting.batch,
        num_codes=setting.codes,
        layer=setting.layer,
    )
    shape = (setting.batch, *generator.image_size, generator.image_channels)
    target = np.random.default_rng(3).uniform(-1, 1, shape).astype(np.float32)
    return Start(np.asarray(codes.latents), np.asarray(codes.alpha), target)
