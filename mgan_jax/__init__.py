"""GAN inversion and restoration with a multi-code GAN prior (mGANprior, CVPR 2020) in JAX.

`import mgan_jax` imports no other module. `mgan_jax.composition`, like every name in `dir(mgan_jax)`, is imported when it is
first used.
"""

import importlib
from types import ModuleType

__version__ = '0.1.0'

_METHOD = (
    'composition',
    'execution',
    'inversion',
    'losses',
    'optimizers',
    'priors',
    'resize',
    'tasks',
    'whitening',
)
_PACKAGES = (
    'analysis',
    'configs',
    'converters',
    'data',
    'demo',
    'editing',
    'encoder',
    'engine',
    'metrics',
    'models',
    'results',
    'run',
    'settings',
    'storage',
)


def __getattr__(name: str) -> ModuleType:
    if name in _METHOD + _PACKAGES:
        return importlib.import_module(f'mgan_jax.{name}')
    raise AttributeError(f"module 'mgan_jax' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted({*globals(), *_METHOD, *_PACKAGES} - {'importlib', 'ModuleType', '_METHOD', '_PACKAGES'})
