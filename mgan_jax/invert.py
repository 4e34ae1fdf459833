"""`python -m mgan_jax.invert --config configs/sr.py [--config.FIELD=VALUE ...]`: restores images from files into files."""

import difflib
import importlib.metadata
import math
import os
import re
import runpy
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
from ml_collections import ConfigDict, config_flags
from tqdm import tqdm

from mgan_jax import cases, composition, images, inversion, losses, masks, metrics, models, presets, results, tasks

USAGE = 'python -m mgan_jax.invert --config configs/sr.py [--config.FIELD=VALUE ...]'
BUNDLED = Path(__file__).parent / 'demo' / 'images'
REPORTS = 10  # how often the progress bar moves in a batch
BAR = '{percentage:3.0f}% |{bar}| {elapsed} gone, {remaining} left{postfix}'


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
    """The exit code: 0 every image is done, 2 nothing was started, 3 some images failed, 130 interrupted."""
    if arguments in (['--help'], ['-h']):
        print(f'usage: {USAGE}\nThe fields and their values by task and preset are in {presets.__file__}.')
        return 0
    try:
        return _run(arguments)
    except KeyboardInterrupt:
        print('interrupted; what was finished is kept, and the same command goes on.', file=sys.stderr)
        return 130


def _run(arguments: list[str]) -> int:
    try:
        settings = read_settings(arguments)
        job = prepare(settings)
        out = Path(settings['out']).expanduser()
        results.start(out, settings, _machine(), job.sources)
    except ValueError as error:
        print(_sentence(error), file=sys.stderr)
        return 2
    try:
        failed = restore(job, out)
        rows = results.write_table(out, [source.name for source in job.sources], failed)
    except (OSError, jax.errors.JaxRuntimeError) as error:
        advice = (
            'what was finished is kept; free disk space or memory (a smaller --config.batch_size) and run it again.'
        )
        print(f'{_sentence(error)}; {advice}', file=sys.stderr)
        return 3
    print(_summary(rows, out))
    return 3 if any(row['status'] != results.DONE for row in rows) else 0


