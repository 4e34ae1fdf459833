"""Runs a job: prefetches images, optimises them in batch slots, writes results, skips finished images."""

import contextlib
import functools
import hashlib
import itertools
import os
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Generator, Sequence
from concurrent import futures
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from mgan_jax import models
from mgan_jax.data import observations, sources
from mgan_jax.data.sources import Source
from mgan_jax.engine import memory, programs, slots
from mgan_jax.results import evaluation, records
from mgan_jax.results.records import Identity
from mgan_jax.run import checkpoints, events, progress
from mgan_jax.run.initial_codes import RANDOM, InitialCodes, make_input
from mgan_jax.run.processes import Share
from mgan_jax.settings.errors import one_sentence
from mgan_jax.settings.fields import Settings
from mgan_jax.storage import prefetch
from mgan_jax.storage.stores import Store

BAR = '{percentage:3.0f}% |{bar}| {elapsed} gone, {remaining} left{postfix}'
THREADS = min(8, os.cpu_count() or 1)  # threads that read images, and as many that write results
WAITING = 2**28  # bytes of images that wait before or behind the device
COPIES = 4  # of an image's pixels while it waits: observation, enlarged input, target, result
SILENT = events.no_log()


class Job(NamedTuple):
    """A run that is checked and ready to start.

    settings: for config.json. sources: the images of this process, whose share of all images they are. program: its items
    are `PipelineItem`, its output is (inversion, result), [B H W C]. batch_size: images at once. state: the shapes of the
    state of one image. made_by: see `records.fingerprint`. observe(source, content of its file) -> `ObservedImage`.
    explain(codes) -> further files of an image, None without. edit(codes) -> (image, files), None for other tasks.
    """

    settings: Settings
    sources: Sequence[Source]
    share: Share
    generator: models.Generator
    program: slots.Program
    batch_size: int
    state: Any
    made_by: str
    measures: evaluation.Measures
    observe: Callable[[Source, bytes], observations.ObservedImage]
    rules: slots.StoppingRules
    explain: Callable | None = None
    edit: Callable | None = None
    initial_codes: InitialCodes = RANDOM


class PipelineItem(NamedTuple):
    """An image to restore. place: in the list of all images. outdated: it has a result of other settings or another file."""

    place: int
    observed: observations.ObservedImage
    identity: Identity
    outdated: bool
    start: programs.ProgramInput


class PipelineState(NamedTuple):
    """What the stages of a running job share. counts: see `restore_images`. waiting: one item per prefetched image."""

    job: Job
    store: Store
    rows: records.RowWriter
    counts: Counter
    bar: tqdm
    log: events.EventLog
    stop: Callable[[], bool]
    waiting: deque
    lock: threading.Lock


def restore_images(
    job: Job,
    store: Store,
    log: events.EventLog = SILENT,
    stop: Callable[[], bool] = lambda: False,
) -> Counter:
    """Restores the images that have no result yet, and writes each as soon as it is finished.

    Returns the numbers of images that are 'done', 'again' (done, in place of an outdated result), 'skipped' (done before)
    and 'failed'. Unfinished images are saved every `save_every` seconds, and when `stop` becomes true, which ends the run.
    Raises MemoryError if the device cannot hold a step of one image, OSError if results cannot be written.
    """
    counts = Counter(done=0, again=0, skipped=0, failed=0)
    rows = records.open_rows(store)
    with contextlib.ExitStack() as stack:
        stack.callback(lambda: log.tell('ended', stopped=stop(), **counts))
        stack.callback(rows.finish)  # after everything else has ended
        total = job.rules.num_steps * len(job.sources)
        bar = stack.enter_context(tqdm(total=total, disable=None, dynamic_ncols=True, bar_format=BAR))
        run = PipelineState(job, store, rows, counts, bar, log, stop, deque(), threading.Lock())
        write = stack.enter_context(prefetch.run_behind(workers=THREADS, depth=_depth(job)))
        save = stack.enter_context(prefetch.run_behind(workers=1, depth=1))
        saved = _load_checkpoint(run)
        entries = stack.enter_context(contextlib.closing(_prefetch_entries(run, saved)))
        report, last = _make_reporter(run, write), time.monotonic()
        resumed = {'going_on': len(saved), 'their_steps': sum(image.steps for image in saved.values())}
        log.tell('started', images=len(job.sources), batch_size=job.batch_size, share=job.share, **resumed)
        turns = slots.run_slots(
            job.program,
            entries,
            job.batch_size,
            job.rules,
            watch=not bar.disable,
            show=lambda item, output: evaluation.take_snapshot(item.observed, output),
            tell=functools.partial(_tell, run),
            stop=stop,
        )
        for turn in turns:
            for image in turn.images:
                if image.finished:
                    write(_write_result, run, image)
            stopping = stop()
            if stopping or time.monotonic() - last > job.settings.run.save_every:
                last = time.monotonic()
                save(_save_checkpoint, store, _unfinished(turn, saved), tuple(write.jobs))
            report(turn)
            if stopping:
                return counts
        if not stop():
            save(_save_checkpoint, store, [], tuple(write.jobs))  # no image is unfinished
    return counts


