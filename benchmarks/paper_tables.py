"""`python -m benchmarks.paper_tables FOLDER` fills the paper's tables 1 to 4: inversion, colourisation, super-resolution,
inpainting, by multi-code inversion and what the paper compares it with, on one generator and one set of images.

By default on the embedded demo and held-out scenes. What is measured is kept in FOLDER/measured, a file for a few images and
a method, so that the command goes on where it was stopped. Writes FOLDER/tables.md, tables.csv and methods.png.
"""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import jax
import numpy as np
from PIL import Image

from benchmarks import paper_methods, paper_report, record
from benchmarks.commands import pairs
from benchmarks.paper_methods import PROBLEMS
from benchmarks.quality import FIRST
from mgan_jax import metrics, models, tasks
from mgan_jax.analysis import batches
from mgan_jax.data.images import to_uint8
from mgan_jax.demo import scenes, train
from mgan_jax.metrics import colour, niqe
from mgan_jax.models import lpips, perceptual
from mgan_jax.run import jobs
from mgan_jax.run.pipeline import Job
from mgan_jax.settings.errors import one_sentence
from mgan_jax.storage import atomic

GROUP = 8  # images of a file
SHOWN = len(PROBLEMS)  # images that pictures are kept of, one for each row
PRISTINE, PATCH = 400, 32  # scenes of the lessons that NIQE's model is made of, and pixels a side of its patches


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 0 the tables are written, 2 the options cannot be used, and why is said in one sentence."""
    options = _options(arguments)
    try:
        _complete(options)
        chosen = _chosen(options)
        for name, key in sorted(chosen, key=lambda pair: pair[1] == 'dip'):  # what takes longest comes last
            measure(name, chosen[name, key], key, options)
        paths = {pair: list(_paths(options, *pair).values()) for pair in chosen}
        print(paper_report.write(options.folder, paths, _told_above(options, arguments)))
    except ValueError as error:
        print(one_sentence(error), file=sys.stderr)
        return 2
    return 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog='python -m benchmarks.paper_tables', description=__doc__)
    parser.add_argument('folder', type=Path)
    parser.add_argument('--generator', default='demo', help='a model directory')
    parser.add_argument('--extractor', help='a model directory of VGG-16 or AlexNet')
    parser.add_argument('--lpips', default='', help='a model directory of LPIPS heads')
    parser.add_argument('--niqe', default='', help='a model that `python -m mgan_jax.pristine` made')
    parser.add_argument('--encoder', help='a model directory of an encoder for the generator')
    parser.add_argument('--images', help='a folder of images, as in --config.images')
    parser.add_argument('--count', type=int, default=64, help='images')
    parser.add_argument('--tables', type=record.numbers, default=[1, 2, 3, 4])
    parser.add_argument('--methods', type=lambda text: text.split(','), help='only these')
    parser.add_argument(
        '--everywhere', action='store_true', help='all methods in all tables, also where the paper has none'
    )
    parser.add_argument('--steps', action='append', default=[], metavar='METHOD=NUMBER')
    parser.add_argument('--set', action='append', default=[], metavar='FIELD=VALUE', help='of all methods')
    return parser.parse_args(arguments)


def _complete(options: argparse.Namespace) -> None:
    """What is not given and is there for the demo. ValueError where something is wanted for another generator."""
    demo = options.generator == 'demo'
    if not demo and not options.images:
        raise ValueError('no images were given for this generator; set --images to a folder of them.')
    if options.count < 1:
        raise ValueError(f'count is {options.count}; at least one image is wanted.')
    options.preset = 'demo' if demo else 'fast'
    options.extractor = ('demo-extractor' if demo else '') if options.extractor is None else options.extractor
    options.encoder = ('demo-encoder' if demo else '') if options.encoder is None else options.encoder
    options.steps = {name: int(number) for name, number in pairs(options.steps, 'METHOD=NUMBER')}
    options.set = dict(pairs(options.set))
    own = {'generator': options.generator, 'extractor': options.extractor, 'lpips': options.lpips}
    options.set = own | ({} if options.extractor else {'perceptual': '0'}) | options.set
    if demo and not options.images:
        options.images = _drawn(options.folder / 'images', options.count)
    if demo and not options.niqe:
        options.niqe = _pristine(options.folder / 'niqe.npz')


def _drawn(folder: Path, count: int) -> str:
    for number, pixels in enumerate(scenes.draw_batch(train.HELD_OUT_SEED, FIRST, count).images):
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(folder / f'{number:03d}.png')
    return str(folder)


def _pristine(path: Path) -> str:
    if not path.exists():
        drawn = scenes.draw_batch(train.SEED, 0, PRISTINE).images
        niqe.pack_niqe_model(
            path, niqe.fit_niqe_model([np.float32(pixels) / 127.5 - 1 for pixels in drawn], PATCH, 'drawn scenes')
        )
    return str(path)


def _chosen(options: argparse.Namespace) -> dict[tuple[str, str], paper_methods.Method]:
    """{(problem, method): ..}: what is to be measured."""
    generator, _ = models.load(options.generator)
    if not isinstance(generator, models.Generator):
        raise ValueError(f"'{options.generator}' holds no generator; name one that `python -m converters` made.")
    known = paper_methods.methods(generator, options.encoder)
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


def measure(name: str, method: paper_methods.Method, key: str, options: argparse.Namespace) -> None:
    """A file for each group of images that is not there yet."""
    settings = paper_methods.settings(PROBLEMS[name], method, options.preset, options.set, options.steps.get(key))
    settings |= {'images': options.images, 'niqe': options.niqe}
    missing = {first: path for first, path in _paths(options, name, key).items() if not _is_of(path, settings)}
    if not missing:
        return
    job = jobs.prepare_job(settings)
    if len(job.sources) < options.count:
        raise ValueError(f'{options.count} images are asked for, and there are {len(job.sources)}; lower --count.')
    distance = _distance(job, settings)
    for first, path in missing.items():
        chosen = job.sources[first : min(first + GROUP, options.count)]
        found = batches.invert_images(job, chosen)
        content = {'method': method.title, 'settings': settings, 'machine': record.machine()} | _told(found, settings)
        content |= {'measures': _measures(found.result, found, job, distance)}
        if settings['task'] == 'inpaint':  # before the known pixels are put back, as in the paper
            content['inversion'] = _measures(found.inversion, found, job, distance)
        content |= {
            'input': _measures(np.concatenate([case.input_image for case in found.cases]), found, job, distance)
        }
        if job.measures.niqe is not None:  # which has no target to compare with
            content['target'] = {'NIQE': np.asarray(job.measures.niqe(found.targets), float).tolist()}
        if first == 0:
            _keep_pictures(options.folder / 'pictures', name, key, found)
        atomic.write_text(path, json.dumps(content) + '\n')
        print(f'{path.name}: {np.mean(content["measures"]["PSNR"]):.2f} dB', flush=True)


def _paths(options: argparse.Namespace, name: str, key: str) -> dict[int, Path]:
    """{number of the first image: file of a group}."""
    firsts = range(0, options.count, GROUP)
    return {first: options.folder / 'measured' / f'{name}_{key}_{first:04d}.json' for first in firsts}


def _is_of(path: Path, settings: dict) -> bool:
    return path.exists() and record.read(path)['settings'] == settings


def _told(found: batches.InvertedBatch, settings: dict) -> dict:
    codes = found.codes
    if settings['prior'] == 'dip':
        codes = codes.weights
    elif settings['prior'] == 'multi-code' and not settings['alpha_rate']:
        codes = codes._replace(alpha=None)
    values = sum(leaf[0].size for leaf in jax.tree.leaves(codes))
    names = [case.source.name for case in found.cases]
    return {'images': names, 'values': values, 'seconds_per_image_step': found.seconds, 'loss': found.loss.tolist()}


def _distance(job: Job, settings: dict) -> Callable | None:
    """LPIPS where there are heads for it; else what is like it with weights of 1; None without an extractor."""
    if job.measures.lpips is not None or not settings['extractor']:
        return job.measures.lpips
    extractor, params = models.load(settings['extractor'])
    image = jax.ShapeDtypeStruct((1, *job.generator.image_size, 3), np.float32)
    maps = jax.eval_shape(lambda params, image: extractor.features(params, image, extractor.stages), params, image)
    channels = [stage.shape[-1] for stage in maps]
    heads = {layer: np.ones(count, np.float32) for layer, count in zip(extractor.stages, channels, strict=True)}
    measure = perceptual.lpips_distance(extractor, lpips.build_lpips(extractor.stages, channels))
    compiled = jax.jit(lambda weights, x, y: measure(weights, x, y))
    return lambda x, y: compiled((params, heads), x, y)


def _measures(
    images: np.ndarray, found: batches.InvertedBatch, job: Job, distance: Callable | None
) -> dict[str, list[float]]:
    """Of images [B H W C] in [-1, 1] against the targets: a number for each; what cannot be measured is left out."""
    targets = found.targets
    values = {'PSNR': metrics.psnr(images, targets)}
    if min(targets.shape[1:3]) >= metrics.fidelity.WINDOW:
        values['SSIM'] = metrics.ssim(images, targets)
    if targets.shape[-1] == 3:
        values['AuC'] = 100 * colour.auc_ab(images, targets)
    if isinstance(found.cases[0].observation, tasks.Masked):
        holes = np.concatenate([case.observation.hole for case in found.cases])
        values['in holes'] = metrics.psnr(images, targets, holes)
    if distance is not None:
        values['distance'] = distance(images, targets)
    if job.measures.niqe is not None:
        values['NIQE'] = job.measures.niqe(images)
    return {name: np.asarray(value, float).tolist() for name, value in values.items()}


def _keep_pictures(folder: Path, name: str, key: str, found: batches.InvertedBatch) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    inputs = np.concatenate([case.input_image for case in found.cases])
    for title, images in ((key, found.result), ('input', inputs), ('target', found.targets)):
        for number, image in enumerate(images[:SHOWN]):
            values = to_uint8(np.broadcast_to(image, (*image.shape[:2], 3)))
            Image.fromarray(values).save(folder / f'{name}_{title}_{number}.png')


def _told_above(options: argparse.Namespace, arguments: Sequence[str] | None) -> list[str]:
    """The command, the machine, and what the columns are."""
    command = ' '.join(['python', '-m', 'benchmarks.paper_tables', *(sys.argv[1:] if arguments is None else arguments)])
    machine = record.machine()
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
    sys.exit(main())
