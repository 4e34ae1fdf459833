"""Images through the pool of a job: read ahead of the device, restored, measured and written behind it, never twice."""

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
from mgan_jax.results import evaluation, history, records
from mgan_jax.results.records import Identity
from mgan_jax.run import checkpoints, events, initial_codes, progress
from mgan_jax.run.processes import Share
from mgan_jax.settings.errors import one_sentence
from mgan_jax.storage import prefetch
from mgan_jax.storage.stores import Store

BAR = '{percentage:3.0f}% |{bar}| {elapsed} gone, {remaining} left{postfix}'
THREADS = min(8, os.cpu_count() or 1)  # that read, and as many that write
WAITING = 2**28  # bytes of images that wait between a thread and the device
SILENT = events.no_log()
COPIES = 4  # of an image's pixels that wait: the observation, its enlargement, the target, the result


class Job(NamedTuple):
    """A run, checked and ready to start.

    sources: of all images of this process, whose share of the whole list they are. program: items are `PipelineItem`, the output is
    (inversion, result), [B H W C]. batch_size: how many images go through at once. state: the shapes of one of theirs.
    made_by: see `records.fingerprint`. measures: what the results are measured with. explain: see `contributions.make_explainer`,
    None without. edit: see `edits.make_editor`, None for other tasks. origin: of the codes.
    """

    settings: dict
    sources: Sequence[Source]
    share: Share
    generator: models.Generator
    program: slots.Program
    batch_size: int
    state: Any
    made_by: str
    measures: evaluation.Measures
    explain: Callable | None = None
    edit: Callable | None = None
    origin: initial_codes.InitialCodes = initial_codes.RANDOM


class PipelineItem(NamedTuple):
    """An image that is to be restored. place: in the whole list; again: there is a result of it that is out of date.
    start: what its optimisation begins with."""

    place: int
    case: observations.ObservedImage
    identity: Identity
    again: bool
    start: programs.ProgramInput


class PipelineState(NamedTuple):
    """What the stages of a running job share. counts: see `restore_images`, changed by `_count`; read: an item for each image that
    waits for the device."""

    job: Job
    store: Store
    rows: records.RowWriter
    counts: Counter
    bar: tqdm
    diary: events.EventLog
    stop: Callable[[], bool]
    read: deque
    lock: threading.Lock


def restore_images(
    job: Job,
    store: Store,
    diary: events.EventLog = SILENT,
    stop: Callable[[], bool] = lambda: False,
) -> Counter:
    """Does what is not done yet, and writes each image as soon as it is finished. -> how many are 'done', 'again': how many
    of these had a result that was out of date, 'skipped': were done before, 'failed'.

    Images that are on their way are saved every `save_every` seconds, and when `stop` becomes true, which ends the run
    early. MemoryError if the device cannot hold a step of one image, OSError if results cannot be written.
    """
    steps, counts = job.settings['steps'], Counter(done=0, again=0, skipped=0, failed=0)
    rows = records.open_rows(store)
    with contextlib.ExitStack() as stack:
        stack.callback(lambda: diary.tell('ended', stopped=stop(), **counts))
        stack.callback(rows.finish)  # when all else has ended
        total = steps * len(job.sources)
        bar = stack.enter_context(tqdm(total=total, disable=None, dynamic_ncols=True, bar_format=BAR))
        line = PipelineState(job, store, rows, counts, bar, diary, stop, deque(), threading.Lock())
        write = stack.enter_context(prefetch.run_behind(workers=THREADS, depth=_depth(job)))
        save = stack.enter_context(prefetch.run_behind(workers=1, depth=1))
        saved = _saved(line)
        entries = stack.enter_context(contextlib.closing(_entries(line, saved)))
        report, last = _reporter(line, write), time.monotonic()
        diary.tell('started', images=len(job.sources), batch_size=job.batch_size, share=job.share, **_told(saved))
        turns = slots.run_slots(
            job.program, entries, job.batch_size, _rules(job.settings), watch=not bar.disable,
            show=_show, tell=functools.partial(_say, line), stop=stop
        )  # fmt: skip
        for turn in turns:
            for image in turn.images:
                if image.finished:
                    write(_write, line, image)
            stopping = stop()
            if stopping or time.monotonic() - last > job.settings['save_every']:
                last = time.monotonic()
                save(_save, store, _on_their_way(turn, saved), tuple(write.jobs))
            report(turn)
            if stopping:
                return counts
        if not stop():
            save(_save, store, [], tuple(write.jobs))  # nothing is on its way any more
    return counts


