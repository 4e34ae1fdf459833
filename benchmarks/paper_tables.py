"""`python -m benchmarks.paper_tables FOLDER` fills the paper's tables 1 to 4 with measurements.

The tables are on inversion, colourisation, super-resolution and inpainting. Multi-code inversion and the methods that the
paper compares it with run on one generator and one set of images, by default the embedded demo and held-out scenes.
FOLDER/measured keeps a file for a few images and a method, so that the same command continues where it was stopped. Writes
FOLDER/tables.md, tables.csv and methods.png.
"""

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import jax
import numpy as np
from PIL import Image

from benchmarks import commands, held_out, paper_methods, paper_report, record
from benchmarks.paper_methods import PROBLEMS, Method
from mgan_jax import metrics, models, tasks
from mgan_jax.analysis import batch_inversion
from mgan_jax.analysis.batch_inversion import InvertedBatch
from mgan_jax.data.images import to_uint8
from mgan_jax.demo import scenes, train
from mgan_jax.metrics import colour, niqe
from mgan_jax.models import lpips, perceptual
from mgan_jax.run import jobs
from mgan_jax.run.pipeline import Job
from mgan_jax.settings import fields
from mgan_jax.settings.fields import Settings
from mgan_jax.storage import atomic

GROUP = 8  # images in a file
SHOWN = len(PROBLEMS)  # images that pictures are kept of, one for each row
PRISTINE, PATCH = 400, 32  # training scenes of the demo's NIQE model, and the side of its patches in pixels


def main(arguments: Sequence[str]) -> None:
    options = _parse(arguments)
    _complete_options(options)
    methods = _select_methods(options)
    for name, key in sorted(methods, key=lambda pair: pair[1] == 'dip'):  # the slowest method comes last
        measure_method(name, methods[name, key], key, options)
    paths = {pair: list(_list_paths(options, *pair).values()) for pair in methods}
    print(paper_report.write_tables(options.folder, paths, _describe(options, arguments)))


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = commands.make_parser('paper_tables', __doc__)
    parser.add_argument('folder', type=Path)
    parser.add_argument('--generator', default='demo', help='a model directory')
    parser.add_argument('--extractor', help='a model directory of VGG-16 or AlexNet')
    parser.add_argument('--lpips', default='', help='a model directory of LPIPS heads')
    parser.add_argument('--niqe', default='', help='a model that `python -m mgan_jax.pristine` made')
    parser.add_argument('--encoder', help='a model directory of an encoder for the generator')
    parser.add_argument('--images', help='a folder of images, as in --config.images')
    parser.add_argument('--count', type=int, default=64, help='images')
    parser.add_argument('--tables', type=commands.split_numbers, default=[1, 2, 3, 4])
    parser.add_argument('--methods', type=commands.split_words, help='only these')
    parser.add_argument(
        '--everywhere', action='store_true', help='all methods in all tables, also where the paper has none'
    )
    parser.add_argument('--steps', action='append', default=[], metavar='METHOD=NUMBER')
    parser.add_argument('--set', action='append', default=[], metavar='FIELD=VALUE', help='for all methods')
    return parser.parse_args(arguments)


def _complete_options(options: argparse.Namespace) -> None:
    """Fills in what the demo has by default. Raises ValueError for options that are missing or cannot be used."""
    demo = options.generator == 'demo'
    if not demo and not options.images:
        raise ValueError('no images were given for this generator; set --images to a folder of them.')
    if options.count < 1:
        raise ValueError(f'count is {options.count}; at least one image is wanted.')
    options.preset = 'demo' if demo else 'fast'
    options.extractor = ('demo-extractor' if demo else '') if options.extractor is None else options.extractor
    options.encoder = ('demo-encoder' if demo else '') if options.encoder is None else options.encoder
    options.steps = {name: int(number) for name, number in commands.split_pairs(options.steps, 'METHOD=NUMBER')}
    networks = {'generator': options.generator, 'extractor': options.extractor, 'lpips': options.lpips}
    no_loss = {} if options.extractor else {'perceptual': '0'}
    options.set = networks | no_loss | dict(commands.split_pairs(options.set))
    if demo and not options.images:
        options.images = held_out.write_scenes(options.folder / 'images', options.count)
    if demo and not options.niqe:
        options.niqe = _make_niqe_model(options.folder / 'niqe.npz')


