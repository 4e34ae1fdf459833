"""`python -m mgan_jax.encoder GENERATOR DESTINATION` trains an encoder for a generator, on samples of it; docs/encoder.md.

DESTINATION becomes a model directory of the architecture 'encoder'. DESTINATION.training keeps checkpoints and log.csv: the same
command continues where it was stopped, and goes on longer when it is given more --images or --minutes (and --overwrite).
"""

import argparse
import csv
import functools
import json
import math
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from mgan_jax import models
from mgan_jax.encoder import training_step
from mgan_jax.models import perceptual
from mgan_jax.models.convolutions.plain import trainable_conv
from mgan_jax.models.encoder import SPACES, build_encoder, weights_checksum
from mgan_jax.models.orbax import ocp
from mgan_jax.settings.errors import one_sentence
from mgan_jax.storage import atomic

RATE, WARM = 2e-3, 0.02  # Adam's, and the share of the training in which it grows to that; then it falls to 0 (cosine)
SAVE_SECONDS = 60.0  # between checkpoints
HELD_OUT, SCORED = 64, 16  # samples for the log, and how many at once
SEED, HELD_OUT_SEED = 1, 2
MEASURED = 4096  # samples by which codes are standardised
WIDEST, FINEST = 128, 256  # channels of the network, and pixels a side that it sees, if none are given


class TrainingSetup(NamedTuple):
    """Who teaches and who learns. params, vgg: weights of the generator and of the distance, which may be None.
    score(params, own, keys): `training_step.score_encoder`, compiled."""

    generator: models.Generator
    params: Any
    encoder: models.Encoder
    distance: perceptual.Distance | None
    vgg: Any
    score: Callable


class TrainingProgress(NamedTuple):
    """How far a training has come: images seen, seconds it took."""

    state: training_step.EncoderState
    images: int = 0
    seconds: float = 0.0


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 0 the encoder is written, 2 it is not, and why is said in one sentence."""
    try:
        options = _options(arguments)
        scores = train_encoder(options)
    except (OSError, ValueError) as error:
        print(one_sentence(error), file=sys.stderr)
        return 2
    print(f'{options.destination}: on {HELD_OUT} other samples, {scores}')
    return 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog='python -m mgan_jax.encoder', description=__doc__)
    parser.add_argument('generator', help="a model directory, or 'demo'")
    parser.add_argument('destination', type=Path)
    parser.add_argument('--extractor', help="a model directory, or 'demo-extractor', for the loss on features")
    parser.add_argument('--extractor-layer', default='relu3_3')
    parser.add_argument('--space', choices=SPACES, default='z')
    parser.add_argument('--label', type=int, default=-1, help='the class, of a class-conditional generator')
    parser.add_argument('--channels', type=_numbers, help='after each halving, such as 16,32,64,80')
    parser.add_argument('--images', type=int, default=0, help='samples to learn from')
    parser.add_argument('--minutes', type=float, default=0, help='of training, instead of --images')
    parser.add_argument(
        '--pixel', type=float, default=training_step.LossWeights().pixel, help='weight of the loss on pixels'
    )
    parser.add_argument(
        '--perceptual', type=float, default=training_step.LossWeights().perceptual, help='weight of features'
    )
    parser.add_argument('--overwrite', action='store_true', help='replace the model directory DESTINATION')
    options = parser.parse_args(arguments)
    if (options.images > 0) == (0 < options.minutes < math.inf):
        raise ValueError('how long is not said; give --images or --minutes, a number above 0.')
    if not all(0 <= weight < math.inf for weight in (options.pixel, options.perceptual)):
        raise ValueError('--pixel and --perceptual are finite numbers of at least 0.')
    return options


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(',')]


def train_encoder(options: argparse.Namespace) -> str:
    """Trains what is not trained yet and writes the model directory. -> how good it is, in words."""
    destination = options.destination.absolute()
    if os.path.lexists(destination) and not (options.overwrite and models.is_model_directory(destination)):
        raise ValueError(f'{options.destination} exists already; name another, or --overwrite an encoder.')
    school, configuration = _school(options)
    folder = destination.with_name(destination.name + '.training')
    _same_as_before(folder / 'training.json', configuration)
    reached = _continued(school, options, folder)
    source = {'file': Path(options.generator).name, 'format': 'trained by mgan_jax.encoder'}
    models.save(destination, 'encoder', configuration, reached.state.params, source, overwrite=options.overwrite)
    return ', '.join(f'{name} {value}' for name, value in _scores(school, reached.state.params).items())


def _school(options: argparse.Namespace) -> tuple[TrainingSetup, dict]:
    """The networks, and the configuration of the encoder's model directory."""
    generator, params = _loaded(options.generator, models.Generator, 'a generator')
    classes = generator.styles.num_classes if generator.styles else 0
    if classes or options.label >= 0:
        generator = models.conditioned(generator, options.label)
    keys = jax.random.split(jax.random.key(0), 1)
    codes = jax.eval_shape(lambda p: training_step.sample_codes(generator, p, options.space, keys), params)
    configuration: dict[str, Any] = {
        'image_size': list(generator.image_size),
        'image_channels': generator.image_channels,
        'latent_dim': codes.shape[-1],
        'channels': options.channels or default_channels(generator.image_size),
        'space': options.space,
        'made_for': weights_checksum(params),
        'label': options.label,
    }
    encoder = build_encoder(**configuration, conv=trainable_conv)
    params, distance, vgg = generator.prepare(params), None, None
    if options.extractor and options.perceptual:
        extractor, vgg = _loaded(options.extractor, models.Extractor, 'a feature extractor')
        distance, vgg = perceptual.feature_distance(extractor, options.extractor_layer), extractor.prepare(vgg)
        image = jax.ShapeDtypeStruct((1, *generator.image_size, generator.image_channels), np.float32)
        jax.eval_shape(distance.describe, vgg, image)  # ValueError for a layer that is not there
    score = jax.jit(functools.partial(training_step.score_encoder, generator, encoder))
    return TrainingSetup(generator, params, encoder, distance, vgg, score), configuration


