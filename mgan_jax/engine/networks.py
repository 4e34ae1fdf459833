"""The networks that a run's settings name, loaded and checked to fit each other before the first image."""

import functools
import os
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from mgan_jax import losses, models, tasks
from mgan_jax.engine import from_settings, memory
from mgan_jax.models import dip, perceptual

KINDS = {
    models.Generator: 'a generator',
    models.Extractor: 'a feature extractor',
    models.Lpips: 'a set of LPIPS heads',
    models.Encoder: 'an encoder',
}


class Perception(NamedTuple):
    """distance, weights: the perceptual loss, None without one. lpips(x, y): [B H W C] twice -> [B], None without heads."""

    distance: perceptual.Distance | None = None
    weights: Any = None
    lpips: Callable | None = None


def load_networks(
    settings: dict, own: tuple[models.Generator, Any] | None = None
) -> tuple[models.Generator, Any, Perception]:
    """The generator, its weights and what the loss and the metrics see with. ValueError with one sentence.

    own: a generator of the caller's and its weights, instead of the one that the settings name. With remat 'auto',
    networks compute their feature maps twice where one image would take half of the memory that is left otherwise.
    """
    found = _load_all(settings, own)
    if settings['remat'] == 'auto' and image_bytes(settings, *found) > memory.available_bytes() / 2:
        return _load_all(settings | {'remat': 'on'}, own)
    return found


def _load_all(settings: dict, own: tuple[models.Generator, Any] | None) -> tuple[models.Generator, Any, Perception]:
    if own is None:
        generator, params = load_generator(settings)
    else:
        generator, params = require_generator(own[0], settings), own[1]
    return generator, params, load_perception(settings, generator.image_size)


def image_bytes(settings: dict, generator: models.Generator, params: Any, perception: Perception) -> int:
    """An estimate of what a step of one image takes, see `memory.step_bytes`; the same for all tasks."""
    chosen = {name: settings[name] for name in ('layer', 'space', 'pixel', 'perceptual', 'extractor_size')}
    prior = from_settings.make_prior(settings, generator)
    chosen |= {'distance': perception.distance, 'compose': prior.compose}
    objective = losses.objective(generator, tasks.reconstruct(), **chosen)

    def start(params, weights):
        codes = prior.init(jax.random.split(jax.random.key(0), 1), params)
        image = jnp.zeros((1, *generator.image_size, generator.image_channels))
        return codes, objective.prepare(image, params, weights)

    codes, arguments = jax.eval_shape(start, params, perception.weights)
    return memory.step_bytes(objective.evaluate, codes, *arguments)


def load_generator(settings: dict) -> tuple[models.Generator, dict]:
    """The generator and its weights. ValueError with one sentence if it cannot be used."""
    if not settings['generator']:  # see `presets.require_values`
        return require_generator(dip.build_placeholder_generator(settings['dip_size']), settings), {}
    generator, params = _load('generator', models.Generator, settings)
    return require_generator(generator, settings), models.cast(params, settings['dtype'])


def require_generator(generator: models.Generator, settings: dict) -> models.Generator:
    """The generator with the label that the settings ask for. ValueError with one sentence if it cannot be used."""
    if settings['label'] >= 0:
        generator = models.conditioned(generator, settings['label'])
    if settings['task'] == 'colorize' and generator.image_channels != 3:
        raise ValueError(f"generator '{settings['generator']}' makes grey images; one that makes colours is wanted.")
    return generator


def load_perception(settings: dict, image_size: tuple[int, int]) -> Perception:
    """The extractor, and the LPIPS heads if there are any. ValueError with one sentence if they cannot be used.

    image_size: (H, W) of the results that LPIPS measures; the loss sees `extractor_size`. The loss is computed in the
    type that the settings ask for, the metric in float32.
    """
    if not settings['perceptual'] and not settings['lpips']:
        return Perception()
    name, size, layer = (settings[field] for field in ('extractor', 'extractor_size', 'extractor_layer'))
    extractor, params = _load('extractor', models.Extractor, settings)
    distance, weights, measure = (
        perceptual.feature_distance(extractor, layer),
        models.cast(params, settings['dtype']),
        None,
    )
    what = f"extractor '{name}' cannot give extractor_layer '{layer}' at extractor_size {size}"
    if settings['lpips']:
        lpips, both = _load_lpips(settings, extractor, params, image_size)
        measure = functools.partial(jax.jit(lambda weights, x, y: lpips(weights, x, y)), both)
        if settings['perceptual_loss'] == 'lpips':
            distance, weights = lpips, (weights, both[1])
            what = f"extractor '{name}' cannot give LPIPS at extractor_size {size}"
    if not settings['perceptual']:
        return Perception(lpips=measure)
    _rehearse(distance, weights, (size, size), what)
    return Perception(distance, weights, measure)


def _load_lpips(settings: dict, extractor: models.Extractor, params: dict, image_size: tuple[int, int]):
    """-> LPIPS and its weights, which fit the extractor."""
    lpips, heads = _load('lpips', models.Lpips, settings)
    what = f"lpips '{settings['lpips']}' cannot be used with extractor '{settings['extractor']}'"
    try:
        distance = perceptual.lpips_distance(extractor, lpips)
    except ValueError as error:
        raise ValueError(f'{what}: {error}') from error
    _rehearse(distance, (params, heads), image_size, what)
    return distance, (params, heads)


def _load(field: str, kind: type, settings: dict) -> tuple[Any, dict]:
    options = {'remat': True} if settings['remat'] == 'on' and kind is not models.Lpips else {}
    model, params = models.load(os.path.expanduser(settings[field]), **options)
    if not isinstance(model, kind):
        raise ValueError(f"{field} '{settings[field]}' holds {KINDS[type(model)]}; {KINDS[kind]} is wanted.")
    return model, _prepared(model, params, settings)


def _prepared(model: Any, params: dict, settings: dict) -> dict:
    """The weights with transformed kernels beside them, if the settings want them and they are quicker here."""
    if not settings['winograd'] or settings['dtype'] != 'float32' or jax.default_backend() != 'cpu':
        return params
    if isinstance(model, models.Lpips):
        return params
    return jax.device_put(model.prepare(jax.device_get(params)))  # on the host, where nothing is compiled


def _rehearse(distance: perceptual.Distance, weights: Any, size: tuple[int, int], what: str) -> None:
    """Shapes only: raises what the networks object to in images of this size. what: the start of the sentence."""
    try:
        jax.eval_shape(distance.describe, weights, jax.ShapeDtypeStruct((1, *size, 3), jnp.float32))
    except ValueError as error:
        raise ValueError(f'{what}: {error}') from error
