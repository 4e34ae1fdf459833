"""The inversions that each analysis needs: task, generator, composing layer l and number of codes N, and of how many images."""

from typing import NamedTuple

from mgan_jax.settings import analysis_fields, fields, presets
from mgan_jax.settings.analysis_fields import AnalysisSettings

NO_EXTRA_FILES = {'history_every': 0, 'contributions': False}  # which would be computed for nothing


class AnalysisRun(NamedTuple):
    """The settings of an inversion in which the runs of an analysis differ."""

    task: str
    generator: str
    layer: int
    num_codes: int


class PlannedRun(NamedTuple):
    """A run of the first `num_images` images. pictured: whether their inversions and codes are stored for figures."""

    run: AnalysisRun
    num_images: int
    pictured: bool = False


def make_inversion_settings(settings: AnalysisSettings, run: AnalysisRun) -> fields.Settings:
    """The settings of a run: those of the analysis, and of its preset where the analysis has no such field."""
    flat = presets.preset_settings(run.task, settings.study.preset) | NO_EXTRA_FILES
    shared = {
        name: value for name, value in analysis_fields.flatten_analysis_settings(settings).items() if name in flat
    }
    return fields.parse_settings(flat | shared | run._asdict())


def select_generators(settings: AnalysisSettings) -> tuple[str, ...]:
    """The generators of the analysis 'generators'."""
    return analysis_fields.split_words(settings.sweep.generators or settings.inversion.generator)


def select_layers(settings: AnalysisSettings, num_layers: int) -> tuple[int, ...]:
    """The composing layers to compare in a generator with `num_layers` layers."""
    if not settings.sweep.layers:
        return tuple(range(1, num_layers + 1))
    return tuple(layer for layer in analysis_fields.split_numbers(settings.sweep.layers) if layer <= num_layers)


def make_roles_run(settings: AnalysisSettings) -> AnalysisRun:
    """The run of figure 5: reconstruction at `layer` with `num_codes`."""
    inversion = settings.inversion
    return AnalysisRun('reconstruct', inversion.generator, inversion.layer, inversion.num_codes)


def list_runs_by_codes(settings: AnalysisSettings) -> tuple[AnalysisRun, ...]:
    """The runs of figure 4 against N: reconstruction at `layer`."""
    numbers = analysis_fields.split_numbers(settings.sweep.nums)
    return tuple(make_roles_run(settings)._replace(num_codes=number) for number in numbers)


def list_runs_by_layers(
    settings: AnalysisSettings, task: str, generator: str, num_layers: int
) -> tuple[AnalysisRun, ...]:
    """The runs of figures 4, 10 and 11 against l, for a generator with `num_layers` layers."""
    layers = select_layers(settings, num_layers)
    return tuple(AnalysisRun(task, generator, layer, settings.inversion.num_codes) for layer in layers)


def plan_runs(settings: AnalysisSettings, num_layers: dict[str, int]) -> list[PlannedRun]:
    """The runs of all selected analyses, each once. num_layers: of each generator.

    Runs whose inversions are stored come first, since they leave the measures of their images, too.
    """
    selected, generator = analysis_fields.select_analyses(settings), settings.inversion.generator

    def by_layers(task: str, generator: str) -> tuple[AnalysisRun, ...]:
        return list_runs_by_layers(settings, task, generator, num_layers[generator])

    pictured: list[AnalysisRun] = []
    measured: list[AnalysisRun] = []
    if 'roles' in selected:
        pictured.append(make_roles_run(settings))
    if 'generators' in selected:
        pictured += [run for name in select_generators(settings) for run in by_layers('reconstruct', name)]
    if 'codes_layers' in selected:
        measured += [*list_runs_by_codes(settings), *by_layers('reconstruct', generator)]
    if 'tasks' in selected:
        tasks = analysis_fields.split_words(settings.sweep.tasks)
        measured += [run for task in tasks for run in by_layers(task, generator)]
    study = settings.study
    return [PlannedRun(run, study.pictured, True) for run in dict.fromkeys(pictured)] + [
        PlannedRun(run, study.count) for run in dict.fromkeys(measured)
    ]


def select_largest_runs(plan: list[PlannedRun]) -> list[AnalysisRun]:
    """For each task and generator the run with the highest l, of these the one with the highest N."""
    largest: dict[tuple[str, str], AnalysisRun] = {}
    for run in (planned.run for planned in plan):
        key = run.task, run.generator
        largest[key] = max(largest.get(key, run), run, key=lambda run: (run.layer, run.num_codes))
    return list(largest.values())