# Prefetching


def _load_checkpoint(run: PipelineState) -> dict[Identity, slots.ImageProgress]:
    """The unfinished images of an earlier run with the same settings. None if the checkpoint is damaged; the user is told."""
    try:
        found = checkpoints.load_checkpoint(run.store, run.job.state)
    except ValueError as error:
        _tell(run, f'{one_sentence(error)}; the images that it holds begin anew.')
        return {}
    return {identity: progress for identity, progress in found.items() if identity.made_by == run.job.made_by}


def _prefetch_entries(run: PipelineState, saved: dict[Identity, slots.ImageProgress]) -> Generator[slots.SlotEntry]:
    """The images to restore, in the order of the list. Records those that are done or fail."""
    first, count = run.job.share
    places = zip(range(first, sys.maxsize, count), run.job.sources, strict=False)
    prefetched = prefetch.prefetch(functools.partial(_read_item, run), places, workers=THREADS, depth=_depth(run.job))
    with contextlib.closing(prefetched):
        for (place, source), value, error in prefetched:
            if run.stop():
                return
            if isinstance(value, PipelineItem):
                run.waiting.pop()
                yield slots.SlotEntry(value, value.start, saved.pop(value.identity, None))
            elif value is not None:
                _count(run, skipped=1)
                run.bar.total -= run.job.rules.num_steps
                run.rows.add(place, value)
                saved.pop(Identity(value['sha256'], value['made_by']), None)
            elif isinstance(error, ValueError | OSError):
                _record_failure(run, place, source, error)
                run.bar.update(run.job.rules.num_steps)
            elif error is not None:
                raise error


def _read_item(run: PipelineState, listed: tuple[int, Source]) -> PipelineItem | dict:
    """Reads an image: -> the item to restore, or the row of its existing result."""
    job, (place, source) = run.job, listed
    content = sources.read_source(source)
    earlier = job.initial_codes.earlier(source.name)
    identity = Identity(hashlib.sha256(content + earlier.digest).hexdigest(), job.made_by)
    record = records.find_record(run.store, source.name, identity)
    if record.row is not None:
        return record.row
    observed = job.observe(source, content)
    start = make_input(job.initial_codes, observed, earlier)
    run.waiting.append(None)
    return PipelineItem(place, observed, identity, record.outdated, start)


