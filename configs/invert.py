"""Reconstruction: the image itself is the observation (inversion proper).

python -m mgan_jax.invert --config configs/invert.py            the embedded demo
python -m mgan_jax.invert --config configs/invert.py:fast --config.generator=DIR --config.extractor=DIR --config.images=DIR

preset    layer  num_codes  steps  optimizer  latent_rate  alpha_rate  perceptual  extractor_layer
demo      6      20         100    whitening  0.1          0.02        0.02        relu3_3
fast      8      20         300    whitening  0.1          0.02        0.001       relu3_3
upstream  8      20         3000   sgd        1.0          1.0         0.001       relu3_3
paper     8      20         3000   sgd        1.0          1.0         0.001       relu4_3

demo: the embedded generator and the bundled scenes. fast: converted generators, few steps; both keep the best iterate.
upstream: the released code and its README, one image at a time; alpha starts at 1/N^2 and its rate is divided by N^2;
the last iterate is kept. paper: as upstream, where the paper does not differ; alpha starts at 1/N.
Images for the extractor have 64 pixels a side in demo, else 256.

Measured on 2 cores of an AMD EPYC, jax 0.10.2:

- demo, 32 held-out scenes: PSNR 29.36 dB, SSIM 0.896 (python -m benchmarks.demo_results FOLDER).
- demo with one code and 100 steps: PSNR 24.36 dB at the best layer, l = 4 (the same command).
- demo with the optimiser of upstream and 3000 steps: 28.4 dB; with whitening and 150 steps: 29.8 dB
  (32 held-out scenes, python -m benchmarks.quality docs/measured/quality --spread --steps 75,150).
- fast: a reconstruction step of PGGAN 256 with VGG-16 took 1.46 s at this layer and N (docs/performance.md).
- fast, upstream, paper: no scores, since they need weights that are not shipped.
"""

from ml_collections import ConfigDict

from mgan_jax.settings import presets


def get_config(preset: str = 'demo') -> ConfigDict:
    return ConfigDict(presets.preset_settings('reconstruct', preset))
