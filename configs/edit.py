"""Semantic editing: images are inverted, and the codes moved along the normal of a boundary.

python -m mgan_jax.invert --config configs/edit.py            the embedded demo
python -m mgan_jax.invert --config configs/edit.py:fast --config.generator=DIR --config.extractor=DIR --config.images=DIR \
    --config.attribute=BOUNDARY.npy
"""

from ml_collections import ConfigDict

from mgan_jax.settings import presets


def get_config(preset: str = 'demo') -> ConfigDict:
    return ConfigDict(presets.preset_settings('edit', preset))
