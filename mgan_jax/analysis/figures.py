"""From the settings of analyses to what is measured, and from that to files."""

import csv
import functools
import io
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import jax
import numpy as np
from tqdm import tqdm

from mgan_jax.analysis import code_roles, curves, measurements, plots
from mgan_jax.analysis.curves import AnalysisRun, Curve
from mgan_jax.data import observations, segmentation, sources
from mgan_jax.data.sources import Source
from mgan_jax.demo import scenes, train
from mgan_jax.engine import networks
from mgan_jax.run import jobs
from mgan_jax.run.pipeline import Job
from mgan_jax.storage.stores import Store

FIRST = 100  # of the held-out scenes; those before are bundled, or were looked at while the demo was made
DIGITS = 5  # of numbers in tables

Files = dict[str, bytes]


class PlannedRun(NamedTuple):
    """A run, and how many of the images it is to have; pictured: whether inversions and codes are needed."""

    run: AnalysisRun
    images: int
    pictured: bool = False


class Analysis(NamedTuple):
    """What analyses are made of. most: the layers of each generator; rows: what is known of each run's images so far."""

    settings: dict
    most: dict[str, int]
    store: Store
    images: list[Source]
    rows: dict[AnalysisRun, list[dict]]


def check_analysis(settings: dict) -> dict[str, int]:
    """The number of layers of each generator. ValueError with one sentence for what cannot be done, before the first image."""
    curves.require_analysis_settings(settings)
    most = {}
    for generator in dict.fromkeys([settings['generator'], *curves.chosen_generators(settings)]):
        run = curves.roles_run(settings)._replace(generator=generator)
        most[generator] = networks.load_generator(curves.inversion_settings(settings, run))[0].num_layers
        if not curves.chosen_layers(settings, most[generator]):
            given = f"layers is '{settings['layers']}', but the generator '{generator}' has the layers 1 to {most[generator]}"
            raise ValueError(f'{given}; choose some of these.')
    largest: dict[tuple, AnalysisRun] = {}
    for run, *_ in plan_runs(settings, most):  # stands for the others of its task and generator
        key = run.task, run.generator
        largest[key] = max(largest.get(key, run), run, key=lambda run: (run.layer, run.num_codes))
    for run in largest.values():
        analysis_job(_checkable(settings), run)
    return most


def _checkable(settings: dict) -> dict:
    """With images that are there before the held-out scenes are drawn."""
    return settings | ({'images': 'bundled'} if settings['images'] == curves.HELD_OUT else {})


def analysis_job(settings: dict, run: AnalysisRun) -> Job:
    return jobs.prepare_job(curves.inversion_settings(settings, run))


def plan_runs(settings: dict, most: dict[str, int]) -> list[PlannedRun]:
    """What the analyses need measured: what is pictured first, since it is measured on the way."""
    chosen, own = curves.chosen_analyses(settings), settings['generator']
    found: list[PlannedRun] = []
    if 'roles' in chosen:
        found.append(PlannedRun(curves.roles_run(settings), settings['pictured'], True))
    if 'generators' in chosen:
        for generator in curves.chosen_generators(settings):
            runs = curves.runs_by_layers(settings, 'reconstruct', generator, most[generator])
            found += [PlannedRun(run, settings['pictured'], True) for run in runs]
    if 'codes_layers' in chosen:
        runs = curves.runs_by_codes(settings) + curves.runs_by_layers(settings, 'reconstruct', own, most[own])
        found += [PlannedRun(run, settings['count']) for run in runs]
    if 'tasks' in chosen:
        for task in _tasks(settings):
            found += [
                PlannedRun(run, settings['count']) for run in curves.runs_by_layers(settings, task, own, most[own])
            ]
    return list(dict.fromkeys(found))


def _tasks(settings: dict) -> tuple[str, ...]:
    return curves.parse_choices(settings, 'tasks', curves.TASKS)


