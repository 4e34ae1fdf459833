"""From settings to written results: what a run needs is checked and loaded once, then images go through in batches."""

import importlib.metadata
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from tqdm import tqdm

from mgan_jax import (
    cases,
    composition,
    inversion,
    losses,
    masks,
    metrics,
    models,
    networks,
    presets,
    results,
    sources,
    tasks,
)
from mgan_jax.errors import sentence

BUNDLED = Path(__file__).parent / 'demo' / 'images'
REPORTS = 10  # how often the progress bar moves in a batch
BAR = '{percentage:3.0f}% |{bar}| {elapsed} gone, {remaining} left{postfix}'


class Job(NamedTuple):
    """A run, checked and ready to start. finish(state, observation, params) -> (inversion, result), [B H W C].

    vgg: the weights of the perceptual loss. lpips(result, target): [B H W C] twice -> [B], None without heads.
    """

    settings: dict
    sources: list[sources.Source]
    generator: models.Generator
    params: dict
    vgg: Any
    optimizer: optax.GradientTransformation
    step: inversion.Step
    finish: jax.stages.Wrapped
    lpips: Callable | None


def prepare(settings: dict, own: tuple[models.Generator, Any] | None = None) -> Job:
    """Checks everything that can be checked before the first image. ValueError with one sentence.

    own: a generator of the caller's and its weights, instead of the one that the settings name.
    """
    if own is not None:
        settings = settings | {'generator': settings['generator'] or "the caller's own"}
    presets.require_fields(settings)
    presets.require_values(settings)
    generator, params, (distance, vgg, lpips) = networks.load(settings, own)
    found = sources.find(settings['images'], BUNDLED)
    size = generator.image_size
    task = cases.make_task(settings, masks.parse(settings['mask'], size, 0) if 'mask' in settings else cases.NO_HOLE)
    chosen = {name: settings[name] for name in ('pixel', 'perceptual', 'extractor_size')}
    place = {name: settings[name] for name in ('layer', 'space')}
    objective = losses.objective(generator, task, distance=distance, **chosen, **place)
    optimizer = _optimizer(settings)

    def finish(codes, observation, params):
        image = composition.compose(generator, params, codes, **place)
        return image, task.finish(image, observation)

    def rehearse(key, image):
        codes = _codes(key[None], generator, params, settings)
        return objective(codes, task.degrade(image), params, vgg)

    blank = jnp.zeros((1, *size, generator.image_channels))
    jax.eval_shape(rehearse, jax.random.key(0), blank)  # shapes only: raises what the networks and the task object to
    step = inversion.make_step(objective, optimizer)
    return Job(settings, found, generator, params, vgg, optimizer, step, jax.jit(finish), lpips)


def _optimizer(settings: dict) -> optax.GradientTransformation:
    rates = settings['latent_rate'], settings['alpha_rate'] / _n_squared(settings)
    if settings['optimizer'] == 'sgd':
        return composition.split_optimizer(*map(optax.sgd, rates))
    schedules = [optax.cosine_decay_schedule(rate, settings['steps']) for rate in rates]
    return composition.split_optimizer(*map(optax.adam, schedules))


def _n_squared(settings: dict) -> int:
    return settings['num_codes'] ** 2 if settings['alpha_over_n'] else 1


def _codes(keys: jax.Array, generator: models.Generator, params: dict, settings: dict) -> composition.Codes:
    alpha = 1 / _n_squared(settings) if settings['alpha_over_n'] else None
    place = {name: settings[name] for name in ('num_codes', 'layer', 'space', 'noise')}
    tail = settings['tail'] == 'learned'
    return composition.init(keys, generator, params, batch=keys.shape[0], alpha=alpha, tail=tail, **place)


def run(settings: dict, own: tuple[models.Generator, Any] | None = None) -> list[dict]:
    """Everything that the command line does with these settings, for callers in Python: -> the rows of metrics.csv.

    own: as in `prepare`. ValueError with one sentence if nothing was started; an image that fails has the reason in its row.
    """
    job = prepare(settings, own)
    out = Path(settings['out']).expanduser()
    results.start(out, job.settings, machine(), job.sources)
    return results.write_table(out, [source.name for source in job.sources], restore(job, out))


def restore(job: Job, out: Path) -> dict[str, str]:
    """Does what is not done yet, batch by batch. -> the reason for each image that failed."""
    todo = [source for source in job.sources if not results.is_done(out, source.name)]
    size = min(job.settings['batch_size'], len(job.sources))  # also where few are missing: same program, same results
    failed: dict[str, str] = {}
    with tqdm(total=len(todo) * job.settings['steps'], disable=None, dynamic_ncols=True, bar_format=BAR) as bar:
        for batch in _batches(job, todo, size, failed):
            for source, result in _restore_batch(job, batch, size, bar):
                try:
                    if result is None:
                        raise ValueError('its loss or image is not finite; check the weights and the learning rates')
                    results.write(out, source, result)
                except ValueError as error:
                    failed[source.name] = sentence(error)
            results.write_table(out, [source.name for source in job.sources], failed)
    return failed


