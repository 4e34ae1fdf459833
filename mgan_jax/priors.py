"""What is optimised, and how it becomes an image: several codes, or what they are compared with (`prior`).

The tasks, the losses, the steps and the pool are the same for all of them.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array

from mgan_jax import composition, models, whitening
from mgan_jax.models import dip


class Prior(NamedTuple):
    """init(keys [B], params, first) -> what is optimised, leaves [B ...]; first: see `composition.around`, None for a random
    start. compose(params, codes) -> images [B H W C]. optimizer: its steps."""

    init: Callable
    compose: Callable
    optimizer: optax.GradientTransformation


def of(settings: dict, generator: models.Generator) -> Prior:
    """The prior that a run's settings name. ValueError if it cannot make images of the generator's size."""
    match settings['prior']:
        case 'multi-code':
            return multi_code(settings, generator)
        case 'feature-map':
            return feature_map(settings, generator)
        case 'dip':
            return deep_image_prior(settings, generator)
    raise ValueError(f"prior '{settings['prior']}' is given; multi-code, feature-map or dip is wanted.")


def multi_code(settings: dict, generator: models.Generator) -> Prior:
    """N codes and their channel importances (section 3.1); with N = 1 and an alpha_rate of 0 inversion with a single code."""
    place = {name: settings[name] for name in ('layer', 'space')}

    def init(keys: Array, params: Any, first: composition.Codes | None = None) -> composition.Codes:
        codes = _random_codes(keys, generator, params, settings)
        return codes if first is None else composition.around(codes, first, settings['init_spread'])

    def compose(params: Any, codes: composition.Codes) -> Array:
        return composition.compose(generator, params, codes, **place)

    return Prior(init, compose, code_optimizer(settings))


def feature_map(settings: dict, generator: models.Generator) -> Prior:
    """The feature maps after layer l themselves, and the styles of the layers after it, freely: what the paper compares with.

    They start as those that multi-code inversion starts with: the mean of N random codes' features, for N = 1 those of a
    random code.
    """
    start = multi_code(settings, generator)
    place = {name: settings[name] for name in ('layer', 'space')}

    def init(keys: Array, params: Any, first: composition.Codes | None = None) -> composition.Composed:
        composed = composition.combine(generator, params, start.init(keys, params, first), **place)
        return models.cast(composed, jnp.float32)

    def compose(params: Any, composed: composition.Composed) -> Array:
        return composition.render(generator, params, composed, layer=settings['layer'])

    return Prior(init, compose, single_optimizer(settings, settings['feature_rate']))


def deep_image_prior(settings: dict, generator: models.Generator) -> Prior:
    """The weights of an untrained network for each image (see `models.dip`); of the generator only the size of its images."""
    shape = generator.image_size, generator.image_channels
    network = dip.build(*shape, settings['dip_channels'], settings['dip_jitter'])
    optimizer = dip.optimizer(single_optimizer(settings, settings['dip_rate']))
    return Prior(
        lambda keys, params, first=None: network.init(keys), lambda params, codes: network.image(codes), optimizer
    )


def code_optimizer(settings: dict) -> optax.GradientTransformation:
    """What `settings` say of the steps: 'whitening' and 'adam' decay to 0 over a run, 'sgd' is the released code's."""
    rates = settings['latent_rate'], settings['alpha_rate'] / _n_squared(settings)
    if settings['optimizer'] == 'sgd':
        return composition.split_optimizer(*map(optax.sgd, rates))
    adams = [_adam(settings, rate) for rate in rates]
    if settings['optimizer'] == 'adam':
        return composition.split_optimizer(*adams)
    schedules = [optax.cosine_decay_schedule(rate, settings['steps']) for rate in rates]
    latents, alpha = (whitening.whiten(schedule) for schedule in schedules)
    return composition.split_optimizer(latents, alpha, rest=adams[0])  # no codes that resemble each other


def single_optimizer(settings: dict, rate: float) -> optax.GradientTransformation:
    """Where there are no N codes whose steps could be whitened: Adam, or SGD where that is asked for."""
    return optax.sgd(rate) if settings['optimizer'] == 'sgd' else _adam(settings, rate)


def _adam(settings: dict, rate: float) -> optax.GradientTransformation:
    schedule = optax.cosine_decay_schedule(rate, settings['steps'])
    return optax.adam(schedule, settings['beta1'], settings['beta2'])


def _n_squared(settings: dict) -> int:
    return settings['num_codes'] ** 2 if settings['alpha_over_n'] else 1


def _random_codes(keys: jax.Array, generator: models.Generator, params: Any, settings: dict) -> composition.Codes:
    alpha = 1 / _n_squared(settings) if settings['alpha_over_n'] else None
    place = {name: settings[name] for name in ('num_codes', 'layer', 'space', 'noise')}
    tail = settings['tail'] == 'learned'
    return composition.init(keys, generator, params, batch=keys.shape[0], alpha=alpha, tail=tail, **place)