def _rules(settings: dict) -> slots.StoppingRules:
    steps = settings['steps']
    return slots.StoppingRules(
        steps,
        settings['tolerance'],
        settings['keep'],
        curve_every=history.choose_interval(steps, 1, history.MAX_LOSSES),
        show_every=history.choose_interval(steps, settings['history_every'], history.FRAMES),
    )


# Ahead of the device


def _saved(line: PipelineState) -> dict[Identity, slots.ImageProgress]:
    """How far images had come in an earlier run; none if that cannot be read, which is told."""
    job = line.job
    try:
        found = checkpoints.load_checkpoint(line.store, job.state)
    except ValueError as error:
        _say(line, f'{one_sentence(error)}; the images that it holds begin anew.')
        return {}
    return {identity: progress for identity, progress in found.items() if identity.made_by == job.made_by}


def _told(saved: dict[Identity, slots.ImageProgress]) -> dict[str, int]:
    return {'going_on': len(saved), 'their_steps': sum(progress.steps for progress in saved.values())}


def _entries(line: PipelineState, saved: dict[Identity, slots.ImageProgress]) -> Generator[slots.SlotEntry]:
    """What is to be done, in the order of the list; tells of what is done and of what cannot be."""
    index, count = line.job.share
    places = zip(range(index, sys.maxsize, count), line.job.sources, strict=False)
    found = prefetch.prefetch(functools.partial(_look, line), places, workers=THREADS, depth=_depth(line.job))
    with contextlib.closing(found):
        for (place, source), value, error in found:
            if line.stop():
                return
            if isinstance(value, PipelineItem):
                line.read.pop()
                yield slots.SlotEntry(value, value.start, saved.pop(value.identity, None))
            elif value is not None:
                _count(line, skipped=1)
                line.bar.total -= line.job.settings['steps']
                line.rows.add(place, value)
                saved.pop(Identity(value['sha256'], value['made_by']), None)
            elif isinstance(error, ValueError | OSError):
                _fail(line, place, source, error)
                line.bar.update(line.job.settings['steps'])
            elif error is not None:
                raise error


def _look(line: PipelineState, item: tuple[int, Source]) -> PipelineItem | dict:
    """Reads an image: -> what is to be done, or the row of the result that is there."""
    place, source = item
    content = sources.read_source(source)
    kept = line.job.origin.kept(source.name)
    identity = Identity(hashlib.sha256(content + kept.digest).hexdigest(), line.job.made_by)
    found = records.find_record(line.store, source.name, identity)
    if found.row is not None:
        return found.row
    case = observations.observe_image(source, content, line.job.generator, line.job.settings)
    start = initial_codes.make_input(line.job.origin, case, kept)
    line.read.append(None)
    return PipelineItem(place, case, identity, found.outdated, start)


