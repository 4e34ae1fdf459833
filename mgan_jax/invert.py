"""`python -m mgan_jax.invert --config configs/sr.py [--config.FIELD=VALUE ...]`: restores images from files into files."""

import difflib
import importlib.metadata
import math
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from absl import flags
from ml_collections import config_flags
from tqdm import tqdm

from mgan_jax import cases, composition, images, inversion, losses, masks, metrics, models, results, tasks

USAGE = 'python -m mgan_jax.invert --config configs/sr.py [--config.FIELD=VALUE ...]'
BUNDLED = Path(__file__).parent / 'demo' / 'images'
REPORTS = 10  # how often the progress bar measures, in a run of one batch


class Job(NamedTuple):
    """A run, checked and ready to start. finish(state, observation, params) -> (inversion, result), [B R R C]."""

    settings: dict
    sources: list[images.Source]
    generator: models.Generator
    params: dict
    vgg: dict | None
    optimizer: optax.GradientTransformation
    step: inversion.Step
    finish: jax.stages.Wrapped


def main(arguments: list[str]) -> int:
    """The exit code: 0 every image is done, 2 nothing was started, 3 some images failed."""
    try:
        settings = read_settings(arguments)
        job = prepare(settings)
        out = _out(settings)
        results.start(out, settings, _machine())
    except ValueError as error:
        print(_sentence(error), file=sys.stderr)
        return 2
    try:
        failed = restore(job, out)
    except KeyboardInterrupt:
        print(f'interrupted; what was finished is in {out}, and the same command goes on.', file=sys.stderr)
        return 130
    except (OSError, jax.errors.JaxRuntimeError) as error:
        advice = (
            'what was finished is kept; free disk space or memory (a smaller --config.batch_size) and run it again.'
        )
        print(f'{_sentence(error)}; {advice}', file=sys.stderr)
        return 3
    rows = results.write_table(out, [source.name for source in job.sources], failed)
    print(_summary(rows, out))
    return 3 if any(row['status'] != results.DONE for row in rows) else 0


def read_settings(arguments: list[str]) -> dict:
    """The fields of the configuration file and of the flags. ValueError with one sentence if they cannot be used."""
    values = flags.FlagValues()
    config = config_flags.DEFINE_config_file('config', flag_values=values)
    try:
        rest = values(['invert', *arguments])
    except FileNotFoundError as error:
        raise ValueError(f"there is no configuration file '{error.filename}'; usage: {USAGE}.") from error
    except (flags.Error, AttributeError, KeyError, TypeError, ValueError, ImportError, SyntaxError) as error:
        raise ValueError(f'the flags cannot be used: {_sentence(error)}{_suggestion(arguments, config)}') from error
    if rest[1:]:
        raise ValueError(f"'{rest[1]}' is not a flag; usage: {USAGE}.")
    if config.value is None:
        raise ValueError(f'no --config was given; usage: {USAGE}.')
    return config.value.to_dict()


def _out(settings: dict) -> Path:
    if not settings['out']:
        raise ValueError('no output folder was given; set --config.out.')
    return Path(settings['out']).expanduser()


def _suggestion(arguments: list[str], config) -> str:
    try:
        fields = list(config.value)
    except (AttributeError, flags.Error, TypeError):
        return ''
    for name in re.findall(r'--config\.(\w+)', ' '.join(arguments)):
        if name not in fields:
            close = difflib.get_close_matches(name, fields, n=1)
            return f"; did you mean '{close[0]}'?" if close else f'; the fields are {", ".join(fields)}.'
    return ''


def prepare(settings: dict) -> Job:
    """Checks everything that can be checked before the first image. ValueError with one sentence."""
    _check(settings)
    generator, params = models.load(settings['generator'])
    if not isinstance(generator, models.Generator):
        raise ValueError(f"generator '{settings['generator']}' holds a feature extractor; a generator is wanted.")
    extractor, vgg = models.load(settings['extractor']) if settings['perceptual'] else (None, None)
    if extractor is not None and not isinstance(extractor, models.Extractor):
        raise ValueError(f"extractor '{settings['extractor']}' holds a generator; a feature extractor is wanted.")
    sources = images.find(settings['images'], BUNDLED)
    size = (generator.resolution, generator.resolution)
    task = cases.make_task(settings, masks.parse(settings['mask'], size, 0) if 'mask' in settings else cases.NO_HOLE)
    chosen = {name: settings[name] for name in ('pixel', 'perceptual', 'extractor_layer', 'extractor_size')}
    place = {name: settings[name] for name in ('layer', 'space')}
    objective = losses.objective(generator, task, extractor=extractor, **chosen, **place)
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
    return Job(settings, sources, generator, params, vgg, optimizer, step, jax.jit(finish))


