"""The paper's analyses: figures and tables of the effect of N, of l, and of each code.

python -m mgan_jax.analyze --config configs/analysis.py            the embedded demo
python -m mgan_jax.analyze --config configs/analysis.py:fast --config.generator=DIR --config.extractor=DIR \
    --config.images=DIR --config.segmentation=DIR

demo: held-out scenes, 50 steps, layer 6, N = 20. fast, upstream, paper: the other settings of these presets.

Measured on 64 held-out scenes with 50 steps (docs/results.md has the other figures):

- N at l = 6: PSNR 21.75 dB with 1 code, 27.50 dB with 10, 28.32 dB with 20, 28.58 dB with 30.
- l at N = 20: 26.48 dB at l = 2, 27.79 dB at l = 4, 28.32 dB at l = 6, 27.84 dB at l = 8
  (--config.layers=2,4,6,8 --config.analyses=codes_layers --config.count=64).
"""

from ml_collections import ConfigDict

from mgan_jax.settings import analysis_fields


def get_config(preset: str = 'demo') -> ConfigDict:
    return ConfigDict(analysis_fields.analysis_preset(preset))
