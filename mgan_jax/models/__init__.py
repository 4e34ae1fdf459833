"""Networks as pure functions and their weights as pytrees. Flax stays in here."""

from mgan_jax.models.directory import EMBEDDED, build, is_model_directory, load, save, write
from mgan_jax.models.extractor import Extractor
from mgan_jax.models.generator import Generator, conditioned
from mgan_jax.models.lpips import Lpips

__all__ = [
    'EMBEDDED',
    'Extractor',
    'Generator',
    'Lpips',
    'build',
    'conditioned',
    'is_model_directory',
    'load',
    'save',
    'write',
]
