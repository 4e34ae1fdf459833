"""Small networks with random weights."""

import jax
import jax.numpy as jnp
import numpy as np

from mgan_jax.models import pggan, vgg

GENERATOR_CONFIGURATION = {'resolution': 16, 'latent_dim': 8, 'fmaps_base': 128, 'fmaps_max': 16, 'image_channels': 3}
EXTRACTOR_CONFIGURATION = {'depths': [1, 1], 'channels': [4, 8], 'padding': 'zero', 'attributes': []}


def draw_weights(init, seed=0):
    """Random weights like `init` has them, without compiling it."""
    rng = np.random.default_rng(seed)

    def draw(leaf):
        scale = 0.1 if leaf.ndim == 1 else np.sqrt(2 * leaf.shape[-1] / leaf.size)
        return jnp.asarray(scale * rng.standard_normal(leaf.shape), jnp.float32)

    return jax.tree.map(draw, jax.eval_shape(init, jax.random.key(0)))


def generator(**changes):
    """(generator, params) of a 16-pixel PGGAN with 6 layers."""
    network = pggan.build_pggan(**(GENERATOR_CONFIGURATION | changes))
    return network, draw_weights(network.init, seed=3)


def extractor():
    """(extractor, params) with relu1_1 and relu2_1."""
    network = vgg.build_vgg(**EXTRACTOR_CONFIGURATION)
    return network, draw_weights(network.init, seed=4)
