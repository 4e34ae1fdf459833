"""Small networks with random weights."""

import jax

from mgan_jax.models import pggan, vgg

GENERATOR_CONFIGURATION = {'resolution': 16, 'latent_dim': 8, 'fmaps_base': 128, 'fmaps_max': 16, 'image_channels': 3}
EXTRACTOR_CONFIGURATION = {'depths': [1, 1], 'channels': [4, 8], 'padding': 'zero', 'attributes': []}


def generator(**changes):
    """(generator, params) of a 16-pixel PGGAN with 6 layers."""
    network = pggan.build(**(GENERATOR_CONFIGURATION | changes))
    return network, network.init(jax.random.key(3))


def extractor():
    """(extractor, params) with relu1_1 and relu2_1."""
    network = vgg.build(**EXTRACTOR_CONFIGURATION)
    return network, network.init(jax.random.key(4))
