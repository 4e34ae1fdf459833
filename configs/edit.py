"""Semantic editing: images are inverted, and their codes move along the normal of a boundary.

python -m mgan_jax.invert --config configs/edit.py            the embedded demo
python -m mgan_jax.invert --config configs/edit.py:fast --config.generator=DIR --config.extractor=DIR --config.images=DIR \
    --config.attribute=BOUNDARY.npy

preset    layer  num_codes  steps  optimizer  latent_rate  alpha_rate  perceptual  extractor_layer
demo      2      20         100    whitening  0.1          0.02        0.02        relu3_3
fast      6      20         300    whitening  0.1          0.02        0.001       relu3_3
upstream  6      30         2000   sgd        1.0          1.0         0.001       relu3_3
paper     6      30         2000   sgd        1.0          1.0         0.001       relu4_3

demo: the embedded generator and the bundled scenes. fast: converted generators, few steps; both keep the best iterate.
upstream: the released code and its README, one image at a time; alpha starts at 1/N^2 and its rate is divided by N^2;
the last iterate is kept. paper: as upstream, where the paper does not differ; alpha starts at 1/N.
Images for the extractor have 64 pixels a side in demo, else 256.

Measured on 2 cores of an AMD EPYC, jax 0.10.2:

- demo, 64 held-out scenes (100 to 163), python -m benchmarks.editing FOLDER --layers 2,4: the inversions have 27.6 dB at
  l = 2 and 28.6 dB at l = 4. The attribute follows the strength in 100 % of the scenes for daylight and snow, in 98.4 %
  for autumn and in 90.6 % for tower_height (l = 2). docs/editing.md has the other figures.
- fast: a reconstruction step of PGGAN 256 with VGG-16 took 0.945 s at this layer and N (docs/performance.md).
- fast, upstream, paper: no scores, since they need weights that are not shipped.
"""

from ml_collections import ConfigDict

from mgan_jax.settings import presets


def get_config(preset: str = 'demo') -> ConfigDict:
    return ConfigDict(presets.preset_settings('edit', preset))