def begin_analysis(settings: dict, most: dict[str, int], store: Store) -> Analysis:
    """Draws the held-out scenes where they are asked for, and looks at all images. ValueError with one sentence."""
    if settings['images'] == curves.HELD_OUT:
        with store.folder(curves.HELD_OUT, 'parts') as folder:
            scenes.write_scenes(folder, train.HELD_OUT_SEED, FIRST, settings['count'])
        place = f'{settings["out"].rstrip("/")}/{curves.HELD_OUT}'
        settings = settings | {
            'images': f'{place}/images',
            'segmentation': settings['segmentation'] or f'{place}/parts',
        }
    images = sources.find_images(settings['images'], jobs.BUNDLED)[: settings['count']]
    job = analysis_job(settings, curves.roles_run(settings))
    for source in images:
        _target(job, source)
    study = Analysis(settings, most, store, images, {})
    if 'roles' in curves.chosen_analyses(settings):
        _segmentation(study, job)
    return study


def _segmentation(study: Analysis, job: Job) -> segmentation.Segmentation:
    names = [source.name for source in study.images[: study.settings['pictured']]]
    return segmentation.read_segmentation(study.settings['segmentation'], names, job.generator.image_size)


def measure_runs(study: Analysis) -> list[str]:
    """Fills the study's rows. -> a sentence for each image that failed."""
    todo = plan_runs(study.settings, study.most)
    total = sum(min(one.images, len(study.images)) for one in todo)
    look_of = functools.cache(lambda generator: _look(study.settings, generator))
    with tqdm(total=total, unit='image') as bar:
        for run, count, pictured in todo:
            bar.set_postfix_str(f'{run.task} l={run.layer} N={run.num_codes}')
            job = analysis_job(study.settings, run)
            look = look_of(run.generator)
            rows = measurements.measure_inversions(study.store, job, study.images[:count], look, pictured, bar.update)
            study.rows[run] = max(rows, study.rows.get(run, []), key=len)
    return [
        f'{row["image"]}, {run.task} at l = {run.layer}, N = {run.num_codes}: {row["failed"]}.'
        for run, rows in study.rows.items()
        for row in rows
        if 'failed' in row
    ]


def _look(settings: dict, generator: str) -> Callable | None:
    own = curves.inversion_settings(settings, curves.roles_run(settings)._replace(generator=generator))
    return measurements.perceptual_distance(own, networks.load_generator(own)[0].image_size)


def write_figures(study: Analysis) -> Iterator[str]:
    """Makes the figures and tables of each analysis, and the table of everything that was measured; tells what."""
    makers = {
        'codes_layers': codes_layers_figure,
        'roles': roles_figures,
        'generators': generators_figures,
        'tasks': tasks_figure,
    }
    study.store.write('measurements.csv', _csv(_all_rows(study)))
    for name in curves.chosen_analyses(study.settings):
        for file, content in makers[name](study).items():
            study.store.write(file, content)
            if file.endswith(('.png', '.csv')):
                yield f'{study.store.text}/{file}'


def _all_rows(study: Analysis) -> list[dict]:
    steps = study.settings['steps']
    return [run._asdict() | {'steps': steps} | row for run, rows in study.rows.items() for row in rows]


def codes_layers_figure(study: Analysis) -> Files:
    """Figure 4: reconstruction against N and against l."""
    settings, own = study.settings, study.settings['generator']
    by_layers = curves.runs_by_layers(settings, 'reconstruct', own, study.most[own])
    sides = [(curves.runs_by_codes(settings), 'num_codes'), (by_layers, 'layer')]
    rows = [
        [_curve(study, *side, name) for side in sides]
        for name in ('psnr', 'lpips' if settings['lpips'] else 'distance')
    ]
    return _figure('codes_layers', rows) | {'codes_layers.csv': _means(rows)}


