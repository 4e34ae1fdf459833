"""The paper's analyses: figures and tables of what N, l and each code do.

python -m mgan_jax.analyze --config configs/analysis.py            the embedded demo
python -m mgan_jax.analyze --config configs/analysis.py:fast --config.generator=DIR --config.extractor=DIR \
    --config.images=DIR --config.segmentation=DIR
"""

from ml_collections import ConfigDict

from mgan_jax.analysis import curves


def get_config(preset: str = 'demo') -> ConfigDict:
    return ConfigDict(curves.analysis_settings(preset))