def _batches(job: Job, todo: list[sources.Source], size: int, failed: dict[str, str]) -> Iterator[list[cases.Case]]:
    batch = []
    for source in todo:
        try:
            batch.append(cases.read(source, job.generator, job.settings))
        except (ValueError, OSError) as error:
            failed[source.name] = sentence(error)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def _restore_batch(
    job: Job, batch: list[cases.Case], size: int, bar: tqdm
) -> Iterator[tuple[sources.Source, results.Result | None]]:
    """Inverts a batch; it is filled up to `size` with copies of its last image, so that every batch has one program."""
    began = time.monotonic()
    full = batch + [batch[-1]] * (size - len(batch))
    observation = jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *[case.observation for case in full])
    codes, loss, failed_at = _invert(job, full, observation, len(batch), bar)
    inverted, restored = job.finish(codes, observation, job.params)
    sound = np.isfinite(loss) & np.isfinite(inverted).all(axis=(1, 2, 3))
    inverted, restored = jnp.clip(inverted, -1, 1), jnp.clip(restored, -1, 1)
    seconds = round((time.monotonic() - began) / len(batch), 3)
    for i, case in enumerate(batch):
        if not sound[i]:
            yield case.source, None
            continue
        row = {'name': case.source.name, 'status': _status(int(failed_at[i])), 'loss': float(loss[i])}
        row |= _measure(job, case, restored[i][None]) | {'steps': job.settings['steps'], 'seconds': seconds}
        pictures = {'input': _picture(case), 'result': restored[i], 'inversion': inverted[i]}
        if case.target is not None:
            pictures['target'] = case.target[0]
        own = jax.tree.map(lambda leaf, i=i: np.asarray(leaf[i]), codes)
        arrays = {title: np.asarray(picture) for title, picture in pictures.items()}
        yield case.source, results.Result(arrays, _arrays(own), row)


def _invert(job: Job, full: list[cases.Case], observation, count: int, bar: tqdm):
    """-> the codes that become the results, their loss [B], and the step at which an image failed [B], or -1."""
    settings, root = job.settings, jax.random.key(job.settings['seed'])
    keys = jnp.stack([jax.random.fold_in(root, case.number) for case in full])
    state = inversion.init(_codes(keys, job.generator, job.params, settings), job.optimizer)
    arguments = job.step.prepare(observation, job.params, job.vgg)
    remaining = settings['steps']
    while remaining:
        chunk = min(remaining, max(1, settings['steps'] // REPORTS))
        state, trace = inversion.advance(job.step, state, *arguments, num_steps=chunk)
        remaining -= chunk
        jax.block_until_ready(trace)
        bar.update(count * chunk)
        if not bar.disable:
            bar.set_postfix(_figures(job, bar, state, trace, full, observation))
    if settings['keep'] == 'best':
        return state.best_codes, state.best_loss, state.failed_at
    return state.codes, jnp.where(state.failed_at < 0, trace['loss'][-1], state.best_loss), state.failed_at


def _figures(job: Job, bar: tqdm, state, trace: dict, full: list[cases.Case], observation) -> dict[str, str]:
    """What the progress bar shows: means over the batch as it stands, and the pace of the run."""
    figures = {'loss': f'{float(jnp.mean(trace["loss"][-1])):.4f}'}
    targets = [case.target for case in full if case.target is not None]
    if len(targets) == len(full):
        _, restored = job.finish(state.codes, observation, job.params)
        psnr = metrics.psnr(jnp.clip(restored, -1, 1), jnp.concatenate(targets))
        figures['PSNR'] = f'{float(jnp.mean(psnr)):.1f} dB'
    pace = 60 * bar.n / job.settings['steps'] / bar.format_dict['elapsed']
    return figures | {'images/min': f'{pace:.1f}'}


def _arrays(codes: composition.Codes) -> dict[str, np.ndarray]:
    """The arrays of codes by their names: latents, alpha, and tail, noise, or parts such as alpha_rgb where there are any."""
    leaves = jax.tree_util.tree_flatten_with_path(codes)[0]
    return {jax.tree_util.keystr(path, simple=True, separator='_'): leaf for path, leaf in leaves}


def _status(failed_at: int) -> str:
    if failed_at < 0:
        return results.DONE
    return f'the loss became infinite or NaN at step {failed_at}; this is the best iterate before'


def _measure(job: Job, case: cases.Case, restored: jax.Array) -> dict[str, float]:
    if case.target is None:
        return {}
    values = {'psnr': metrics.psnr(restored, case.target), 'input_psnr': metrics.psnr(case.naive, case.target)}
    if restored.shape[1] >= 11:
        values['ssim'] = metrics.ssim(restored, case.target)
    if job.lpips is not None:
        values['lpips'] = job.lpips(restored, case.target)
    return {name: round(float(value[0]), 4) for name, value in values.items() if np.isfinite(value[0])}


def _picture(case: cases.Case) -> jax.Array:
    return jnp.clip(tasks.pixels(case.observation)[0], -1, 1)


def machine() -> dict:
    """What a run's config.json tells of the machine: versions and devices."""
    packages = ('mgan_jax', 'jax', 'jaxlib', 'flax', 'optax', 'orbax-checkpoint', 'numpy', 'pillow')
    return {
        'versions': {name: _version(name) for name in packages},
        'devices': [device.device_kind for device in jax.devices()],
    }


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:  # run from a source tree
        return 'not installed'
