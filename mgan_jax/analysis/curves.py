"""The paper's analyses: their fields, the runs that they take, and the tables that are made of what these measure.

codes_layers: reconstruction against N and against l (figure 4). roles: what each code is for (figure 5). generators: an image
through several generators and layers (figure 10). tasks: which layer is best for which task (figure 11).
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from mgan_jax.analysis import bootstrap
from mgan_jax.settings import presets

ALL = ('codes_layers', 'roles', 'generators', 'tasks')
HELD_OUT = 'held-out'  # scenes of the demo that it was not trained with
TASKS = ('reconstruct', 'super_resolve', 'colorize', 'inpaint', 'denoise')
QUIET = {'history_every': 0, 'contributions': False}
# What the inversions share with the presets of `python -m mgan_jax.invert`, where it is explained.
SHARED: tuple[str, ...] = (
    'generator',
    'extractor',
    'lpips',
    'layer',
    'num_codes',
    'space',
    'steps',
    'perceptual',
    'extractor_layer',
)
SHARED += ('extractor_size', 'winograd', 'dtype', 'remat', 'batch_size', 'seed')
OWN: dict[str, Any] = {
    'analyses': 'all',  # or some of ALL, separated by commas
    'images': '',  # as for inversions; 'held-out' are scenes that the demo was not trained with
    'count': 16,  # the first so many of the images are measured
    'pictured': 4,  # and the first so many of these are pictured, with the roles of their codes
    'out': 'results/analysis',
    'nums': '1,2,5,10,20,30',  # the numbers of codes N, at `layer`
    'layers': '',  # the composing layers l, at `num_codes`; all where none are given
    'tasks': ','.join(TASKS),
    'factor': 4,  # of super-resolution
    'generators': '',  # model directories separated by commas, each of which inverts the pictured images; '': `generator`
    'threshold': 0.2,  # the role of a code is what is lost when its importances above this are set to 0
    'segmentation': '',  # a folder of NAME.png for each image and classes.txt; held-out scenes have their own
}
DEMO = {'images': HELD_OUT, 'steps': 50, 'batch_size': 4}


class AnalysisRun(NamedTuple):
    """What an inversion is determined by, beside the image and the settings that all have in common."""

    task: str
    generator: str
    layer: int
    num_codes: int


class Curve(NamedTuple):
    """A measure of the same images against the runs' places (N or l). values [K B]; band: each [K]."""

    task: str
    against: str
    measure: str
    runs: tuple[AnalysisRun, ...]
    images: tuple[str, ...]
    values: np.ndarray
    band: bootstrap.Band

    @property
    def places(self) -> list[int]:
        return [getattr(run, self.against) for run in self.runs]


def analysis_settings(preset: str = 'demo') -> dict:
    """Every field. ValueError for a preset that does not exist."""
    base = presets.preset_settings('reconstruct', preset)
    given = {'preset': preset} | OWN | {name: base[name] for name in SHARED}
    given['factor'] = presets.preset_settings('super_resolve', preset)['factor']
    return given | (DEMO if preset == 'demo' else {})


def require_analysis_settings(given: dict) -> None:
    """ValueError with one sentence unless these are fields of `analysis_settings` with values that can be used."""
    wanted = analysis_settings(given.get('preset', ''))
    for name in sorted(given.keys() ^ wanted.keys()):
        verb = 'lacks the field' if name in wanted else 'has the unknown field'
        raise ValueError(f"the configuration {verb} '{name}'; take configs/analysis.py.")
    presets.require_kinds(given, wanted)
    for name in ('count', 'pictured'):
        if given[name] < 1:
            raise ValueError(f'{name} is {given[name]}; at least 1 is wanted.')
    if not given['threshold'] >= 0:
        raise ValueError(f'threshold is {given["threshold"]}; a number of at least 0 is wanted.')
    parse_numbers(given, 'nums')
    if given['layers']:
        parse_numbers(given, 'layers')
    for name, choices in (('analyses', (*ALL, 'all')), ('tasks', TASKS)):
        parse_choices(given, name, choices)
    if 'roles' in chosen_analyses(given) and not given['segmentation'] and given['images'] != HELD_OUT:
        raise ValueError(
            "the roles of codes need a segmentation of the images; set --config.segmentation to its folder, or leave 'roles' "
            f'out, as in --config.analyses={",".join(name for name in ALL if name != "roles")}.'
        )


