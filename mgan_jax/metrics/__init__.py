"""Image quality, one number per image. Images: [B H W C] in [-1, 1]. `metrics.niqe` needs no reference image."""

from mgan_jax.metrics.colour import auc_ab
from mgan_jax.metrics.fidelity import lpips, ms_ssim, num_scales, psnr, ssim

__all__ = ['auc_ab', 'lpips', 'ms_ssim', 'num_scales', 'psnr', 'ssim']
