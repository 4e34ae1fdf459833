"""The paper's analyses: figures and tables of the effect of N, of l, and of each code.

python -m mgan_jax.analyze --config configs/analysis.py            the embedded demo
python -m mgan_jax.analyze --config configs/analysis.py:fast --config.generator=DIR --config.extractor=DIR \
    --config.images=DIR --config.segmentation=DIR
"""

from ml_collections import ConfigDict

from mgan_jax.settings import analysis_fields


def get_config(preset: str = 'demo') -> ConfigDict:
    return ConfigDict(analysis_fields.analysis_preset(preset))
