"""Reconstruction: the image itself is the observation (inversion proper).

python -m mgan_jax.invert --config configs/invert.py            the embedded demo
python -m mgan_jax.invert --config configs/invert.py:fast --config.generator=DIR --config.extractor=DIR --config.images=DIR
"""

from ml_collections import ConfigDict

from mgan_jax.settings import presets


def get_config(preset: str = 'demo') -> ConfigDict:
    return ConfigDict(presets.preset_settings('reconstruct', preset))
