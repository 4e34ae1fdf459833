"""Writes the figures and tables of the analyses: which measurements each shows. `plots` draws."""

import csv
import functools
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from mgan_jax.analysis import code_roles, curves, experiment, measurements, plots, runs
from mgan_jax.analysis.curves import Curve
from mgan_jax.analysis.experiment import Analysis, RunRows
from mgan_jax.analysis.runs import AnalysisRun
from mgan_jax.settings import analysis_fields
from mgan_jax.storage.stores import Store

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DIGITS = 5  # of numbers in tables
COLUMNS = 3  # curves in a row of the figure of tasks
TASK_MEASURES = {'colorize': ('psnr', 'auc')}  # of the other tasks the PSNR

Files = dict[str, bytes]  # contents of files by their names


def write_figures(analysis: Analysis, rows: RunRows, store: Store) -> Iterator[str]:
    """Writes the table of all measurements, and the figures and tables of the selected analyses.

    Yields the paths of the figures and tables that are written; SVG files are written beside PNG files and not named.
    """
    makers: dict[str, Callable[[], Files]] = {
        'codes_layers': functools.partial(make_codes_layers, analysis, rows),
        'roles': functools.partial(make_roles, analysis, rows, store),
        'generators': functools.partial(make_generators, analysis, rows, store),
        'tasks': functools.partial(make_tasks, analysis, rows),
    }
    store.write('measurements.csv', _encode_csv(_list_measurements(analysis, rows)))
    for name in analysis_fields.select_analyses(analysis.settings):
        for file, content in makers[name]().items():
            store.write(file, content)
            if file.endswith(('.png', '.csv')):
                yield f'{store.text}/{file}'


def make_codes_layers(analysis: Analysis, rows: RunRows) -> Files:
    """Figure 4: PSNR and LPIPS (or the perceptual loss) of reconstructions against N and against l."""
    settings = analysis.settings
    by_codes, by_layers = runs.list_runs_by_codes(settings), _list_task_runs(analysis, 'reconstruct')
    grid = [
        [
            _make_curve(analysis, rows, by_codes, 'num_codes', name),
            _make_curve(analysis, rows, by_layers, 'layer', name),
        ]
        for name in ('psnr', 'lpips' if settings.inversion.lpips else 'distance')
    ]
    return _encode_curves('codes_layers', grid) | {'codes_layers.csv': _encode_means(grid)}


def make_tasks(analysis: Analysis, rows: RunRows) -> Files:
    """Figure 11: PSNR of each task against l, the AuC of colours, and the table of the best layers."""
    tasks = analysis_fields.split_words(analysis.settings.sweep.tasks)
    measured = [
        _make_curve(analysis, rows, _list_task_runs(analysis, task), 'layer', measure)
        for task in tasks
        for measure in TASK_MEASURES.get(task, ('psnr',))
    ]
    complete = [curve for curve in measured if curve is not None]
    grid = [complete[first : first + COLUMNS] for first in range(0, len(complete), COLUMNS)]
    best = {'best_layers.csv': _encode_csv(curves.tabulate_best_layers(complete))}
    return _encode_curves('tasks', grid) | {'tasks.csv': _encode_means(grid)} | best


def make_roles(analysis: Analysis, rows: RunRows, store: Store) -> Files:
    """Figure 5: a figure for each pictured image, and a table of the roles of all its codes."""
    settings, run = analysis.settings, runs.make_roles_run(analysis.settings)
    job = experiment.prepare_run(settings, run)
    segmentation = experiment.read_labels(analysis, job.generator.image_size)
    threshold, prior = settings.roles.threshold, job.settings.prior

    @jax.jit
    def render(params: Any, codes: Any) -> Any:
        return code_roles.code_differences(
            job.generator, params, codes, layer=prior.layer, space=prior.space, threshold=threshold
        )

    failed = {row['image'] for row in rows[run] if 'failed' in row}
    files: Files = {}
    table: list[dict] = []
    for source, labels in zip(analysis.images, segmentation.labels, strict=False):
        if source.name in failed:
            continue
        stored = measurements.load_inversion(store, job, source)
        codes = jax.tree.map(lambda leaf: leaf[None], stored.codes)
        maps = np.asarray(render(job.program.shared[0], codes))[0]
        roles = code_roles.code_roles(maps, stored.codes.alpha, labels, segmentation.classes, threshold)
        table += [{'image': source.name} | role._asdict() for role in roles]
        figure = plots.plot_roles(stored.inversion, labels, segmentation.classes, maps, roles)
        files |= _encode_figure(f'roles/{source.name}', figure)
    return files | {'roles.csv': _encode_csv(table)}


def make_generators(analysis: Analysis, rows: RunRows, store: Store) -> Files:
    """Figure 10: a grid for each pictured image, with a row for each generator and a column for each layer."""
    settings = analysis.settings
    generators = runs.select_generators(settings)
    images = analysis.images[: settings.study.pictured]
    grids: list[dict[str, dict]] = [{name: {} for name in generators} for _ in images]
    targets: list[np.ndarray] = []
    for generator in generators:
        for run in _list_task_runs(analysis, 'reconstruct', generator):
            job = experiment.prepare_run(settings, run)
            targets = targets or [experiment.read_target(job, source) for source in images]
            for source, row, grid in zip(images, rows[run], grids, strict=False):
                if 'failed' not in row:
                    inversion = measurements.load_inversion(store, job, source).inversion
                    grid[generator][f'l = {run.layer}'] = inversion, f'{row["psnr"]:.1f} dB'
    files: Files = {}
    for source, target, grid in zip(images, targets, grids, strict=True):
        files |= _encode_figure(f'generators/{source.name}', plots.plot_grid(target, grid))
    return files


def _list_task_runs(analysis: Analysis, task: str, generator: str = '') -> tuple[AnalysisRun, ...]:
    """The runs of a task against l; generator: '' for the one of the settings."""
    generator = generator or analysis.settings.inversion.generator
    return runs.list_runs_by_layers(analysis.settings, task, generator, analysis.num_layers[generator])


def _make_curve(
    analysis: Analysis, rows: RunRows, points: Sequence[AnalysisRun], against: str, measure: str
) -> Curve | None:
    return curves.make_curve(rows, points, against, measure, analysis.settings.inversion.seed)


def _list_measurements(analysis: Analysis, rows: RunRows) -> list[dict]:
    steps = analysis.settings.inversion.steps
    return [run._asdict() | {'steps': steps} | row for run, measured in rows.items() for row in measured]


def _encode_curves(name: str, grid: Sequence[Sequence[Curve | None]]) -> Files:
    """The figure of the rows that have curves; no file if none has."""
    complete = [row for row in grid if any(row)]
    return _encode_figure(name, plots.plot_curves(complete)) if complete else {}


def _encode_figure(name: str, figure: 'Figure') -> Files:
    return {f'{name}.{extension}': content for extension, content in plots.encode_figure(figure).items()}


def _encode_means(grid: Iterable[Iterable[Curve | None]]) -> bytes:
    return _encode_csv(curves.tabulate_curves(curve for row in grid for curve in row if curve is not None))


def _encode_csv(rows: list[dict]) -> bytes:
    text = io.StringIO()
    columns = list(dict.fromkeys(name for row in rows for name in row))
    writer = csv.DictWriter(text, columns, lineterminator='\n')
    writer.writeheader()
    for row in rows:
        writer.writerow({name: _round(value) for name, value in row.items()})
    return text.getvalue().encode()


def _round(value: object) -> object:
    return float(f'{value:.{DIGITS}g}') if isinstance(value, float) else value
