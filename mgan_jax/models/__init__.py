"""Networks as pure functions and their weights as pytrees. Flax stays in here."""

from mgan_jax.models.directory import EMBEDDED, Model, build_model, is_model_directory, load, save, write_model
from mgan_jax.models.encoder import Encoder
from mgan_jax.models.extractor import Extractor
from mgan_jax.models.generator import Generator, conditioned
from mgan_jax.models.lpips import Lpips
from mgan_jax.models.precision import cast

__all__ = [
    'EMBEDDED',
    'Encoder',
    'Extractor',
    'Generator',
    'Lpips',
    'Model',
    'build_model',
    'cast',
    'conditioned',
    'is_model_directory',
    'load',
    'save',
    'write_model',
]