def _depth(job: Job) -> int:
    """How many images wait on each side of the device: a batch, if the memory for what waits holds that many."""
    height, width = job.generator.image_size
    return max(2, min(job.batch_size, WAITING // (COPIES * 3 * 4 * height * width)))


# Behind the device


def _write(line: PipelineState, image: slots.SlotImage) -> None:
    """Writes the result of a finished image, or the reason why there is none."""
    work: PipelineItem = image.item
    try:
        explain = functools.partial(_explain, line)
        result = evaluation.make_result(
            work.case, image, line.job.measures, explain, line.job.edit and _within_memory(line.job.edit)
        )
        records.write_record(line.store, work.case.source.name, work.identity, result)
    except ValueError as error:
        _fail(line, work.place, work.case.source, error)
    else:
        line.rows.add(work.place, result.row)
        _count(line, done=1, again=work.again)
        line.diary.tell('done', again=work.again, **result.row)


def _explain(line: PipelineState, codes: Any) -> dict[str, bytes]:
    """Of a picture less the run goes on, beside a pool that has taken all of the device's memory."""
    if line.job.explain is None:
        return {}
    try:
        return line.job.explain(codes)
    except Exception as error:
        if not memory.is_exhausted(error):
            raise
        _say(line, 'not enough memory for the contributions of an image; it has none.')
        return {}


def _within_memory(edit: Callable) -> Callable:
    """An image without its edit is no result; the reason is told, and the run goes on."""

    def edited(codes: Any) -> Any:
        try:
            return edit(codes)
        except Exception as error:
            if not memory.is_exhausted(error):
                raise
            raise ValueError(
                'not enough memory for its edit beside the images at once; take a smaller batch_size'
            ) from error

    return edited


def _fail(line: PipelineState, place: int, source: Source, error: Exception) -> None:
    reason = one_sentence(error)
    _count(line, failed=1)
    line.rows.add(place, {'name': source.name, 'status': reason})
    line.diary.tell('failed', name=source.name, reason=reason)


def _show(work: PipelineItem, output: Any) -> history.Frame:
    return evaluation.take_snapshot(work.case, output)


def _on_their_way(turn: slots.Turn, saved: dict[Identity, slots.ImageProgress]) -> list[checkpoints.SavedImage]:
    """What has begun: in the pool, and in an earlier run where its turn has not come yet."""
    begun = {slot.entry.item.identity: slot.progress for slot in turn.left}
    return list(itertools.starmap(checkpoints.SavedImage, (saved | begun).items()))


def _save(store: Store, images: list[checkpoints.SavedImage], before: Sequence[futures.Future]) -> None:
    """Replaces the checkpoint, when the results that were to be written `before` are. If one of them could not be, the old
    checkpoint is all that is left of that image."""
    futures.wait(before)
    if not any(job.exception() for job in before):
        checkpoints.save_checkpoint(store, images)


# What is told meanwhile


def _count(line: PipelineState, **more: int) -> None:
    with line.lock:
        line.counts.update(more)


def _reporter(line: PipelineState, writing: prefetch.Submitter) -> Callable[[slots.Turn], None]:
    """report(turn): to the progress bar and to the journal."""
    began, steps = time.monotonic(), line.job.settings['steps']
    computing, before = 0.0, progress.RunProgress()

    def report(turn: slots.Turn) -> None:
        nonlocal computing
        computing += turn.computing
        line.bar.update(turn.steps * len(turn.images) + sum(image.left for image in turn.images if image.finished))
        seconds = time.monotonic() - began
        if not line.bar.disable:
            line.bar.set_postfix(_shown(turn) | {'images/min': f'{60 * line.bar.n / steps / seconds:.1f}'})

        def figures() -> dict[str, float]:
            nonlocal before
            last, before = before, _look_at(line, turn, seconds, computing, writing.pending)
            return progress.progress_figures(last, before) | progress.memory_figures()

        line.diary.figures(line.counts['done'], figures)

    return report


def _look_at(
    line: PipelineState, turn: slots.Turn, seconds: float, computing: float, unwritten: int
) -> progress.RunProgress:
    counts = {name: line.counts[name] for name in ('done', 'failed', 'skipped')}
    return progress.RunProgress(
        seconds=seconds,
        total=len(line.job.sources),
        advanced=line.bar.n / line.job.settings['steps'],
        working=computing,
        loss=float(np.mean([image.loss for image in turn.images])),
        read=len(line.read),
        unwritten=unwritten,
        **counts,
    )


def _shown(turn: slots.Turn) -> dict[str, str]:
    """What the progress bar shows: means over the images as they stand."""
    figures = {'loss': f'{np.mean([image.loss for image in turn.images]):.4f}'}
    known = [image for image in turn.images if image.item.case.target is not None]
    if known:
        psnr = [
            evaluation.jitted_psnr(np.clip(image.output[1], -1, 1)[None], image.item.case.target) for image in known
        ]
        figures['PSNR'] = f'{np.mean(psnr):.1f} dB'
    return figures


def _say(line: PipelineState, text: str) -> None:
    """Shows the user a line beside the progress bar, and keeps it."""
    tqdm.write(text, file=sys.stderr)
    line.diary.tell('told', text=text)
