"""Denoising: from an image with corrupted pixels at known positions.

python -m mgan_jax.invert --config configs/denoise.py            the embedded demo
python -m mgan_jax.invert --config configs/denoise.py:fast --config.generator=DIR --config.extractor=DIR --config.images=DIR

preset    composite  layer  num_codes  steps  optimizer  latent_rate  alpha_rate  perceptual  extractor_layer
demo      True       6      20         75     whitening  0.1          0.02        0.02        relu3_3
fast      True       6      20         300    whitening  0.1          0.02        0.001       relu3_3
upstream  False      4      30         3000   sgd        1.0          1.0         0.0001      relu3_3
paper     True       4      30         3000   sgd        1.0          1.0         0.0001      relu4_3

demo: the embedded generator and the bundled scenes. fast: converted generators, few steps; both keep the best iterate.
upstream: the released code and its README, one image at a time; alpha starts at 1/N^2 and its rate is divided by N^2;
the last iterate is kept. paper: as upstream, where the paper does not differ; alpha starts at 1/N.
Images for the extractor have 64 pixels a side in demo, else 256.

Measured on 2 cores of an AMD EPYC, jax 0.10.2:

- demo, 32 held-out scenes: PSNR 32.96 dB, in the holes 27.73 dB, SSIM 0.956, inputs 10.39 dB
  (python -m benchmarks.demo_results FOLDER).
- demo with the optimiser of upstream and 3000 steps: 32.6 dB; with whitening and 75 steps: 33.2 dB
  (32 held-out scenes, python -m benchmarks.quality docs/measured/quality --spread --steps 75,150).
- fast: a reconstruction step of PGGAN 256 with VGG-16 took 0.945 s at this layer and N (docs/performance.md).
- fast, upstream, paper: no scores, since they need weights that are not shipped.
"""

from ml_collections import ConfigDict

from mgan_jax.settings import presets


def get_config(preset: str = 'demo') -> ConfigDict:
    return ConfigDict(presets.preset_settings('denoise', preset))
