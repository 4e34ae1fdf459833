"""Builds everything that a run needs from its settings, and carries the run out.

This is the only place where settings become objects: task, prior, objective, optimiser, programs.
"""

import contextlib
import dataclasses
import functools
import importlib.metadata
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import optax

from mgan_jax import losses, models, optimizers, priors, tasks
from mgan_jax.data import masks, observations, sources
from mgan_jax.editing import edits
from mgan_jax.engine import memory, networks, programs, slots
from mgan_jax.models import dip
from mgan_jax.results import contributions, evaluation, history, records, report
from mgan_jax.run import events, initial_codes, pipeline
from mgan_jax.run.pipeline import Job
from mgan_jax.run.processes import WHOLE, Share
from mgan_jax.settings import fields
from mgan_jax.settings.command_line import OWN_GENERATOR
from mgan_jax.settings.errors import one_sentence
from mgan_jax.settings.fields import PriorSettings, Settings
from mgan_jax.storage import stores

BUNDLED = Path(__file__).parent.parent / 'demo' / 'images'
REMAT_SHARE = 0.5  # of the available memory: above it, one image's feature maps are computed again

Own = tuple[models.Generator, Any]  # a generator of the caller and its weights


class Networks(NamedTuple):
    """The networks of a run. perception: what the loss and the metrics compare images with."""

    generator: models.Generator
    params: Any
    perception: networks.Perception


class Engine(NamedTuple):
    """What the devices run, and what a step takes of their memory."""

    networks: Networks
    task: tasks.Task
    program: slots.Program
    step_memory: memory.StepMemory


class Finished(NamedTuple):
    """What a run did. rows: those of metrics.csv. counts: see `pipeline.restore_images`."""

    rows: list[dict]
    counts: Counter


def run_job(settings: Settings, own: Own | None = None) -> list[dict]:
    """Runs a job, as the command line does: writes its results and returns the rows of metrics.csv.

    own: as in `prepare_job`. Raises ValueError with one sentence if nothing was started. A failed image has the reason in
    its row.
    """
    return carry_out(prepare_job(settings, own)).rows


def prepare_job(settings: Settings, own: Own | None = None, share: Share = WHOLE) -> Job:
    """Checks everything that can be checked before the first image, and compiles nothing.

    own: a generator of the caller and its weights, instead of the one that the settings name. share: the images of this
    process. Raises ValueError with one sentence.
    """
    fields.require_consistent(settings, own_generator=own is not None)
    if own is not None:
        settings = _with_own_generator(settings)
    engine = build_engine(settings, own)
    generator, params, perception = engine.networks
    data, task = settings.data, settings.task
    images = sources.find_images(data.images, BUNDLED)[share.index :: share.count]
    measures = evaluation.choose_measures(
        colours=isinstance(task, fields.Colorize),
        niqe=data.niqe,
        image_size=generator.image_size,
        lpips=perception.lpips,
    )
    batch_size = programs.choose_batch_size(
        settings.run.batch_size, len(images), engine.program.devices, engine.step_memory
    )
    state = programs.state_shapes(generator, engine.task, engine.program, batch_size)
    files = [*masks.read_named_file(getattr(task, 'mask', None)), *masks.read_named_file(data.niqe)]
    edit = None
    if isinstance(task, fields.Edit):
        chosen = _parse_edits(task, settings, generator, state.codes)
        edit = _make_editor(task, chosen, settings, engine)
        files.append(chosen.normals.tobytes())
    initial = initial_codes.find_initial_codes(
        settings.prior, generator, params, generator_name=data.generator, out=data.out
    )
    return Job(
        settings=settings,
        sources=images,
        share=share,
        generator=generator,
        program=engine.program,
        batch_size=batch_size,
        state=state,
        made_by=records.fingerprint(settings, (params, perception.weights, initial.weights), *files),
        measures=measures,
        observe=functools.partial(
            observations.observe_image,
            task=task,
            image_size=generator.image_size,
            channels=generator.image_channels,
            seed=settings.run.seed,
        ),
        rules=stopping_rules(settings),
        explain=_make_explainer(settings, engine),
        edit=edit,
        initial_codes=initial,
    )


def carry_out(
    job: Job,
    *,
    log: bool = False,
    stop: Callable[[], bool] = lambda: False,
    tell: Callable[[str], Any] = lambda text: None,
) -> Finished:
    """Runs a prepared job: restores its images, writes the results, the table of all images and the report.

    log: keep a log of events and TensorBoard figures. stop: ends the run early when it becomes true. tell: receives one
    sentence if results of other settings are made again. Raises ValueError if the output folder cannot be used, OSError if
    results cannot be written, MemoryError if a device cannot hold a step of one image.
    """
    with contextlib.ExitStack() as stack:
        try:
            store = stack.enter_context(stores.open_store(job.settings.data.out, *job.share))
            changed = records.write_run_config(store, job.settings, describe_machine())
        except OSError as error:
            raise ValueError(one_sentence(error)) from error
        if changed:
            tell(changed)
        counts = pipeline.restore_images(job, store, events.open_log(store.log) if log else pipeline.SILENT, stop)
        rows = records.write_table(store)
        report.write_report(store)
        return Finished(rows, counts)


def build_engine(settings: Settings, own: Own | None = None) -> Engine:
    """Loads the networks and builds the programs. ValueError with one sentence if they do not fit each other or the task.

    With remat 'auto', networks compute feature maps again where one image takes more than `REMAT_SHARE` of the memory.
    """
    engine = _engine_of(settings, load_networks(settings, own, remat=settings.run.remat == 'on'))
    if settings.run.remat == 'auto' and not engine.step_memory.fits(1, REMAT_SHARE):
        return _engine_of(settings, load_networks(settings, own, remat=True))
    return engine