def tasks_figure(study: Analysis) -> Files:
    """Figure 11: each task against l, and the best layers."""
    settings, own = study.settings, study.settings['generator']
    measures = [
        (task, name) for task in _tasks(settings) for name in ('psnr', *(['auc'] if task == 'colorize' else []))
    ]
    runs = {task: curves.runs_by_layers(settings, task, own, study.most[own]) for task, _ in measures}
    found = [one for task, name in measures if (one := _curve(study, runs[task], 'layer', name))]
    rows = [found[first : first + 3] for first in range(0, len(found), 3)]
    best = {'best_layers.csv': _csv(curves.best_layer_rows(found))}
    return _figure('tasks', rows) | {'tasks.csv': _means(rows)} | best


def _curve(study: Analysis, runs: tuple[AnalysisRun, ...], against: str, name: str) -> Curve | None:
    return curves.make_curve(study.rows, runs, against, name, study.settings['seed'])


def _figure(name: str, rows: list) -> Files:
    """The curves of rows that have some."""
    rows = [row for row in rows if any(row)]
    return _both(name, plots.plot_curves(rows)) if rows else {}


def _both(name: str, figure: Any) -> Files:
    return {f'{name}.{kind}': content for kind, content in plots.figure_files(figure).items()}


def _means(rows: Iterable[Iterable[Curve | None]]) -> bytes:
    return _csv(curves.curve_means(one for row in rows for one in row if one))


def roles_figures(study: Analysis) -> Files:
    """Figure 5: a picture for each of the pictured images, and the role of each of their codes."""
    settings, run = study.settings, curves.roles_run(study.settings)
    job = analysis_job(settings, run)
    known = _segmentation(study, job)
    place = {name: job.settings[name] for name in ('layer', 'space')} | {'threshold': settings['threshold']}
    render = jax.jit(lambda params, codes: code_roles.code_differences(job.generator, params, codes, **place))
    files: Files = {}
    table = []
    for source, labels in zip(study.images, known.labels, strict=False):
        if any(row['image'] == source.name and 'failed' in row for row in study.rows[run]):
            continue
        kept = measurements.kept_inversion(study.store, job, source)
        codes = jax.tree.map(lambda leaf: leaf[None], kept.codes)
        maps = np.asarray(render(job.program.shared[0], codes))[0]
        found = code_roles.code_roles(maps, kept.codes.alpha, labels, known.classes, settings['threshold'])
        table += [{'image': source.name} | role._asdict() for role in found]
        files |= _both(f'roles/{source.name}', plots.plot_roles(kept.inversion, labels, known.classes, maps, found))
    return files | {'roles.csv': _csv(table)}


def generators_figures(study: Analysis) -> Files:
    """Figure 10: a grid for each of the pictured images, a row for each generator, a column for each layer."""
    settings, names = study.settings, curves.chosen_generators(study.settings)
    images = study.images[: settings['pictured']]
    cells: list[dict] = [{name: {} for name in names} for _ in images]
    targets: list[np.ndarray] = []
    for name in names:
        for run in curves.runs_by_layers(settings, 'reconstruct', name, study.most[name]):
            job = analysis_job(settings, run)
            targets = targets or [_target(job, source) for source in images]
            for place, source in enumerate(images):
                row = study.rows[run][place]
                if 'failed' not in row:
                    picture = measurements.kept_inversion(study.store, job, source).inversion
                    cells[place][name][f'l = {run.layer}'] = picture, f'{row["psnr"]:.1f} dB'
    files: Files = {}
    for source, target, rows in zip(images, targets, cells, strict=True):
        files |= _both(f'generators/{source.name}', plots.plot_grid(target, rows))
    return files


def _target(job: Job, source: Source) -> np.ndarray:
    """[H W C]. ValueError if it is not known."""
    target = observations.observe_image(source, sources.read_source(source), job.generator, job.settings).target
    if target is None:
        raise ValueError(f'{source.title} is not whole; images that are whole are wanted here.')
    return target[0]


def _csv(rows: list[dict]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(dict.fromkeys(name for row in rows for name in row)), lineterminator='\n')
    writer.writeheader()
    for row in rows:
        writer.writerow({name: _short(value) for name, value in row.items()})
    return text.getvalue().encode()


def _short(value: object) -> object:
    return float(f'{value:.{DIGITS}g}') if isinstance(value, float) else value
