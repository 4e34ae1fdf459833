"""Optimisers of an inversion: optax transformations of the variables of one image."""

import optax

from mgan_jax import whitening
from mgan_jax.composition import Codes


def whitening_optimizer(
    latent_rate: float, alpha_rate: float, num_steps: int, b1: float = 0.5, b2: float = 0.9
) -> optax.GradientTransformationExtraArgs:
    """Whitened steps for latent codes and channel importances (see `whitening`), Adam with b1 and b2 for tail and noise.

    The rates decay to 0 over `num_steps` (cosine). latent_rate also applies to tail and noise.
    """
    latents, alpha = (whitening.whiten(_decaying(rate, num_steps)) for rate in (latent_rate, alpha_rate))
    return split_optimizer(latents, alpha, rest=adam_optimizer(latent_rate, num_steps, b1, b2))


def split_adam_optimizer(
    latent_rate: float, alpha_rate: float, num_steps: int, b1: float = 0.5, b2: float = 0.9
) -> optax.GradientTransformationExtraArgs:
    """Adam for all parts of the codes, with a rate for the channel importances. The rates decay to 0 (cosine)."""
    latents, alpha = (adam_optimizer(rate, num_steps, b1, b2) for rate in (latent_rate, alpha_rate))
    return split_optimizer(latents, alpha)


def split_sgd_optimizer(latent_rate: float, alpha_rate: float) -> optax.GradientTransformationExtraArgs:
    """The released code's optimiser: gradient descent with constant rates, without momentum."""
    return split_optimizer(optax.sgd(latent_rate), optax.sgd(alpha_rate))


def adam_optimizer(rate: float, num_steps: int, b1: float = 0.5, b2: float = 0.9) -> optax.GradientTransformation:
    """Adam, whose rate decays to 0 over `num_steps` (cosine), for variables of any structure."""
    return optax.adam(_decaying(rate, num_steps), b1, b2)


def split_optimizer(
    latents: optax.GradientTransformation,
    alpha: optax.GradientTransformation,
    rest: optax.GradientTransformation | None = None,
) -> optax.GradientTransformationExtraArgs:
    """One optimiser for the latent codes, one for the channel importances, one for tail and noise (default: `latents`)."""

    def labels(codes: Codes) -> Codes:
        others = (None if part is None else 'rest' for part in (codes.tail, codes.noise))
        return Codes('latents', 'alpha', *others)

    return optax.partition({'latents': latents, 'alpha': alpha, 'rest': rest or latents}, labels)


def _decaying(rate: float, num_steps: int) -> optax.Schedule:
    return optax.cosine_decay_schedule(rate, num_steps)