def _engine_of(settings: Settings, loaded: Networks) -> Engine:
    generator, params, perception = loaded
    hole = observations.task_mask(settings.task, generator.image_size, seed=0)
    task = observations.make_task(settings.task, hole)
    prior = make_prior(settings.prior, generator)
    objective = losses.objective(
        generator,
        task,
        layer=settings.prior.layer,
        space=settings.prior.space,
        pixel=settings.loss.pixel,
        perceptual=settings.loss.perceptual,
        extractor_size=settings.loss.extractor_size,
        distance=perception.distance,
        compose=prior.compose,
    )
    weights = params, perception.weights
    program = programs.build_program(prior, make_optimizer(settings), task, objective, weights, seed=settings.run.seed)
    return Engine(loaded, task, program, programs.step_memory(generator, task, objective, program))


def load_networks(settings: Settings, own: Own | None = None, *, remat: bool = False) -> Networks:
    """The generator, and the networks that compare images. ValueError with one sentence if they cannot be used."""
    compute = networks.Compute(settings.run.dtype, settings.run.winograd, remat)
    if own is not None:
        generator, params = own
        if settings.prior.label >= 0:
            generator = models.conditioned(generator, settings.prior.label)
    elif settings.data.generator:
        generator, params = networks.load_generator(
            settings.data.generator, compute=compute, label=settings.prior.label
        )
    else:  # the deep image prior needs only the size of the images
        generator, params = dip.image_frame(settings.prior.dip_size), {}
    if isinstance(settings.task, fields.Colorize) and generator.image_channels != 3:
        raise ValueError(f"generator '{settings.data.generator}' makes grey images; one that makes colours is wanted.")
    loss = settings.loss
    perception = networks.load_perception(
        image_size=generator.image_size,
        extractor=loss.extractor,
        extractor_layer=loss.extractor_layer,
        extractor_size=loss.extractor_size,
        perceptual_loss=loss.perceptual_loss,
        perceptual_weight=loss.perceptual,
        lpips=loss.lpips,
        compute=compute,
    )
    return Networks(generator, params, perception)


def make_prior(settings: PriorSettings, generator: models.Generator) -> priors.Prior:
    """The prior that the settings name. ValueError if it cannot make images of the generator's size."""
    if settings.prior == 'dip':
        return priors.deep_image_prior(generator, channels=settings.dip_channels, jitter=settings.dip_jitter)
    codes = priors.multi_code_prior(
        generator,
        num_codes=settings.num_codes,
        layer=settings.layer,
        space=settings.space,
        alpha=1 / settings.num_codes**2 if settings.alpha_over_n else None,
        tail=settings.tail == 'learned',
        noise=settings.noise,
        spread=settings.init_spread,
    )
    if settings.prior == 'multi-code':
        return codes
    return priors.feature_map_prior(generator, start=codes, layer=settings.layer, space=settings.space)


def make_optimizer(settings: Settings) -> optax.GradientTransformation:
    """The optimiser of the prior's variables that the settings name."""
    chosen, prior = settings.optimizer, settings.prior
    steps, b1, b2 = chosen.steps, chosen.beta1, chosen.beta2
    if prior.prior != 'multi-code':  # no axis of N codes to whiten
        rate = chosen.dip_rate if prior.prior == 'dip' else chosen.feature_rate
        single = optax.sgd(rate) if chosen.optimizer == 'sgd' else optimizers.adam_optimizer(rate, steps, b1, b2)
        return dip.network_optimizer(single) if prior.prior == 'dip' else single
    alpha_rate = chosen.alpha_rate / (prior.num_codes**2 if prior.alpha_over_n else 1)
    if chosen.optimizer == 'sgd':
        return optimizers.split_sgd_optimizer(chosen.latent_rate, alpha_rate)
    make = optimizers.split_adam_optimizer if chosen.optimizer == 'adam' else optimizers.whitening_optimizer
    return make(chosen.latent_rate, alpha_rate, steps, b1, b2)


def stopping_rules(settings: Settings) -> slots.StoppingRules:
    """When an image is finished, and how often its loss and its picture are kept."""
    chosen = settings.optimizer
    return slots.StoppingRules(
        chosen.steps,
        chosen.tolerance,
        chosen.keep,
        curve_every=history.choose_interval(chosen.steps, 1, history.MAX_LOSSES),
        show_every=history.choose_interval(chosen.steps, settings.run.history_every, history.FRAMES),
    )


def describe_machine() -> dict:
    """Versions and devices, for config.json."""
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


def _with_own_generator(settings: Settings) -> Settings:
    """The settings with a name for the caller's generator, for config.json and errors."""
    name = settings.data.generator or OWN_GENERATOR
    return dataclasses.replace(settings, data=dataclasses.replace(settings.data, generator=name))


def _parse_edits(task: fields.Edit, settings: Settings, generator: models.Generator, codes: Any) -> edits.Edits:
    return edits.parse_edits(
        task,
        generator=generator,
        generator_name=settings.data.generator,
        space=settings.prior.space,
        latent_size=codes.latents.shape[-1],
    )


def _make_editor(task: fields.Edit, chosen: edits.Edits, settings: Settings, engine: Engine) -> Callable:
    return edits.make_editor(
        engine.networks.generator,
        engine.program.shared[0],
        chosen,
        layer=settings.prior.layer,
        space=settings.prior.space,
        strength=task.strength,
        strength_range=task.strength_range,
        frames=task.frames,
    )


def _make_explainer(settings: Settings, engine: Engine) -> Callable | None:
    if not settings.run.contributions or settings.prior.prior != 'multi-code':
        return None
    place = settings.prior.layer, settings.prior.space
    return contributions.make_explainer(engine.networks.generator, engine.program.shared[0], *place)
