"""From settings to written results: what a run needs is checked and loaded once, then images go through a pool."""

import functools
import importlib.metadata
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from tqdm import tqdm

from mgan_jax import (
    cases,
    composition,
    losses,
    masks,
    metrics,
    models,
    networks,
    pool,
    presets,
    programs,
    results,
    sources,
    tasks,
)
from mgan_jax.errors import sentence

BUNDLED = Path(__file__).parent / 'demo' / 'images'
BAR = '{percentage:3.0f}% |{bar}| {elapsed} gone, {remaining} left{postfix}'

_psnr, _ssim = jax.jit(metrics.psnr), jax.jit(metrics.ssim)


class Job(NamedTuple):
    """A run, checked and ready to start.

    program: items are `cases.Case`s, the output is (inversion, result), [B H W C]. batch_size: how many images go through
    at once. lpips(result, target): [B H W C] twice -> [B], None without heads.
    """

    settings: dict
    sources: list[sources.Source]
    generator: models.Generator
    program: pool.Program
    batch_size: int
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
    chosen = {name: settings[name] for name in ('layer', 'space', 'pixel', 'perceptual', 'extractor_size')}
    objective = losses.objective(generator, task, distance=distance, **chosen)
    program = programs.build(settings, generator, task, objective, (params, vgg))
    batch_size = programs.batch_size(settings['batch_size'], len(found), generator, task, objective, program)
    return Job(settings, found, generator, program, batch_size, lpips)


def run(settings: dict, own: tuple[models.Generator, Any] | None = None) -> list[dict]:
    """Everything that the command line does with these settings, for callers in Python: -> the rows of metrics.csv.

    own: as in `prepare`. ValueError with one sentence if nothing was started; an image that fails has the reason in its row.
    """
    job = prepare(settings, own)
    out = Path(settings['out']).expanduser()
    results.start(out, job.settings, machine(), job.sources)
    return results.write_table(out, [source.name for source in job.sources], restore(job, out))


def restore(job: Job, out: Path) -> dict[str, str]:
    """Does what is not done yet, and writes each image as soon as it is finished. -> the reason for each that failed.

    MemoryError if the device cannot hold a step of one image.
    """
    todo = [source for source in job.sources if not results.is_done(out, source.name)]
    names, steps = [source.name for source in job.sources], job.settings['steps']
    rules = pool.Rules(steps, job.settings['tolerance'], job.settings['keep'])
    failed: dict[str, str] = {}
    with tqdm(total=len(todo) * steps, disable=None, dynamic_ncols=True, bar_format=BAR) as bar:
        turns = pool.run(
            job.program, _read(job, todo, failed, bar), job.batch_size, rules, watch=not bar.disable,
            tell=functools.partial(tqdm.write, file=sys.stderr),
        )  # fmt: skip
        for turn in turns:
            finished = [image for image in turn.images if image.finished]
            for image in finished:
                _write(job, out, image, failed)
            if finished:
                results.write_table(out, names, failed)
            bar.update(turn.steps * len(turn.images) + sum(image.left for image in finished))
            if not bar.disable:
                bar.set_postfix(_figures(steps, bar, turn))
    return failed


def _read(job: Job, todo: list[sources.Source], failed: dict[str, str], bar: tqdm) -> Iterator[pool.Entry]:
    for source in todo:
        try:
            case = cases.read(source, job.generator, job.settings)
        except (ValueError, OSError) as error:
            failed[source.name] = sentence(error)
            bar.update(job.settings['steps'])
        else:
            yield pool.Entry(case, programs.Start(np.array([case.number], np.uint32), case.observation))


def _write(job: Job, out: Path, image: pool.Image, failed: dict[str, str]) -> None:
    """Writes the result of a finished image, or the reason why there is none."""
    case: cases.Case = image.item
    try:
        if not (np.isfinite(image.loss) and np.isfinite(image.output[0]).all()):
            raise ValueError('its loss or image is not finite; check the weights and the learning rates')
        results.write(out, case.source, _result(job, image))
    except ValueError as error:
        failed[case.source.name] = sentence(error)


def _result(job: Job, image: pool.Image) -> results.Result:
    case: cases.Case = image.item
    inverted, restored = (np.clip(pixels, -1, 1) for pixels in image.output)
    row = {'name': case.source.name, 'status': _status(image.failed_at), 'loss': image.loss}
    row |= _measure(job, case, restored[None]) | {'steps': image.steps, 'seconds': round(image.seconds, 3)}
    pictures = {'input': np.clip(tasks.pixels(case.observation)[0], -1, 1), 'result': restored, 'inversion': inverted}
    if case.target is not None:
        pictures['target'] = case.target[0]
    arrays = {title: np.asarray(picture) for title, picture in pictures.items()}
    return results.Result(arrays, _arrays(image.codes), row)


def _figures(steps: int, bar: tqdm, turn: pool.Turn) -> dict[str, str]:
    """What the progress bar shows: means over the images as they stand, and the pace of the run."""
    figures = {'loss': f'{np.mean([image.loss for image in turn.images]):.4f}'}
    known = [image for image in turn.images if image.item.target is not None]
    if known:
        psnr = [_psnr(np.clip(image.output[1], -1, 1)[None], image.item.target) for image in known]
        figures['PSNR'] = f'{np.mean(psnr):.1f} dB'
    pace = 60 * bar.n / steps / bar.format_dict['elapsed']
    return figures | {'images/min': f'{pace:.1f}'}


def _arrays(codes: composition.Codes) -> dict[str, np.ndarray]:
    """The arrays of codes by their names: latents, alpha, and tail, noise, or parts such as alpha_rgb where there are any."""
    leaves = jax.tree_util.tree_flatten_with_path(codes)[0]
    return {jax.tree_util.keystr(path, simple=True, separator='_'): leaf for path, leaf in leaves}


def _status(failed_at: int) -> str:
    if failed_at < 0:
        return results.DONE
    return f'the loss became infinite or NaN at step {failed_at}; this is the best iterate before'


def _measure(job: Job, case: cases.Case, restored: np.ndarray) -> dict[str, float]:
    if case.target is None:
        return {}
    values = {'psnr': _psnr(restored, case.target), 'input_psnr': _psnr(case.naive, case.target)}
    if min(restored.shape[1:3]) >= 11:
        values['ssim'] = _ssim(restored, case.target)
    if job.lpips is not None:
        values['lpips'] = job.lpips(restored, case.target)
    return {name: round(float(value[0]), 4) for name, value in values.items() if np.isfinite(value[0])}


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