def _make_niqe_model(path: Path) -> str:
    """The NIQE model of drawn scenes: written if it is not there."""
    if not path.exists():
        drawn = scenes.draw_batch(train.SEED, 0, PRISTINE).images
        photos = [np.float32(pixels) / 127.5 - 1 for pixels in drawn]
        niqe.pack_niqe_model(path, niqe.fit_niqe_model(photos, PATCH, 'drawn scenes'))
    return str(path)


def _select_methods(options: argparse.Namespace) -> dict[tuple[str, str], Method]:
    """{(problem, method name): method} for everything that the options ask for."""
    generator, _ = models.load(options.generator)
    if not isinstance(generator, models.Generator):
        raise ValueError(f"'{options.generator}' holds no generator; name one that `python -m converters` made.")
    known = paper_methods.list_methods(generator, options.encoder)
    for name in [*(options.methods or []), *options.steps]:
        if name not in known:
            raise ValueError(f"there is no method '{name}' here; the methods are {', '.join(known)}.")
    return {
        (name, key): method
        for name, problem in PROBLEMS.items()
        for key, method in known.items()
        if problem.number in options.tables and key in (options.methods or known)
        if options.everywhere or name in method.problems
    }


def measure_method(name: str, method: Method, key: str, options: argparse.Namespace) -> None:
    """Measures a method on a problem; writes a file for each group of images that has no file of these settings."""
    settings = paper_methods.make_run_settings(
        PROBLEMS[name],
        method,
        options.preset,
        options.set | {'images': options.images, 'niqe': options.niqe},
        options.steps.get(key),
    )
    flat = fields.flatten_settings(settings)
    missing = {first: path for first, path in _list_paths(options, name, key).items() if not _is_current(path, flat)}
    if not missing:
        return
    job = jobs.prepare_job(settings)
    if len(job.sources) < options.count:
        raise ValueError(f'{options.count} images are asked for, and there are {len(job.sources)}; lower --count.')
    distance = _load_distance(job)
    for first, path in missing.items():
        batch = batch_inversion.invert_images(job, job.sources[first : min(first + GROUP, options.count)])
        content = {'method': method.title, 'settings': flat, 'machine': record.describe_cpu()}
        content |= _describe_batch(batch, settings) | _measure_batch(batch, job, distance)
        if first == 0:
            _keep_pictures(options.folder / 'pictures', name, key, batch)
        atomic.write_text(path, json.dumps(content) + '\n')
        print(f'{path.name}: {np.mean(content["measures"]["PSNR"]):.2f} dB', flush=True)


def _list_paths(options: argparse.Namespace, name: str, key: str) -> dict[int, Path]:
    """{number of the first image: file of its group}."""
    firsts = range(0, options.count, GROUP)
    return {first: options.folder / 'measured' / f'{name}_{key}_{first:04d}.json' for first in firsts}


def _is_current(path: Path, flat: dict) -> bool:
    return path.exists() and record.read_record(path)['settings'] == flat


def _describe_batch(batch: InvertedBatch, settings: Settings) -> dict:
    """Names, loss, time, and the number of values that are optimised for an image."""
    codes = batch.codes
    if settings.prior.prior == 'dip':
        codes = codes.weights
    elif settings.prior.prior == 'multi-code' and not settings.optimizer.alpha_rate:
        codes = codes._replace(alpha=None)
    values = sum(leaf[0].size for leaf in jax.tree.leaves(codes))
    names = [image.source.name for image in batch.observed]
    return {'images': names, 'values': values, 'seconds_per_image_step': batch.seconds, 'loss': batch.loss.tolist()}


