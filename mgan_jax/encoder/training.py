"""Training of an encoder on random samples of its generator: runs the steps, keeps checkpoints and a log.

`train_encoder` writes a model directory DESTINATION. DESTINATION.training has checkpoints, log.csv and training.json; the
same call continues from the last checkpoint. With `images` for the length, the weights are the same to the bit.
"""

import csv
import json
import math
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from mgan_jax import models
from mgan_jax.encoder import training_setup, training_step
from mgan_jax.encoder.training_setup import TrainingOptions, TrainingSetup
from mgan_jax.encoder.training_step import EncoderState
from mgan_jax.models.orbax import ocp
from mgan_jax.storage import atomic

RATE = 2e-3  # Adam's highest learning rate
WARM_UP = 0.02  # share of the training in which the rate rises
SAVE_SECONDS = 60.0  # between checkpoints
NUM_HELD_OUT, SCORE_BATCH = 64, 16  # samples that score the encoder; samples at once
SEED, HELD_OUT_SEED = 1, 2
NUM_MEASURED = 4096  # samples that give the mean and the deviation of w


class TrainingProgress(NamedTuple):
    """The state of a training after so many images and seconds."""

    state: EncoderState
    images: int = 0
    seconds: float = 0.0


def train_encoder(
    options: TrainingOptions,
    destination: Path,
    *,
    overwrite: bool = False,
    report: Callable[[str], Any] = lambda line: None,
) -> dict[str, float]:
    """Trains an encoder to the end and writes its model directory; returns its scores on held-out samples.

    overwrite: replace the model directory `destination`. report(line): called with a line of text at the start and after each
    checkpoint. The scores are 'correlation' of the codes and 'psnr' of the images in dB, see `training_step.score_encoder`.

    Raises ValueError with one sentence if the options or networks cannot be used, if `destination` exists, or if its training
    folder is of another generator or network.
    """
    _require_length(options)
    target = destination.absolute()
    if os.path.lexists(target) and not (overwrite and models.is_model_directory(target)):
        raise ValueError(f'{destination} exists already; name another, or --overwrite an encoder.')
    setup, configuration = training_setup.load_setup(options)
    folder = target.with_name(target.name + '.training')
    _keep_configuration(folder / 'training.json', configuration)
    progress = _train(setup, options, folder, report)
    source = {'file': Path(options.generator).name, 'format': 'trained by mgan_jax.encoder'}
    models.save(target, 'encoder', configuration, progress.state.params, source, overwrite=overwrite)
    return _score_held_out(setup, progress.state.params)


def schedule_rate(done: float) -> float:
    """Returns the learning rate: a linear rise to RATE over WARM_UP, times a cosine that falls to 0.

    done: the share of the training that is done, in [0, 1].
    """
    return RATE * min(1.0, done / WARM_UP) * (1 + math.cos(math.pi * done)) / 2


def measure_progress(options: TrainingOptions, progress: TrainingProgress) -> float:
    """Returns the share of the training that is done, from 0; at least 1 at the end."""
    return progress.images / options.images if options.images else progress.seconds / 60 / options.minutes


def _require_length(options: TrainingOptions) -> None:
    if (options.images > 0) == (0 < options.minutes < math.inf):
        raise ValueError(
            f'images is {options.images} and minutes is {options.minutes}; one of them is to be above 0: give --images or '
            '--minutes.'
        )


def _keep_configuration(path: Path, configuration: dict) -> None:
    """Writes training.json. ValueError if there is one with another configuration."""
    text = json.dumps(configuration, indent=2) + '\n'
    if path.exists() and path.read_text(encoding='utf-8') != text:
        raise ValueError(
            f'{path.parent} keeps a training of another generator or network; remove it or name another destination.'
        )
    atomic.write_text(path, text)


