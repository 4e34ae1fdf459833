"""GAN inversion and restoration with a multi-code GAN prior (mGANprior, CVPR 2020) in JAX."""
