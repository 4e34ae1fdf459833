"""Builds the prior and the optimiser that settings name."""

import optax

from mgan_jax import models, optimizers, priors
from mgan_jax.models import dip


def make_prior(settings: dict, generator: models.Generator) -> priors.Prior:
    place = {name: settings[name] for name in ('layer', 'space')}
    if settings['prior'] == 'dip':
        return priors.deep_image_prior(generator, channels=settings['dip_channels'], jitter=settings['dip_jitter'])
    alpha = 1 / _n_squared(settings) if settings['alpha_over_n'] else None
    start = priors.multi_code_prior(
        generator,
        **place,
        num_codes=settings['num_codes'],
        alpha=alpha,
        tail=settings['tail'] == 'learned',
        noise=settings['noise'],
        spread=settings['init_spread'],
    )
    return start if settings['prior'] == 'multi-code' else priors.feature_map_prior(generator, start=start, **place)


def make_optimizer(settings: dict) -> optax.GradientTransformation:
    kind, common = (
        settings['optimizer'],
        {'num_steps': settings['steps'], 'b1': settings['beta1'], 'b2': settings['beta2']},
    )
    if settings['prior'] == 'dip':
        return dip.deep_prior_optimizer(optimizers.single_optimizer(kind, rate=settings['dip_rate'], **common))
    if settings['prior'] == 'feature-map':
        return optimizers.single_optimizer(kind, rate=settings['feature_rate'], **common)
    rates = {'latent_rate': settings['latent_rate'], 'alpha_rate': settings['alpha_rate'] / _n_squared(settings)}
    return optimizers.code_optimizer(kind, **rates, **common)


def _n_squared(settings: dict) -> int:
    return settings['num_codes'] ** 2 if settings['alpha_over_n'] else 1
