"""The networks of an encoder's training: generator, encoder and perceptual distance."""

import functools
import math
import os
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from mgan_jax import models
from mgan_jax.encoder import training_step
from mgan_jax.encoder.training_step import LossWeights
from mgan_jax.models import perceptual
from mgan_jax.models.convolutions.plain import trainable_conv
from mgan_jax.models.encoder import build_encoder, weights_checksum

MAX_CHANNELS, MAX_SIDE = 128, 256  # of the network by default; it sees images of at most MAX_SIDE pixels a side


class TrainingOptions(NamedTuple):
    """Options of a training.

    generator, extractor: model directories or embedded models; without an extractor there is no perceptual loss. space: 'z'
    or 'w'. label: the class of a class-conditional generator, -1 for none. channels: of the encoder after each halving, None
    for `choose_channels`. images: the number of samples to train on; or minutes: the time; the other one is 0.
    """

    generator: str
    space: str = 'z'
    label: int = -1
    channels: Sequence[int] | None = None
    extractor: str = ''
    extractor_layer: str = 'relu3_3'
    weights: LossWeights = LossWeights()
    images: int = 0
    minutes: float = 0.0


class TrainingSetup(NamedTuple):
    """The networks of a training.

    params: the generator's weights. distance: the perceptual distance, None for none; distance_params: its weights.
    score(params, encoder_params, keys): `training_step.score_encoder`, compiled.
    """

    generator: models.Generator
    params: Any
    encoder: models.Encoder
    distance: perceptual.Distance | None
    distance_params: Any
    score: Callable


def load_setup(options: TrainingOptions) -> tuple[TrainingSetup, dict]:
    """Loads the networks of a training; returns them and the configuration of the encoder's model directory.

    Raises ValueError with one sentence if a model cannot be used or does not fit the options.
    """
    generator, params = _load_model(options.generator, models.Generator, 'a generator')
    classes = generator.styles.num_classes if generator.styles else 0
    if classes or options.label >= 0:
        generator = models.conditioned(generator, options.label)
    configuration = _configure(options, generator, params)
    encoder = build_encoder(**configuration, conv=trainable_conv)
    params = generator.prepare(params)
    distance, distance_params = _load_distance(options, generator)
    score = jax.jit(functools.partial(training_step.score_encoder, generator, encoder))
    return TrainingSetup(generator, params, encoder, distance, distance_params, score), configuration


def choose_channels(image_size: tuple[int, int]) -> list[int]:
    """Returns the default channels after each halving: 16, 32, 64 ... up to MAX_CHANNELS.

    image_size: (H, W). The halvings lead from images of at most MAX_SIDE pixels a side down to 4.
    """
    halvings = max(1, round(math.log2(min(MAX_SIDE, *image_size) / 4)))
    return [min(16 * 2**number, MAX_CHANNELS) for number in range(halvings)]


def _configure(options: TrainingOptions, generator: models.Generator, params: Any) -> dict[str, Any]:
    """The arguments of `build_encoder`."""
    keys = jax.random.split(jax.random.key(0), 1)
    codes = jax.eval_shape(lambda p: training_step.sample_codes(generator, p, options.space, keys), params)
    return {
        'image_size': list(generator.image_size),
        'image_channels': generator.image_channels,
        'latent_dim': codes.shape[-1],
        'channels': list(options.channels or choose_channels(generator.image_size)),
        'space': options.space,
        'made_for': weights_checksum(params),
        'label': options.label,
    }


def _load_distance(
    options: TrainingOptions, generator: models.Generator
) -> tuple[perceptual.Distance | None, dict | None]:
    """The perceptual distance and its weights, if there are any. ValueError for a layer that does not exist."""
    if not (options.extractor and options.weights.perceptual):
        return None, None
    extractor, params = _load_model(options.extractor, models.Extractor, 'a feature extractor')
    distance, params = perceptual.feature_distance(extractor, options.extractor_layer), extractor.prepare(params)
    image = jax.ShapeDtypeStruct((1, *generator.image_size, generator.image_channels), np.float32)
    jax.eval_shape(distance.describe, params, image)
    return distance, params


def _load_model(name: str, kind: type, kind_in_words: str) -> tuple[Any, dict]:
    model, params = models.load(os.path.expanduser(name))
    if not isinstance(model, kind):
        raise ValueError(f"'{name}' is given; {kind_in_words} is wanted.")
    return model, params