def _depth(job: Job) -> int:
    """Images that wait on each side of the device: a batch, or fewer if `WAITING` bytes hold fewer."""
    height, width = job.generator.image_size
    return max(2, min(job.batch_size, WAITING // (COPIES * 3 * 4 * height * width)))


# Writing


def _write_result(run: PipelineState, image: slots.SlotImage) -> None:
    """Writes the result of a finished image, or records why there is none."""
    item: PipelineItem = image.item
    job, source = run.job, item.observed.source
    try:
        edit = _with_memory_error(job.edit) if job.edit else None
        result = evaluation.make_result(item.observed, image, job.measures, functools.partial(_explain, run), edit)
        records.write_record(run.store, source.name, item.identity, result)
    except ValueError as error:
        _record_failure(run, item.place, source, error)
    else:
        run.rows.add(item.place, result.row)
        _count(run, done=1, again=item.outdated)
        run.log.tell('done', again=item.outdated, **result.row)


def _explain(run: PipelineState, codes: Any) -> dict[str, bytes]:
    """The pictures of single codes. Without enough memory beside the slots an image has none, and the run goes on."""
    if run.job.explain is None:
        return {}
    try:
        return run.job.explain(codes)
    except Exception as error:
        if not memory.is_exhausted(error):
            raise
        _tell(run, 'not enough memory for the contributions of an image; it has none.')
        return {}


def _with_memory_error(edit: Callable) -> Callable:
    """`edit`, which raises ValueError where the memory beside the slots does not suffice: the image fails, the run goes on."""

    def edit_or_fail(codes: Any) -> Any:
        try:
            return edit(codes)
        except Exception as error:
            if not memory.is_exhausted(error):
                raise
            raise ValueError(
                'not enough memory for its edit beside the images at once; take a smaller batch_size'
            ) from error

    return edit_or_fail


def _record_failure(run: PipelineState, place: int, source: Source, error: Exception) -> None:
    reason = one_sentence(error)
    _count(run, failed=1)
    run.rows.add(place, {'name': source.name, 'status': reason})
    run.log.tell('failed', name=source.name, reason=reason)


def _unfinished(turn: slots.Turn, saved: dict[Identity, slots.ImageProgress]) -> list[checkpoints.SavedImage]:
    """Images that have begun: in the slots, and those of an earlier run that have not entered yet."""
    begun = {slot.entry.item.identity: slot.progress for slot in turn.left}
    return list(itertools.starmap(checkpoints.SavedImage, (saved | begun).items()))


def _save_checkpoint(store: Store, images: list[checkpoints.SavedImage], writes: Sequence[futures.Future]) -> None:
    """Replaces the checkpoint after the pending result writes. If one of them failed, the old checkpoint stays: it is all
    that is left of that image."""
    futures.wait(writes)
    if not any(job.exception() for job in writes):
        checkpoints.save_checkpoint(store, images)


# Reporting


def _count(run: PipelineState, **more: int) -> None:
    with run.lock:
        run.counts.update(more)


def _make_reporter(run: PipelineState, writing: prefetch.Submitter) -> Callable[[slots.Turn], None]:
    """report(turn): updates the progress bar and the log."""
    began, steps = time.monotonic(), run.job.rules.num_steps
    computing, before = 0.0, progress.RunProgress()

    def report(turn: slots.Turn) -> None:
        nonlocal computing
        computing += turn.computing
        run.bar.update(turn.steps * len(turn.images) + sum(image.left for image in turn.images if image.finished))
        seconds = time.monotonic() - began
        if not run.bar.disable:
            run.bar.set_postfix(_means(turn) | {'images/min': f'{60 * run.bar.n / steps / seconds:.1f}'})

        def figures() -> dict[str, float]:
            nonlocal before
            last, before = before, _run_progress(run, turn, seconds, computing, writing.pending)
            return progress.progress_figures(last, before) | progress.memory_figures()

        run.log.figures(run.counts['done'], figures)

    return report


def _run_progress(
    run: PipelineState, turn: slots.Turn, seconds: float, computing: float, unwritten: int
) -> progress.RunProgress:
    return progress.RunProgress(
        seconds=seconds,
        total=len(run.job.sources),
        advanced=run.bar.n / run.job.rules.num_steps,
        working=computing,
        loss=float(np.mean([image.loss for image in turn.images])),
        read=len(run.waiting),
        unwritten=unwritten,
        **{name: run.counts[name] for name in ('done', 'failed', 'skipped')},
    )


def _means(turn: slots.Turn) -> dict[str, str]:
    """Mean loss and PSNR of the images in the slots, for the progress bar."""
    figures = {'loss': f'{np.mean([image.loss for image in turn.images]):.4f}'}
    known = [image for image in turn.images if image.item.observed.target is not None]
    if known:
        results = [(np.clip(image.output[1], -1, 1)[None], image.item.observed.target) for image in known]
        psnr = [evaluation.jitted_psnr(result, target) for result, target in results]
        figures['PSNR'] = f'{np.mean(psnr):.1f} dB'
    return figures


def _tell(run: PipelineState, text: str) -> None:
    """Prints a line beside the progress bar and logs it."""
    tqdm.write(text, file=sys.stderr)
    run.log.tell('told', text=text)