def _measure_batch(batch: InvertedBatch, job: Job, distance: Callable | None) -> dict:
    """Measures of the results and of the inputs; of inpainting also of the inversions, as in the paper; NIQE of targets."""
    input_images = np.concatenate([image.input_image for image in batch.observed])
    content = {'measures': _measure_images(batch.result, batch, job, distance)}
    if isinstance(job.settings.task, fields.Inpaint):  # the inversion does not contain the known pixels
        content['inversion'] = _measure_images(batch.inversion, batch, job, distance)
    content['input'] = _measure_images(input_images, batch, job, distance)
    if job.measures.niqe is not None:
        content['target'] = {'NIQE': np.asarray(job.measures.niqe(batch.targets), float).tolist()}
    return content


def _load_distance(job: Job) -> Callable | None:
    """LPIPS with the heads of the settings; without heads LPIPS with weights of 1; None without an extractor."""
    name = job.settings.loss.extractor
    if job.measures.lpips is not None or not name:
        return job.measures.lpips
    extractor, params = models.load(name)
    image = jax.ShapeDtypeStruct((1, *job.generator.image_size, 3), np.float32)
    maps = jax.eval_shape(lambda params, image: extractor.features(params, image, extractor.stages), params, image)
    channels = [stage.shape[-1] for stage in maps]
    heads = {layer: np.ones(count, np.float32) for layer, count in zip(extractor.stages, channels, strict=True)}
    measure = perceptual.lpips_distance(extractor, lpips.build_lpips(extractor.stages, channels))
    compiled = jax.jit(lambda weights, x, y: measure(weights, x, y))
    return lambda x, y: compiled((params, heads), x, y)


def _measure_images(
    images: np.ndarray, batch: InvertedBatch, job: Job, distance: Callable | None
) -> dict[str, list[float]]:
    """Each measure of images [B H W C] in [-1, 1] against the targets, a number per image; without what cannot be measured."""
    targets = batch.targets
    values = {'PSNR': metrics.psnr(images, targets)}
    if min(targets.shape[1:3]) >= metrics.fidelity.WINDOW:
        values['SSIM'] = metrics.ssim(images, targets)
    if targets.shape[-1] == 3:
        values['AuC'] = 100 * colour.auc_ab(images, targets)
    if isinstance(batch.observed[0].observation, tasks.Masked):
        holes = np.concatenate([image.observation.hole for image in batch.observed])
        values['in holes'] = metrics.psnr(images, targets, holes)
    if distance is not None:
        values['distance'] = distance(images, targets)
    if job.measures.niqe is not None:
        values['NIQE'] = job.measures.niqe(images)
    return {name: np.asarray(value, float).tolist() for name, value in values.items()}


def _keep_pictures(folder: Path, name: str, key: str, batch: InvertedBatch) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    input_images = np.concatenate([image.input_image for image in batch.observed])
    for title, images in ((key, batch.result), ('input', input_images), ('target', batch.targets)):
        for number, image in enumerate(images[:SHOWN]):
            values = to_uint8(np.broadcast_to(image, (*image.shape[:2], 3)))
            Image.fromarray(values).save(folder / f'{name}_{title}_{number}.png')


def _describe(options: argparse.Namespace, arguments: Sequence[str]) -> list[str]:
    """The introduction of the tables: the command, the machine, and what the columns are."""
    command = ' '.join(['python', '-m', 'benchmarks.paper_tables', *arguments])
    machine = record.describe_cpu()
    first = f'`{command}`, {machine["cores"]} cores of {machine["cpu"]}, jax {jax.__version__}.'
    distance = f'LPIPS with the heads {options.lpips}' if options.lpips else paper_report.MISSING
    if options.extractor and not options.lpips:
        distance = f"the distance of {options.extractor}'s features as LPIPS has it, but all weights 1: not LPIPS"
    model = f'NIQE by the model {options.niqe}' if options.niqe else f'NIQE {paper_report.MISSING}'
    legend = (
        f'Means of {options.count} images. distance: {distance}. {model}. values: numbers that are optimised for an image. '
        "PSNR and SSIM of inpainting are the inversion's, in holes: PSNR there alone, with known: with the known pixels put back. "
        "The last columns are the paper's numbers, on its data and networks: they are not to be compared with ours."
    )
    return [first, legend]


if __name__ == '__main__':
    commands.run_command(main)
