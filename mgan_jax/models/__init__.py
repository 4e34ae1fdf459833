"""Networks as pure functions and their weights as pytrees. Flax stays in here."""

from mgan_jax.models.directory import EMBEDDED, load, save, write
from mgan_jax.models.extractor import Extractor
from mgan_jax.models.generator import Generator

__all__ = ['EMBEDDED', 'Extractor', 'Generator', 'load', 'save', 'write']
