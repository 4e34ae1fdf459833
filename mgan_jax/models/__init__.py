"""Networks as pure functions and their weights as pytrees.

The interfaces are imported at once; they need jax alone. What reads, writes or builds networks needs Flax and Orbax and is
imported when it is first used.
"""

import importlib
from typing import TYPE_CHECKING, Any

from mgan_jax.models.extractor import Extractor
from mgan_jax.models.generator import Generator, conditioned
from mgan_jax.models.lpips import Lpips
from mgan_jax.models.precision import cast

if TYPE_CHECKING:
    from mgan_jax.models.directory import EMBEDDED, Model, build_model, is_model_directory, load, save, write_model
    from mgan_jax.models.encoder import Encoder

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

_DIRECTORY = ('EMBEDDED', 'Model', 'build_model', 'is_model_directory', 'load', 'save', 'write_model')
_LAZY = dict.fromkeys(_DIRECTORY, 'mgan_jax.models.directory') | {'Encoder': 'mgan_jax.models.encoder'}

if not TYPE_CHECKING:  # type checkers shall refuse other names

    def __getattr__(name: str) -> Any:
        if name not in _LAZY:
            raise AttributeError(f"module 'mgan_jax.models' has no attribute '{name}'")
        value = globals()[name] = getattr(importlib.import_module(_LAZY[name]), name)
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
