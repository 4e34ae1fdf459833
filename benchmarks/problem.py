"""What the step benchmarks optimise: PGGAN and VGG-16 up to relu3_3 with random weights, random codes, a random target.

Everything is handed on as NumPy arrays, so that a process can use it without JAX.
"""

import math
from typing import NamedTuple

import jax
import numpy as np

from mgan_jax import composition, models
from mgan_jax.models import pggan, vgg

EXTRACTOR_LAYER = 'relu3_3'


class Setting(NamedTuple):
    """Sizes of the networks (PGGAN's largest number of channels: fmaps_max), then l, N and B of the inversion.

    cached: whether what the extractor sees in the target is computed once for all steps. compile: whether PyTorch may.
    matmul: rows of the matrix product that is measured beside the steps.
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
    """Pytrees as Flax names them, kernels [3 3 C_in C_out]."""

    generator: dict
    extractor: dict


class Start(NamedTuple):
    """latents [B N D], alpha [B N C]; target [B H W 3] in [-1, 1]."""

    latents: np.ndarray
    alpha: np.ndarray
    target: np.ndarray


def networks(setting: Setting) -> tuple[models.Generator, models.Extractor]:
    """The extractor has the blocks of VGG-16 that its layer needs."""
    generator = pggan.build_pggan(setting.resolution, latent_dim=setting.fmaps_max, fmaps_max=setting.fmaps_max)
    return generator, vgg.build_vgg(depths=(2, 2, 3), channels=(64, 128, 256))


def weights(setting: Setting) -> Weights:
    """In the shapes of `init` and with about its variances, but drawn without compiling it; biases are not 0."""
    rng = np.random.default_rng(1)

    def draw(leaf: jax.ShapeDtypeStruct) -> np.ndarray:
        scale = 0.1 if leaf.ndim == 1 else math.sqrt(2 * leaf.shape[-1] / leaf.size)
        return scale * rng.standard_normal(leaf.shape, dtype=np.float32)

    shapes = (jax.eval_shape(network.init, jax.random.key(0)) for network in networks(setting))
    return Weights(*(jax.tree.map(draw, tree) for tree in shapes))


def start(setting: Setting, weights: Weights) -> Start:
    """Different for every batch and number of codes, the same in every run."""
    generator, _ = networks(setting)
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
