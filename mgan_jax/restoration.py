"""From settings to a job that is checked and ready, and from a job to results."""

import importlib.metadata
from pathlib import Path
from typing import Any

import jax

from mgan_jax import (
    cases,
    commands,
    contributions,
    editor,
    losses,
    masks,
    models,
    networks,
    outcomes,
    pipeline,
    presets,
    priors,
    programs,
    report,
    results,
    sources,
    starts,
    stores,
)
from mgan_jax.hosts import WHOLE, Share
from mgan_jax.pipeline import Job

BUNDLED = Path(__file__).parent / 'demo' / 'images'


def prepare(settings: dict, own: tuple[models.Generator, Any] | None = None, share: Share = WHOLE) -> Job:
    """Checks everything that can be checked before the first image. ValueError with one sentence.

    own: a generator of the caller's and its weights, instead of the one that the settings name. share: of the images.
    """
    if own is not None:
        settings = settings | {'generator': settings['generator'] or commands.OWN}
    presets.require_fields(settings)
    presets.require_values(settings)
    generator, params, (distance, vgg, lpips) = networks.load(settings, own)
    found = sources.find(settings['images'], BUNDLED)[share.index :: share.count]
    size = generator.image_size
    measures = outcomes.measures(settings, size, lpips)
    task = cases.make_task(settings, masks.parse(settings['mask'], size, 0) if 'mask' in settings else cases.NO_HOLE)
    chosen = {name: settings[name] for name in ('layer', 'space', 'pixel', 'perceptual', 'extractor_size')}
    compose = priors.of(settings, generator).compose
    objective = losses.objective(generator, task, distance=distance, compose=compose, **chosen)
    program = programs.build(settings, generator, task, objective, (params, vgg))
    batch_size = programs.batch_size(settings['batch_size'], len(found), generator, task, objective, program)
    state = programs.state_like(generator, task, program, batch_size)
    edits = editor.find(settings, generator, state.codes.latents) if settings['task'] == 'edit' else None
    files = [*masks.content(settings.get('mask')), *masks.content(settings['niqe'])]
    files += [edits.normals.tobytes()] if edits else []
    origin = starts.find(settings, generator, params)
    made_by = results.fingerprint(settings, (params, vgg, origin.weights), *files)
    place = settings['layer'], settings['space']
    pictured = settings['contributions'] and settings['prior'] == 'multi-code'
    explain = contributions.explainer(generator, program.shared[0], *place) if pictured else None
    edit = editor.editor(generator, program.shared[0], settings, edits) if edits else None
    return Job(settings, found, share, generator, program, batch_size, state, made_by, measures, explain, edit, origin)


def run(settings: dict, own: tuple[models.Generator, Any] | None = None) -> list[dict]:
    """Everything that the command line does with these settings, for callers in Python: -> the rows of metrics.csv.

    own: as in `prepare`. ValueError with one sentence if nothing was started; an image that fails has the reason in its row.
    """
    job = prepare(settings, own)
    with stores.opened(job.settings['out'], *job.share) as store:
        results.start(store, job.settings, machine())
        pipeline.restore(job, store)
        rows = results.write_table(store)
        report.write(store)
        return rows


def machine() -> dict:
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
