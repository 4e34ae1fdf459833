"""Trains the demo extractor: a small VGG that predicts the attributes of drawn scenes.

Its feature maps serve as perceptual features. Training images are augmented by small shifts, blur, noise and changes of
brightness and contrast, so that the features also work for images of a generator.
"""

import csv
import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from mgan_jax.demo import gan, landscape, scenes
from mgan_jax.models import vgg
from mgan_jax.models.convolutions.plain import trainable_conv
from mgan_jax.models.extractor import Extractor
from mgan_jax.models.orbax import ocp
from mgan_jax.storage import atomic

CONFIGURATION: dict[str, Any] = {
    'depths': [2, 2, 3],
    'channels': [16, 32, 64],
    'padding': 'zero',
    'attributes': list(landscape.ATTRIBUTES),
}
RESOLUTION, BATCH, IMAGES, RATE = 64, 16, 48_000, 3e-3
SAVE_EVERY = 100  # steps
MEASURED, STANDARDISED = 1000, 128  # scenes for the statistics of pixels and attributes, and of the initial layers
HELD_OUT, SCORED = 512, 2048  # scenes for the log, for the scores
SHIFT, NOISE, BRIGHTNESS, CONTRAST = 2, 0.06, 0.04, 0.06  # largest augmentations: in pixels, and of values in [-1, 1]


class ExtractorState(NamedTuple):
    """The weights of the network, of which 'input' stays constant, and the moments of Adam."""

    params: dict[str, Any]
    moments: optax.OptState


def build_demo_extractor() -> Extractor:
    """Builds the extractor that is trained."""
    return vgg.build_vgg(**CONFIGURATION, conv=trainable_conv)


def init_extractor_state(seed: int) -> ExtractorState:
    """The state before training: random weights, with `fit_preprocessing` and `standardise_weights` on the first
    scenes."""
    measured = scenes.draw_batch(seed, 0, MEASURED, RESOLUTION)
    params = build_demo_extractor().init(jax.random.key(seed)) | {'input': fit_preprocessing(measured.images)}
    some = gan.prepare_images(measured.images[:STANDARDISED], RESOLUTION)
    params = standardise_weights(params, some, measured.attributes.mean(axis=0))
    return ExtractorState(params, _optimizer().init(params))


def fit_preprocessing(images: np.ndarray) -> dict[str, Array]:
    """The 1x1 convolution (x - mean) / deviation for RGB in [0, 1], with the statistics of images, uint8 [B H W 3]."""
    pixels = images.reshape(-1, 3) / 255
    mean, deviation = pixels.mean(axis=0), pixels.std(axis=0)
    return {'kernel': jnp.float32(np.diag(1 / deviation)), 'bias': jnp.float32(-mean / deviation)}


def standardise_weights(params: dict[str, Any], images: np.ndarray, means: np.ndarray) -> dict[str, Any]:
    """Scales weights so that every channel has mean 0 and deviation 1 before its ReLU, on images [B H W 3].

    This initialisation replaces batch normalisation (Mishkin and Matas 2016, arXiv 1511.06422). The head predicts about
    `means` [A], the mean attributes.
    """
    features, params = build_demo_extractor().features, dict(params)
    for layer in build_demo_extractor().layers:
        name = layer.replace('relu', 'conv')
        kernel, bias = params[name]['kernel'], params[name]['bias']
        mirrored = params | {name: {'kernel': -kernel, 'bias': -bias}}
        before = features(params, images, layer) - features(mirrored, images, layer)  # relu(x) - relu(-x) = x
        mean, deviation = before.mean(axis=(0, 1, 2)), before.std(axis=(0, 1, 2))
        params[name] = {'kernel': kernel / deviation[None, None, None], 'bias': (bias - mean) / deviation}
    pooled = features(params, images, layer).mean(axis=(1, 2))  # [B C]
    kernel = 0.3 * params['head']['kernel'] / pooled.std(axis=0)[:, None]
    bias = jnp.log(means) - jnp.log1p(-means) - pooled.mean(axis=0) @ kernel
    return params | {'head': {'kernel': kernel, 'bias': bias}}


