"""Super-resolution: from an image that is 1/factor as large.

python -m mgan_jax.invert --config configs/sr.py            the embedded demo
python -m mgan_jax.invert --config configs/sr.py:fast --config.generator=DIR --config.extractor=DIR --config.images=DIR
"""

from ml_collections import ConfigDict

from mgan_jax.settings import presets


def get_config(preset: str = 'demo') -> ConfigDict:
    return ConfigDict(presets.preset_settings('super_resolve', preset))
