"""Denoising: from an image with corrupted pixels at known positions.

python -m mgan_jax.invert --config configs/denoise.py            the embedded demo
python -m mgan_jax.invert --config configs/denoise.py:fast --config.generator=DIR --config.extractor=DIR --config.images=DIR
"""

from ml_collections import ConfigDict

from mgan_jax.settings import presets


def get_config(preset: str = 'demo') -> ConfigDict:
    return ConfigDict(presets.preset_settings('denoise', preset))