def _check(settings: dict) -> None:
    if not settings['generator']:
        raise ValueError(
            "no generator was given; set --config.generator to 'demo' or to a directory that `python -m converters` made."
        )
    if settings['perceptual'] and not settings['extractor']:
        raise ValueError(
            f'the perceptual weight is {settings["perceptual"]}, but no extractor was given; set --config.extractor to a '
            'model directory, or --config.perceptual=0 to do without.'
        )
    if not settings['images']:
        raise ValueError('no images were given; set --config.images to a file, a folder, a glob or a list of them.')
    for name in ('steps', 'batch_size', 'num_codes'):
        if settings[name] < 1:
            raise ValueError(f'{name} is {settings[name]}; at least 1 is wanted.')
    for name, wanted in (('optimizer', ('adam', 'sgd')), ('keep', ('best', 'last'))):
        if settings[name] not in wanted:
            raise ValueError(f"{name} is '{settings[name]}'; '{wanted[0]}' or '{wanted[1]}' is wanted.")


def _optimizer(settings: dict) -> optax.GradientTransformation:
    rates = settings['latent_rate'], settings['alpha_rate'] / (_n_squared(settings))
    if settings['optimizer'] == 'sgd':
        return composition.split_optimizer(*map(optax.sgd, rates))
    schedules = [optax.cosine_decay_schedule(rate, settings['steps']) for rate in rates]
    return composition.split_optimizer(*map(optax.adam, schedules))


def _n_squared(settings: dict) -> int:
    return settings['num_codes'] ** 2 if settings['alpha_over_n'] else 1


def _codes(keys: jax.Array, generator: models.Generator, params: dict, settings: dict) -> composition.Codes:
    alpha = 1 / _n_squared(settings) if settings['alpha_over_n'] else None
    place = {name: settings[name] for name in ('num_codes', 'layer', 'space')}
    return composition.init(keys, generator, params, batch=keys.shape[0], alpha=alpha, **place)


def restore(job: Job, out: Path) -> dict[str, str]:
    """Does what is not done yet, batch by batch. -> the reason for each image that failed."""
    todo = [source for source in job.sources if not results.is_done(out, source.name)]
    size = min(job.settings['batch_size'], max(1, len(todo)))
    failed: dict[str, str] = {}
    num_steps = job.settings['steps'] * math.ceil(len(todo) / size)
    with tqdm(total=num_steps, unit='step', disable=None, dynamic_ncols=True) as bar:
        began, done = time.monotonic(), 0
        for batch in _batches(job, todo, size, failed):
            for name, result in _restore_batch(job, batch, size, bar):
                if result is None:
                    failed[name] = 'the loss was never finite; check the weights and the learning rates'
                else:
                    results.write(out, name, result)
            done += len(batch)
            bar.set_description(f'{60 * done / (time.monotonic() - began):.1f} images/min')
            results.write_table(out, [source.name for source in job.sources], failed)
    return failed


