"""Training of an encoder, which predicts the latent code of an image for one generator. The network is in `models.encoder`.

`python -m mgan_jax.encoder GENERATOR DESTINATION` trains one; see docs/encoder.md.
"""
