"""Optimisers of an inversion, as optax transformations of one image's variables. All but 'sgd' decay to 0 over the run (cosine)."""

from typing import Literal, get_args

import optax

from mgan_jax import whitening
from mgan_jax.composition import Codes

Kind = Literal['whitening', 'adam', 'sgd']
KINDS: tuple[Kind, ...] = get_args(Kind)


def code_optimizer(
    kind: Kind, *, latent_rate: float, alpha_rate: float, num_steps: int, b1: float = 0.5, b2: float = 0.9
) -> optax.GradientTransformationExtraArgs:
    """The optimiser of N codes and their channel importances.

    'whitening': `whitening.whiten` for latent codes and importances, Adam for tail and noise. 'adam': Adam. 'sgd': the
    released code's optimiser, with constant rates. latent_rate also applies to tail and noise. b1, b2: of Adam.
    """
    rates = latent_rate, alpha_rate
    if kind == 'sgd':
        return split_optimizer(optax.sgd(latent_rate), optax.sgd(alpha_rate))
    latents, alpha = (_adam(rate, num_steps, b1, b2) for rate in rates)
    if kind == 'adam':
        return split_optimizer(latents, alpha)
    whitened, importance = (whitening.whiten(optax.cosine_decay_schedule(rate, num_steps)) for rate in rates)
    return split_optimizer(whitened, importance, rest=latents)  # tail and noise have no axis of N codes to whiten


def single_optimizer(
    kind: Kind, *, rate: float, num_steps: int, b1: float = 0.5, b2: float = 0.9
) -> optax.GradientTransformation:
    """The optimiser of variables without an axis of N codes: SGD for 'sgd', else Adam."""
    return optax.sgd(rate) if kind == 'sgd' else _adam(rate, num_steps, b1, b2)


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


def _adam(rate: float, num_steps: int, b1: float, b2: float) -> optax.GradientTransformation:
    return optax.adam(optax.cosine_decay_schedule(rate, num_steps), b1, b2)
