"""Checks the settings of the analyses, finds their images and measures their runs."""

import dataclasses
import functools
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from mgan_jax.analysis import measurements, runs
from mgan_jax.analysis.runs import AnalysisRun
from mgan_jax.data import segmentation, sources
from mgan_jax.data.segmentation import Segmentation
from mgan_jax.data.sources import Source
from mgan_jax.demo import scenes, train
from mgan_jax.engine import networks
from mgan_jax.run import jobs
from mgan_jax.run.pipeline import Job
from mgan_jax.settings import fields
from mgan_jax.settings.analysis_fields import HELD_OUT, AnalysisSettings, select_analyses
from mgan_jax.storage.stores import Store

FIRST = 100  # number of the first held-out scene; those before are bundled, or were seen while the demo was made

RunRows = dict[AnalysisRun, list[dict]]  # for each run a row of measures per image


class Analysis(NamedTuple):
    """The analyses, checked. num_layers: of each generator. images: those to measure, in the order of the list."""

    settings: AnalysisSettings
    num_layers: dict[str, int]
    images: list[Source]


def check_analysis(settings: AnalysisSettings) -> Analysis:
    """Checks networks, layers, tasks and images, and writes nothing.

    Held-out scenes are not drawn yet; `draw_held_out` adds them. Raises ValueError with one sentence.
    """
    own_generator = settings.inversion.generator
    generators = dict.fromkeys([own_generator, *runs.select_generators(settings)])
    num_layers = {generator: _count_layers(settings, generator) for generator in generators}
    held_out = settings.study.images == HELD_OUT
    readable = _with_images(settings, 'bundled') if held_out else settings
    for run in runs.select_largest_runs(runs.plan_runs(settings, num_layers)):  # the other runs need no further checks
        prepare_run(readable, run)
    job = prepare_run(readable, runs.make_roles_run(settings))
    images = [] if held_out else list(job.sources[: settings.study.count])
    for source in images:
        read_target(job, source)
    if 'roles' in select_analyses(settings) and settings.roles.segmentation:
        names = _held_out_names(settings.study.count) if held_out else [source.name for source in images]
        pictured = names[: settings.study.pictured]
        segmentation.read_segmentation(settings.roles.segmentation, pictured, job.generator.image_size)
    return Analysis(settings, num_layers, images)


def draw_held_out(analysis: Analysis, store: Store) -> Analysis:
    """The analysis with its images: if they are the held-out scenes, draws them and their segmentation into the store."""
    settings = analysis.settings
    if settings.study.images != HELD_OUT:
        return analysis
    with store.folder(HELD_OUT, 'parts') as folder:
        scenes.write_scenes(folder, train.HELD_OUT_SEED, FIRST, settings.study.count)
    folder_name = f'{settings.study.out.rstrip("/")}/{HELD_OUT}'
    parts = settings.roles.segmentation or f'{folder_name}/parts'
    settings = dataclasses.replace(
        _with_images(settings, f'{folder_name}/images'), roles=dataclasses.replace(settings.roles, segmentation=parts)
    )
    return analysis._replace(settings=settings, images=sources.find_images(settings.study.images))


def prepare_run(settings: AnalysisSettings, run: AnalysisRun) -> Job:
    """The job of a run. Raises ValueError with one sentence if it cannot be done."""
    return jobs.prepare_job(runs.make_inversion_settings(settings, run))


def read_target(job: Job, source: Source) -> np.ndarray:
    """The target [H W C] of an image. Raises ValueError with one sentence if it cannot be read or has no target."""
    target = job.observe(source, sources.read_source(source)).target
    if target is None:
        raise ValueError(f'{source.title} is not whole; images that are whole are wanted here.')
    return target[0]


def read_labels(analysis: Analysis, image_size: tuple[int, int]) -> Segmentation:
    """The segmentation of the pictured images. Raises ValueError with one sentence if it cannot be used."""
    study = analysis.settings.study
    names = [source.name for source in analysis.images[: study.pictured]]
    return segmentation.read_segmentation(analysis.settings.roles.segmentation, names, image_size)


def measure_runs(analysis: Analysis, store: Store) -> RunRows:
    """Measures the images of all runs; see `measurements.measure_inversions` for the rows."""
    settings, images = analysis.settings, analysis.images
    plan = runs.plan_runs(settings, analysis.num_layers)
    rows: RunRows = {}

    @functools.cache
    def distance_of(generator: str) -> measurements.Distance | None:
        return _load_distance(settings, generator)

    with tqdm(total=sum(min(planned.num_images, len(images)) for planned in plan), unit='image') as bar:
        for run, num_images, pictured in plan:
            bar.set_postfix_str(f'{run.task} l={run.layer} N={run.num_codes}')
            measured = measurements.measure_inversions(
                store, prepare_run(settings, run), images[:num_images], distance_of(run.generator), pictured, bar.update
            )
            rows[run] = max(measured, rows.get(run, []), key=len)
    return rows


def list_failures(rows: RunRows) -> list[str]:
    """A sentence for each image that failed."""
    return [
        f'{row["image"]}, {run.task} at l = {run.layer}, N = {run.num_codes}: {row["failed"]}.'
        for run, measured in rows.items()
        for row in measured
        if 'failed' in row
    ]


def _count_layers(settings: AnalysisSettings, generator: str) -> int:
    """The number of layers of a generator. ValueError unless some of the wanted layers are among them."""
    fields.require_consistent(_settings_with(settings, generator))
    network, _ = networks.load_generator(generator, compute=networks.Compute(winograd=False))
    if not runs.select_layers(settings, network.num_layers):
        raise ValueError(
            f"layers is '{settings.sweep.layers}', but the generator '{generator}' has the layers 1 to "
            f'{network.num_layers}; choose some of these.'
        )
    return network.num_layers


def _load_distance(settings: AnalysisSettings, generator: str) -> measurements.Distance | None:
    inversion = _settings_with(settings, generator)
    loaded = jobs.load_networks(inversion, remat=inversion.run.remat == 'on')
    return measurements.make_distance(loaded.perception, inversion.loss.extractor_size)


def _settings_with(settings: AnalysisSettings, generator: str) -> fields.Settings:
    """The settings of a reconstruction with a generator."""
    return runs.make_inversion_settings(settings, runs.make_roles_run(settings)._replace(generator=generator))


def _with_images(settings: AnalysisSettings, images: str) -> AnalysisSettings:
    return dataclasses.replace(settings, study=dataclasses.replace(settings.study, images=images))


def _held_out_names(count: int) -> list[str]:
    """The names of the scenes that `scenes.write_scenes` draws."""
    return [f'{number:04d}' for number in range(FIRST, FIRST + count)]
