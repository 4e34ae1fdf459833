"""Inpainting: from an image with a hole.

python -m mgan_jax.invert --config configs/inpaint.py            the embedded demo
python -m mgan_jax.invert --config configs/inpaint.py:fast --config.generator=DIR --config.extractor=DIR --config.images=DIR
"""

from ml_collections import ConfigDict

from mgan_jax.settings import presets


def get_config(preset: str = 'demo') -> ConfigDict:
    return ConfigDict(presets.preset_settings('inpaint', preset))