def augment_images(images: Array, key: Array) -> Array:
    """Changes contrast, brightness, blur and noise of each image at random, and shifts all alike: [B H W 3] in [-1,
    1]."""
    keys = jax.random.split(key, 3)
    shape = (len(images), 1, 1, 1)
    contrast, brightness, noise, blur = jax.random.uniform(keys[0], (4, *shape), minval=-1)
    row, column = jax.random.randint(keys[1], (2,), 0, 2 * SHIFT + 1)
    padded = jnp.pad(images, ((0, 0), (SHIFT, SHIFT), (SHIFT, SHIFT), (0, 0)), mode='edge')
    shifted = jax.lax.dynamic_slice(padded, (0, row, column, 0), images.shape)
    softened = shifted + jnp.maximum(blur, 0) * (_blur(shifted) - shifted)
    changed = (1 + CONTRAST * contrast) * softened + BRIGHTNESS * brightness
    noisy: Array = changed + NOISE * jnp.maximum(noise, 0) * jax.random.normal(keys[2], images.shape)
    return noisy


def cross_entropy(predicted: Array, true: Array) -> Array:
    """-t log p - (1 - t) log(1 - p): [B A], [B A] in [0, 1] -> [B A]."""
    predicted = jnp.clip(predicted, 1e-6, 1 - 1e-6)
    return -true * jnp.log(predicted) - (1 - true) * jnp.log1p(-predicted)


def weigh_attributes(attributes: np.ndarray) -> np.ndarray:
    """Weights [A] of mean 1 for the loss of attributes [B A]: 1 / variance, so that attributes of small variance
    count."""
    weights: np.ndarray = 1 / attributes.var(axis=0)
    weights /= weights.mean()
    return weights


def make_extractor_step() -> Callable[..., tuple[ExtractorState, Array]]:
    """step(state, images [B R R 3] in [-1, 1], attributes [B A], weights [A], key) -> (state, loss): one update.

    The step reuses the memory of `state`.
    """
    extractor = build_demo_extractor()

    def step(
        state: ExtractorState, images: Array, attributes: Array, weights: Array, key: Array
    ) -> tuple[ExtractorState, Array]:
        def loss(params: dict[str, Any]) -> Array:
            fixed = params | {'input': jax.lax.stop_gradient(params['input'])}  # its gradient is 0: Adam keeps it
            predicted = extractor.attributes(fixed, augment_images(images, key))
            return jnp.mean(cross_entropy(predicted, attributes) * weights[None])

        value, gradient = jax.value_and_grad(loss)(state.params)
        updates, moments = _optimizer().update(gradient, state.moments)
        return ExtractorState(optax.apply_updates(state.params, updates), moments), value

    return jax.jit(step, donate_argnums=0)


def predict_attributes(params: dict[str, Any], images: np.ndarray) -> np.ndarray:
    """Predicts the attributes of images, in batches of 128: uint8 [B R R 3] -> [B A]."""
    predict = jax.jit(build_demo_extractor().attributes)
    parts = [gan.prepare_images(images[i : i + 128], RESOLUTION) for i in range(0, len(images), 128)]
    return np.concatenate([predict(params, part) for part in parts])


def score_extractor(predicted: np.ndarray, true: np.ndarray) -> dict[str, dict[str, float]]:
    """{attribute: scores} of [B A]: the mean absolute error, and the accuracy of binary attributes or the
    correlation."""
    scores: dict[str, dict[str, float]] = {}
    for name, p, t in zip(CONFIGURATION['attributes'], predicted.T, true.T, strict=True):
        if np.isin(t, (0, 1)).all():
            measure, value = 'accuracy', np.mean((p > 0.5) == (t > 0.5))
        else:
            measure, value = 'correlation', np.corrcoef(p, t)[0, 1]
        error = np.mean(np.abs(p - t))
        scores[name] = {'mean_absolute_error': round(float(error), 4), measure: round(float(value), 4)}
    return scores