def default_channels(image_size: tuple[int, int]) -> list[int]:
    """16, 32, 64 ... for each halving of images, of at most 256 pixels a side, down to 4."""
    halvings = max(1, round(math.log2(min(FINEST, *image_size) / 4)))
    return [min(16 * 2**number, WIDEST) for number in range(halvings)]


def _loaded(name: str, kind: type, what: str) -> tuple[Any, dict]:
    model, params = models.load(os.path.expanduser(name))
    if not isinstance(model, kind):
        raise ValueError(f"'{name}' is given; {what} is wanted.")
    return model, params


def _same_as_before(path: Path, configuration: dict) -> None:
    text = json.dumps(configuration, indent=2) + '\n'
    if path.exists() and path.read_text(encoding='utf-8') != text:
        raise ValueError(
            f'{path.parent} keeps a training of another generator or network; remove it or name another destination.'
        )
    atomic.write_text(path, text)


def _beginning(school: TrainingSetup) -> training_step.EncoderState:
    """Random weights; the codes of w are measured."""
    params = school.encoder.init(jax.random.key(SEED))
    if school.encoder.space == 'w':
        keys = jax.random.split(jax.random.key(SEED), MEASURED)
        codes = jax.jit(lambda p: training_step.sample_codes(school.generator, p, 'w', keys))(school.params)
        params |= {'mean': codes.mean(axis=0), 'deviation': codes.std(axis=0) + 1e-6}
    return training_step.init_encoder_state(school.encoder, params)


def _continued(school: TrainingSetup, options: argparse.Namespace, folder: Path) -> TrainingProgress:
    """The end of the training, of which each part is kept."""
    reached, began = TrainingProgress(_beginning(school)), time.monotonic()
    keep = ocp.training.preservation_policies.LatestN(2)
    with ocp.training.Checkpointer(folder / 'checkpoints', preservation_policy=keep) as checkpoints:
        if checkpoints.latest is not None:
            images = checkpoints.latest.step
            found = checkpoints.load(images, _kept(reached))
            reached = TrainingProgress(
                training_step.EncoderState(found['params'], found['moments']), images, float(found['seconds'])
            )
        print(f'{reached.images} images seen, ready after {time.monotonic() - began:.0f} s', flush=True)
        for after, log in _run(school, options, reached):
            reached = after
            checkpoints.save(reached.images, _kept(reached), overwrite=True)
            _write_log(folder / 'log.csv', log | _scores(school, reached.state.params))
    return reached


def _kept(reached: TrainingProgress) -> dict:
    return reached.state._asdict() | {'seconds': np.array(reached.seconds)}


def _run(
    school: TrainingSetup, options: argparse.Namespace, reached: TrainingProgress
) -> Iterator[tuple[TrainingProgress, dict]]:
    """Trains to the end, yielding (reached, log) whenever it is time to save."""
    weights = training_step.LossWeights(options.pixel, options.perceptual)
    step = training_step.make_encoder_step(school.generator, school.encoder, school.distance, weights)
    root, logs, began = jax.random.key(SEED), [], time.monotonic() - reached.seconds
    saved = time.monotonic()
    while (share := _share(options, reached)) < 1:
        rate = RATE * min(1.0, share / WARM) * (1 + math.cos(math.pi * share)) / 2
        key = jax.random.fold_in(root, reached.images)
        state, log = step(reached.state, key, np.float32(rate), school.params, school.vgg)
        logs.append({name: float(value) for name, value in log.items()})
        reached = TrainingProgress(state, reached.images + training_step.BATCH, time.monotonic() - began)
        if time.monotonic() - saved > SAVE_SECONDS or _share(options, reached) >= 1:
            means = {name: round(float(np.mean([log[name] for log in logs])), 5) for name in log}
            yield reached, {'images': reached.images, 'seconds': round(reached.seconds), **means}
            saved, logs = time.monotonic(), []


def _share(options: argparse.Namespace, reached: TrainingProgress) -> float:
    """How much of the training is done, 0 to 1."""
    return reached.images / options.images if options.images else reached.seconds / 60 / options.minutes


def _scores(school: TrainingSetup, own: dict) -> dict[str, float]:
    """Means over held-out samples: correlation of codes, PSNR of the images that the told codes give."""
    keys = jax.random.split(jax.random.key(HELD_OUT_SEED), HELD_OUT)
    parts = [school.score(school.params, own, keys[i : i + SCORED]) for i in range(0, HELD_OUT, SCORED)]
    cosine, psnr = (np.concatenate(part) for part in zip(*parts, strict=True))
    return {'correlation': round(float(cosine.mean()), 4), 'psnr': round(float(psnr.mean()), 3)}


def _write_log(path: Path, row: dict) -> None:
    fresh = not path.exists()
    with path.open('a', newline='', encoding='utf-8') as file:
        writer = csv.DictWriter(file, row)
        if fresh:
            writer.writeheader()
        writer.writerow(row)
    print(*(f'{name} {value}' for name, value in row.items()), flush=True)


if __name__ == '__main__':
    sys.exit(main())