def parse_numbers(given: dict, field: str) -> tuple[int, ...]:
    """'1,2,5' as (1, 2, 5), each once and in order. ValueError with one sentence."""
    words = [word.strip() for word in given[field].split(',')]
    if not all(word.isascii() and word.isdigit() and 0 < int(word) < 10**6 for word in words):
        raise ValueError(
            f"{field} is '{given[field]}'; whole numbers from 1 are wanted, separated by commas, as in 1,2,5."
        )
    return tuple(sorted({int(word) for word in words}))


def parse_choices(given: dict, field: str, choices: Sequence[str]) -> tuple[str, ...]:
    """The words of a list, each once. ValueError with one sentence for one that is none of the choices."""
    found = tuple(dict.fromkeys(word.strip() for word in given[field].split(',')))
    for word in found:
        if word not in choices:
            raise ValueError(f"{field} has '{word}'; {', '.join(choices)} are wanted, separated by commas.")
    return found


def chosen_analyses(given: dict) -> tuple[str, ...]:
    """The analyses that are asked for, in the order of ALL."""
    found = parse_choices(given, 'analyses', (*ALL, 'all'))
    return tuple(name for name in ALL if name in found or 'all' in found)


def chosen_generators(given: dict) -> tuple[str, ...]:
    """Those of the analysis of that name."""
    return tuple(dict.fromkeys(word.strip() for word in (given['generators'] or given['generator']).split(',')))


def chosen_layers(given: dict, most: int) -> tuple[int, ...]:
    """The composing layers of a generator with `most` layers."""
    return (
        tuple(range(1, most + 1))
        if not given['layers']
        else tuple(l for l in parse_numbers(given, 'layers') if l <= most)
    )


def inversion_settings(given: dict, run: AnalysisRun) -> dict:
    """The settings of a run of `python -m mgan_jax.invert`; of its preset, where the analyses have no field for it."""
    base = presets.preset_settings(run.task, given['preset']) | QUIET
    return base | {name: value for name, value in given.items() if name in base} | run._asdict()


def runs_by_codes(given: dict) -> tuple[AnalysisRun, ...]:
    """Figure 4, against N."""
    return tuple(
        AnalysisRun('reconstruct', given['generator'], given['layer'], n) for n in parse_numbers(given, 'nums')
    )


def runs_by_layers(given: dict, task: str, generator: str, most: int) -> tuple[AnalysisRun, ...]:
    """Figures 4, 10 and 11, against l, for a generator with `most` layers."""
    return tuple(AnalysisRun(task, generator, l, given['num_codes']) for l in chosen_layers(given, most))


def roles_run(given: dict) -> AnalysisRun:
    """Figure 5."""
    return AnalysisRun('reconstruct', given['generator'], given['layer'], given['num_codes'])


def make_curve(
    found: Mapping[AnalysisRun, Sequence[dict]], runs: Sequence[AnalysisRun], against: str, measure: str, seed: int
) -> Curve | None:
    """found: a row of measures for each image of each run, in the same order. Images that lack the measure in one of the runs
    are left out of all of them; None if none are left."""
    values = np.array([[row.get(measure, np.nan) for row in found[run]] for run in runs], np.float64)
    there = np.all(np.isfinite(values), axis=0)
    if not there.any():
        return None
    images = tuple(row['image'] for row, whole in zip(found[runs[0]], there.tolist(), strict=True) if whole)
    values = values[:, there]
    return Curve(runs[0].task, against, measure, tuple(runs), images, values, bootstrap.bootstrap_means(values, seed))


def curve_means(curves: Iterable[Curve]) -> list[dict]:
    """A row for each place of each curve."""
    return [
        {
            'task': one.task,
            'against': one.against,
            'layer': run.layer,
            'num_codes': run.num_codes,
            'measure': one.measure,
        }
        | {'images': len(one.images), 'mean': one.band.mean[k], 'low': one.band.low[k], 'high': one.band.high[k]}
        for one in curves
        for k, run in enumerate(one.runs)
    ]


def best_layer_rows(curves: Iterable[Curve]) -> list[dict]:
    """A row for each curve against l of a measure of which more is better; best_share: of the resamplings of the images, that
    in which this layer is the best."""
    rows = []
    for one in curves:
        k = int(one.band.mean.argmax())
        mean, low, high, share = (float(field[k]) for field in one.band)
        rows.append(
            {'task': one.task, 'measure': one.measure, 'layer': one.runs[k].layer, 'num_codes': one.runs[k].num_codes}
            | {'images': len(one.images), 'mean': mean, 'low': low, 'high': high, 'best_share': share}
        )
    return rows