def train_extractor(folder: Path, seed: int, held_out_seed: int) -> dict[str, Any]:
    """Trains the extractor from its last checkpoint, writes FOLDER/extractor_scores.json and returns the weights."""
    folder.mkdir(parents=True, exist_ok=True)
    state, start = init_extractor_state(seed), 0
    held_out = scenes.draw_batch(held_out_seed, 0, HELD_OUT, RESOLUTION)
    keep = ocp.training.preservation_policies.LatestN(2)
    with ocp.training.Checkpointer(folder / 'extractor_checkpoints', preservation_policy=keep) as checkpoints:
        if checkpoints.latest is not None:
            start = checkpoints.latest.step
            state = ExtractorState(**checkpoints.load(start, state._asdict()))
        for seen, reached, log in _run(state, seed, start):
            state = reached
            checkpoints.save(seen, state._asdict(), overwrite=True)
            error = np.abs(predict_attributes(state.params, held_out.images) - held_out.attributes).mean()
            _write_log(folder / 'extractor_log.csv', {'images': seen, **log, 'mean_absolute_error': error})
    scored = scenes.draw_batch(held_out_seed, 0, SCORED, RESOLUTION)
    scores = score_extractor(predict_attributes(state.params, scored.images), scored.attributes)
    atomic.write_text(folder / 'extractor_scores.json', json.dumps(scores, indent=2) + '\n')
    for name, values in scores.items():
        print(f'{name:15}', *(f'{measure} {value:.4f}' for measure, value in values.items()), flush=True)
    return state.params


def _run(state: ExtractorState, seed: int, seen: int) -> Iterator[tuple[int, ExtractorState, dict[str, Any]]]:
    """Trains from image `seen` to the end; yields (seen, state, log) whenever a checkpoint is due."""
    step, key, began = make_extractor_step(), jax.random.key(seed), time.monotonic()
    losses: list[float] = []
    weights = weigh_attributes(scenes.draw_batch(seed, 0, MEASURED, RESOLUTION).attributes)
    with ThreadPoolExecutor(1) as pool:
        upcoming = pool.submit(scenes.draw_batch, seed, seen, BATCH, RESOLUTION)
        while seen < IMAGES:
            batch, upcoming = upcoming.result(), pool.submit(scenes.draw_batch, seed, seen + BATCH, BATCH, RESOLUTION)
            images = gan.prepare_images(batch.images, RESOLUTION)
            state, loss = step(state, images, batch.attributes, weights, jax.random.fold_in(key, seen))
            losses.append(float(loss))
            seen += BATCH
            if seen // BATCH % SAVE_EVERY == 0 or seen >= IMAGES:
                seconds = (time.monotonic() - began) / len(losses)
                yield seen, state, {'seconds_per_step': seconds, 'loss': np.mean(losses)}
                losses, began = [], time.monotonic()


def _write_log(path: Path, row: dict[str, Any]) -> None:
    row = {name: round(float(value), 4) if name != 'images' else value for name, value in row.items()}
    fresh = not path.exists()
    with path.open('a', newline='') as file:
        writer = csv.DictWriter(file, row)
        if fresh:
            writer.writeheader()
        writer.writerow(row)
    print(*(f'{name} {value}' for name, value in row.items()), flush=True)


def _blur(x: Array) -> Array:
    """The mean of 3x3 pixels, with repeated borders: [B H W C] -> [B H W C]."""
    h, w = x.shape[1:3]
    padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), mode='edge')
    return jnp.mean(jnp.stack([padded[:, i : i + h, j : j + w] for i in range(3) for j in range(3)]), axis=0)


def _optimizer() -> optax.GradientTransformation:
    steps = IMAGES // BATCH
    return optax.adam(optax.warmup_cosine_decay_schedule(0.0, RATE, steps // 20, steps, RATE / 100), b2=0.99)