def _batches(job: Job, todo: list[images.Source], size: int, failed: dict[str, str]) -> Iterator[list[cases.Case]]:
    batch = []
    for source in todo:
        try:
            batch.append(cases.read(source, job.generator, job.settings))
        except (ValueError, OSError) as error:
            failed[source.name] = _sentence(error)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def _restore_batch(
    job: Job, batch: list[cases.Case], size: int, bar: tqdm
) -> Iterator[tuple[str, results.Result | None]]:
    """Inverts a batch; it is filled up to `size` with copies of its last image, so that every batch has one program."""
    began, settings = time.monotonic(), job.settings
    full = batch + [batch[-1]] * (size - len(batch))
    root = jax.random.key(settings['seed'])
    keys = jnp.stack([jax.random.fold_in(root, case.number) for case in full])
    observation = jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *[case.observation for case in full])
    state = inversion.init(_codes(keys, job.generator, job.params, settings), job.optimizer)
    arguments = job.step.prepare(observation, job.params, job.vgg)
    remaining = settings['steps']
    while remaining:
        chunk = min(remaining, max(1, settings['steps'] // REPORTS))
        state, trace = inversion.advance(job.step, state, *arguments, num_steps=chunk)
        remaining -= chunk
        _report(job, bar, chunk, state, trace, full, observation)
    codes, loss = state.best_codes, state.best_loss
    if settings['keep'] == 'last':
        codes, loss = state.codes, trace['loss'][-1]
    inverted, restored = (jnp.clip(x, -1, 1) for x in job.finish(codes, observation, job.params))
    seconds = (time.monotonic() - began) / len(batch)
    for i, case in enumerate(batch):
        if not np.isfinite(state.best_loss[i]):
            yield case.name, None
            continue
        row = {'name': case.name, 'status': _status(int(state.failed_at[i])), 'loss': float(loss[i])}
        row |= _measure(case, restored[i][None]) | {'steps': settings['steps'], 'seconds': round(seconds, 3)}
        pictures = {'input': _picture(case), 'result': restored[i], 'inversion': inverted[i]}
        if case.target is not None:
            pictures['target'] = case.target[0]
        own = jax.tree.map(lambda leaf, i=i: np.asarray(leaf[i]), codes)
        arrays = {title: np.asarray(picture) for title, picture in pictures.items()}
        yield case.name, results.Result(arrays, own.latents, own.alpha, row)


def _report(job: Job, bar: tqdm, chunk: int, state, trace: dict, full: list[cases.Case], observation) -> None:
    jax.block_until_ready(trace)
    if not bar.disable:
        figures = {'loss': f'{float(jnp.mean(trace["loss"][-1])):.4f}'}
        targets = [case.target for case in full if case.target is not None]
        if len(targets) == len(full):
            _, restored = job.finish(state.codes, observation, job.params)
            target = jnp.concatenate(targets)
            figures['PSNR'] = f'{float(jnp.mean(metrics.psnr(jnp.clip(restored, -1, 1), target))):.1f} dB'
        bar.set_postfix(figures, refresh=False)
    bar.update(chunk)


def _status(failed_at: int) -> str:
    if failed_at < 0:
        return results.DONE
    return f'the loss became infinite or NaN at step {failed_at}; this is the best iterate before'


def _measure(case: cases.Case, restored: jax.Array) -> dict[str, float]:
    if case.target is None:
        return {}
    values = {'psnr': metrics.psnr(restored, case.target), 'input_psnr': metrics.psnr(case.naive, case.target)}
    if restored.shape[1] >= 11:
        values['ssim'] = metrics.ssim(restored, case.target)
    return {name: round(float(value[0]), 4) for name, value in values.items() if np.isfinite(value[0])}


def _picture(case: cases.Case) -> jax.Array:
    return jnp.clip(tasks.pixels(case.observation)[0], -1, 1)


def _machine() -> dict:
    packages = ('mgan_jax', 'jax', 'jaxlib', 'flax', 'optax', 'orbax-checkpoint', 'numpy', 'pillow')
    return {
        'versions': {name: importlib.metadata.version(name) for name in packages},
        'devices': [device.device_kind for device in jax.devices()],
    }


def _summary(rows: list[dict], out: Path) -> str:
    done = [row for row in rows if row['status'] == results.DONE]
    text = f'{len(done)} of {len(rows)} images done'
    if psnr := [row['psnr'] for row in done if 'psnr' in row]:
        text += f', PSNR {np.mean(psnr):.2f} dB'
    if before := [row['input_psnr'] for row in done if 'input_psnr' in row]:
        text += f' (inputs {np.mean(before):.2f} dB)'
    reasons = ''.join(f'\n  {row["name"]}: {row["status"]}' for row in rows if row['status'] != results.DONE)
    return f'{text}: {out}{reasons}'


def _sentence(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f'{error.filename}: {error.strerror}'
    return ' '.join(str(error).split())


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
