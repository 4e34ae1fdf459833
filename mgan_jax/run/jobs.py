"""From settings to a job that is checked and ready, and from a job to results."""

import importlib.metadata
from pathlib import Path
from typing import Any

import jax

from mgan_jax import losses, models
from mgan_jax.data import masks, observations, sources
from mgan_jax.editing import edits
from mgan_jax.engine import from_settings, networks, programs
from mgan_jax.results import contributions, evaluation, records, report
from mgan_jax.run import initial_codes, pipeline
from mgan_jax.run.pipeline import Job
from mgan_jax.run.processes import WHOLE, Share
from mgan_jax.settings import command_line, presets
from mgan_jax.storage import stores

BUNDLED = Path(__file__).parent.parent / 'demo' / 'images'


def prepare_job(settings: dict, own: tuple[models.Generator, Any] | None = None, share: Share = WHOLE) -> Job:
    """Checks everything that can be checked before the first image. ValueError with one sentence.

    own: a generator of the caller's and its weights, instead of the one that the settings name. share: of the images.
    """
    if own is not None:
        settings = settings | {'generator': settings['generator'] or command_line.OWN_GENERATOR}
    presets.require_fields(settings)
    presets.require_values(settings)
    generator, params, (distance, vgg, lpips) = networks.load_networks(settings, own)
    found = sources.find_images(settings['images'], BUNDLED)[share.index :: share.count]
    size = generator.image_size
    measures = evaluation.choose_measures(settings, size, lpips)
    task = observations.make_task(
        settings, masks.parse_mask(settings['mask'], size, 0) if 'mask' in settings else observations.NO_HOLE
    )
    chosen = {name: settings[name] for name in ('layer', 'space', 'pixel', 'perceptual', 'extractor_size')}
    compose = from_settings.make_prior(settings, generator).compose
    objective = losses.objective(generator, task, distance=distance, compose=compose, **chosen)
    program = programs.build_program(settings, generator, task, objective, (params, vgg))
    batch_size = programs.choose_batch_size(settings['batch_size'], len(found), generator, task, objective, program)
    state = programs.state_shapes(generator, task, program, batch_size)
    chosen_edits = edits.parse_edits(settings, generator, state.codes.latents) if settings['task'] == 'edit' else None
    files = [*masks.read_named_file(settings.get('mask')), *masks.read_named_file(settings['niqe'])]
    files += [chosen_edits.normals.tobytes()] if chosen_edits else []
    origin = initial_codes.find_initial_codes(settings, generator, params)
    made_by = records.fingerprint(settings, (params, vgg, origin.weights), *files)
    place = settings['layer'], settings['space']
    pictured = settings['contributions'] and settings['prior'] == 'multi-code'
    explain = contributions.make_explainer(generator, program.shared[0], *place) if pictured else None
    edit = edits.make_editor(generator, program.shared[0], settings, chosen_edits) if chosen_edits else None
    return Job(settings, found, share, generator, program, batch_size, state, made_by, measures, explain, edit, origin)


def run_job(settings: dict, own: tuple[models.Generator, Any] | None = None) -> list[dict]:
    """Everything that the command line does with these settings, for callers in Python: -> the rows of metrics.csv.

    own: as in `prepare_job`. ValueError with one sentence if nothing was started; an image that fails has the reason in its row.
    """
    job = prepare_job(settings, own)
    with stores.open_store(job.settings['out'], *job.share) as store:
        records.write_run_config(store, job.settings, describe_machine())
        pipeline.restore_images(job, store)
        rows = records.write_table(store)
        report.write_report(store)
        return rows


def describe_machine() -> dict:
    """What a run's config.json tells of the machine: versions and devices."""
    packages = ('mgan_jax', 'jax', 'jaxlib', 'flax', 'optax', 'orbax-checkpoint', 'numpy', 'pillow')
    return {
        'versions': {name: _version(name) for name in packages},
        'devices': [device.device_kind for device in jax.local_devices()],
    }


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:  # run from a source tree
        return 'not installed'