def read_settings(arguments: list[str]) -> dict:
    """The fields of the configuration file, as the flags change them. ValueError with one sentence."""
    path, rest = _config_path(arguments)
    config = _load(path)
    values = flags.FlagValues()
    command_line = ['invert', *rest]
    try:
        config_flags.DEFINE_config_dict('config', config, flag_values=values, sys_argv=command_line)
        extra = values(command_line)[1:]
    except (flags.Error, AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(_explain(error, rest, config.to_dict())) from error
    if extra:
        raise ValueError(f"'{extra[0]}' is not a flag; usage: {USAGE}.")
    settings = config.to_dict()
    presets.require_fields(settings)
    return settings


def _config_path(arguments: list[str]) -> tuple[str, list[str]]:
    """The value of --config, and the other arguments."""
    values = flags.FlagValues()
    values.set_gnu_getopt()
    path = flags.DEFINE_string('config', None, 'a configuration file', flag_values=values)
    try:
        rest = values(['invert', *arguments], known_only=True)[1:]
    except flags.Error as error:
        raise ValueError(f'{_sentence(error)}; usage: {USAGE}.') from error
    if not path.value:
        given = f'{", ".join(rest)} without --config' if rest else 'no --config'
        raise ValueError(f'{given} was given; usage: {USAGE}.')
    return path.value, rest


def _load(path: str) -> ConfigDict:
    """get_config() of the Python file `path`, or get_config(PRESET) for FILE:PRESET."""
    file, *preset = path.split(':', 1)
    if not Path(file).is_file():
        raise ValueError(f"there is no configuration file '{file}'; usage: {USAGE}.")
    try:
        program = runpy.run_path(file)
        if 'get_config' not in program:
            raise ValueError('it has no function get_config.')
        config = program['get_config'](*preset)
    except ValueError as error:
        raise ValueError(f'the configuration {path} cannot be used: {_sentence(error)}') from error
    except Exception as error:  # the file is a program, and can raise anything
        reason = f'{type(error).__name__}: {_sentence(error)}'
        raise ValueError(f'the configuration {path} cannot be used: it raises {reason}.') from error
    if not isinstance(config, ConfigDict):
        raise ValueError(f'get_config in {file} returns {type(config).__name__}; a ConfigDict is wanted.')
    return config


def _explain(error: Exception, arguments: list[str], fields: dict) -> str:
    """What is wrong with the flags, in this command's words."""
    for argument in arguments:
        name = re.match(r'--?(?:no)?config\.([^=]*)', argument)
        if name and name[1] not in fields:
            close = difflib.get_close_matches(name[1], fields, n=1)
            hint = f"did you mean '{close[0]}'?" if close else f'the fields are {", ".join(fields)}.'
            return f"task '{fields.get('task')}' has no field '{name[1]}'; {hint}"
    if isinstance(error, flags.UnrecognizedFlagError):
        return f"there is no flag '{error.flagname}'; usage: {USAGE}."
    name = re.search(r'--config\.(\w+)', str(error))
    if name is None:
        return f'{_sentence(error)}; usage: {USAGE}.'
    given, example = _sentence(error).split(': ')[0], fields[name[1]]  # after the colon comes what Python's int() says
    return f'{given}; {presets.KINDS.get(type(example))} is wanted, as in --config.{name[1]}={example}.'


def prepare(settings: dict) -> Job:
    """Checks everything that can be checked before the first image. ValueError with one sentence."""
    _check(settings)
    generator, params = models.load(os.path.expanduser(settings['generator']))
    if not isinstance(generator, models.Generator):
        raise ValueError(f"generator '{settings['generator']}' holds a feature extractor; a generator is wanted.")
    if settings['task'] == 'colorize' and generator.image_channels != 3:
        raise ValueError(f"generator '{settings['generator']}' makes grey images; one that makes colours is wanted.")
    extractor, vgg = _load_extractor(settings) if settings['perceptual'] else (None, None)
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


def _load_extractor(settings: dict) -> tuple[models.Extractor, dict]:
    name, layer, size = (settings[field] for field in ('extractor', 'extractor_layer', 'extractor_size'))
    extractor, vgg = models.load(os.path.expanduser(name))
    if not isinstance(extractor, models.Extractor):
        raise ValueError(f"extractor '{name}' holds a generator; a feature extractor is wanted.")
    try:
        jax.eval_shape(lambda image: extractor.features(vgg, image, layer), jnp.zeros((1, size, size, 3)))
    except ValueError as error:
        given = f"extractor '{name}' cannot give extractor_layer '{layer}' at extractor_size {size}"
        raise ValueError(f'{given}: {error}') from error
    return extractor, vgg


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
    if not settings['out']:
        raise ValueError('no output folder was given; set --config.out.')
    if not settings['images'].strip(' ,'):
        raise ValueError('no images were given; set --config.images to a file, a folder, a glob or a list of them.')
    for name in ('steps', 'batch_size', 'num_codes', 'extractor_size'):
        if settings[name] < 1:
            raise ValueError(f'{name} is {settings[name]}; at least 1 is wanted.')
    for name in ('pixel', 'perceptual', 'latent_rate', 'alpha_rate'):
        if not 0 <= settings[name] < math.inf:
            raise ValueError(f'{name} is {settings[name]}; a finite number of at least 0 is wanted.')
    if not settings['pixel'] and not settings['perceptual']:
        raise ValueError('pixel and perceptual are both 0, which leaves no loss; give one of them a weight.')
    if not 0 <= settings['seed'] < 2**32:
        raise ValueError(f'seed is {settings["seed"]}; a whole number from 0 to {2**32 - 1} is wanted.')
    for name, wanted in (('optimizer', ('adam', 'sgd')), ('keep', ('best', 'last'))):
        if settings[name] not in wanted:
            raise ValueError(f"{name} is '{settings[name]}'; '{wanted[0]}' or '{wanted[1]}' is wanted.")


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
    place = {name: settings[name] for name in ('num_codes', 'layer', 'space')}
    return composition.init(keys, generator, params, batch=keys.shape[0], alpha=alpha, **place)


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
                    failed[source.name] = _sentence(error)
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
) -> Iterator[tuple[images.Source, results.Result | None]]:
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
        jax.block_until_ready(trace)
        bar.update(len(batch) * chunk)
        if not bar.disable:
            bar.set_postfix(_figures(job, bar, state, trace, full, observation))
    codes, loss = state.best_codes, state.best_loss
    if settings['keep'] == 'last':
        codes, loss = state.codes, jnp.where(state.failed_at < 0, trace['loss'][-1], state.best_loss)
    inverted, restored = job.finish(codes, observation, job.params)
    sound = np.isfinite(loss) & np.isfinite(inverted).all(axis=(1, 2, 3))
    inverted, restored = jnp.clip(inverted, -1, 1), jnp.clip(restored, -1, 1)
    seconds = (time.monotonic() - began) / len(batch)
    for i, case in enumerate(batch):
        if not sound[i]:
            yield case.source, None
            continue
        row = {'name': case.source.name, 'status': _status(int(state.failed_at[i])), 'loss': float(loss[i])}
        row |= _measure(case, restored[i][None]) | {'steps': settings['steps'], 'seconds': round(seconds, 3)}
        pictures = {'input': _picture(case), 'result': restored[i], 'inversion': inverted[i]}
        if case.target is not None:
            pictures['target'] = case.target[0]
        own = jax.tree.map(lambda leaf, i=i: np.asarray(leaf[i]), codes)
        arrays = {title: np.asarray(picture) for title, picture in pictures.items()}
        yield case.source, results.Result(arrays, own.latents, own.alpha, row)


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
        'versions': {name: _version(name) for name in packages},
        'devices': [device.device_kind for device in jax.devices()],
    }


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:  # run from a source tree
        return 'not installed'


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