def _init_state(setup: TrainingSetup) -> EncoderState:
    """Random weights; the mean and the deviation of w are measured on random samples."""
    params = setup.encoder.init(jax.random.key(SEED))
    if setup.encoder.space == 'w':
        keys = jax.random.split(jax.random.key(SEED), NUM_MEASURED)
        codes = jax.jit(lambda p: training_step.sample_codes(setup.generator, p, 'w', keys))(setup.params)
        params |= {'mean': codes.mean(axis=0), 'deviation': codes.std(axis=0) + 1e-6}
    return training_step.init_encoder_state(setup.encoder, params)


def _train(
    setup: TrainingSetup, options: TrainingOptions, folder: Path, report: Callable[[str], Any]
) -> TrainingProgress:
    """Trains from the last checkpoint in `folder` to the end; saves a checkpoint and a row of log.csv every SAVE_SECONDS."""
    progress, began = TrainingProgress(_init_state(setup)), time.monotonic()
    policy = ocp.training.preservation_policies.LatestN(2)
    with ocp.training.Checkpointer(folder / 'checkpoints', preservation_policy=policy) as checkpoints:
        if checkpoints.latest is not None:
            images = checkpoints.latest.step
            progress = _unpack_progress(images, checkpoints.load(images, _pack_progress(progress)))
        report(f'{progress.images} images seen, ready after {time.monotonic() - began:.0f} s')
        steps = _run_steps(setup, options, progress)
        for progress, losses in steps:
            checkpoints.save(progress.images, _pack_progress(progress), overwrite=True)
            row = losses | _score_held_out(setup, progress.state.params)
            _append_row(folder / 'log.csv', row)
            report(' '.join(f'{name} {value}' for name, value in row.items()))
    return progress


def _pack_progress(progress: TrainingProgress) -> dict:
    """What a checkpoint has; the number of images is its name."""
    return progress.state._asdict() | {'seconds': np.array(progress.seconds)}


def _unpack_progress(images: int, content: dict) -> TrainingProgress:
    return TrainingProgress(EncoderState(content['params'], content['moments']), images, float(content['seconds']))


def _run_steps(
    setup: TrainingSetup, options: TrainingOptions, progress: TrainingProgress
) -> Iterator[tuple[TrainingProgress, dict]]:
    """Runs steps to the end of the training; yields (progress, row of mean losses) whenever a checkpoint is due."""
    step = training_step.make_encoder_step(setup.generator, setup.encoder, setup.distance, options.weights)
    root, history, began = jax.random.key(SEED), [], time.monotonic() - progress.seconds
    saved = time.monotonic()
    while (done := measure_progress(options, progress)) < 1:
        key, rate = jax.random.fold_in(root, progress.images), np.float32(schedule_rate(done))
        state, losses = step(progress.state, key, rate, setup.params, setup.distance_params)
        history.append({name: float(value) for name, value in losses.items()})
        progress = TrainingProgress(state, progress.images + training_step.BATCH_SIZE, time.monotonic() - began)
        if time.monotonic() - saved > SAVE_SECONDS or measure_progress(options, progress) >= 1:
            means = {name: round(float(np.mean([row[name] for row in history])), 5) for name in losses}
            yield progress, {'images': progress.images, 'seconds': round(progress.seconds), **means}
            saved, history = time.monotonic(), []


def _score_held_out(setup: TrainingSetup, encoder_params: dict) -> dict[str, float]:
    """Mean correlation and PSNR over the held-out samples."""
    keys = jax.random.split(jax.random.key(HELD_OUT_SEED), NUM_HELD_OUT)
    batches = [
        setup.score(setup.params, encoder_params, keys[i : i + SCORE_BATCH])
        for i in range(0, NUM_HELD_OUT, SCORE_BATCH)
    ]
    correlation, psnr = (np.concatenate(values) for values in zip(*batches, strict=True))
    return {'correlation': round(float(correlation.mean()), 4), 'psnr': round(float(psnr.mean()), 3)}


def _append_row(path: Path, row: dict) -> None:
    new = not path.exists()
    with path.open('a', newline='', encoding='utf-8') as file:
        writer = csv.DictWriter(file, row)
        if new:
            writer.writeheader()
        writer.writerow(row)
