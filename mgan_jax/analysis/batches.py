"""Images that are inverted in memory, a batch at a time: for analyses and comparisons, which keep no files of each image."""

import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from mgan_jax import execution
from mgan_jax.data import observations, sources
from mgan_jax.data.sources import Source
from mgan_jax.run import initial_codes
from mgan_jax.run.pipeline import Job


class InvertedBatch(NamedTuple):
    """B images and what became of them, as NumPy arrays; the iterates that `keep` names.

    cases: of each image; codes: leaves [B ...]; inversion, result [B H W C] in [-1, 1]; loss [B]; seconds: for an image
    and a step, the first steps and what they compile left out where there are others.
    """

    cases: list[observations.ObservedImage]
    codes: Any
    inversion: np.ndarray
    result: np.ndarray
    loss: np.ndarray
    seconds: float

    @property
    def targets(self) -> np.ndarray:
        """[B H W C]. ValueError if one is not known."""
        if unknown := [case.source.name for case in self.cases if case.target is None]:
            raise ValueError(f"the target of '{unknown[0]}' is not known; images that are whole are wanted here.")
        return np.concatenate([case.target for case in self.cases])


def invert_images(job: Job, chosen: Sequence[Source] | None = None) -> InvertedBatch:
    """The images of a job, or `chosen` ones, after all of its steps. ValueError with one sentence for an image that cannot
    be read. Every batch has the job's size, so that one program does them all, and the last image fills the last one up.
    """
    chosen = job.sources if chosen is None else chosen
    starts = range(0, len(chosen), job.batch_size)
    parts = [last for start in starts for _, last in invert_batch(job, chosen[start : start + job.batch_size], [])]
    together = [case for part in parts for case in part.cases]
    arrays = [part[1:-1] for part in parts]  # codes, inversion, result, loss
    codes, inverted, result, loss = jax.tree.map(lambda *rows: np.concatenate(rows), *arrays)
    return InvertedBatch(together, codes, inverted, result, loss, float(np.median([part.seconds for part in parts])))


def invert_batch(job: Job, chosen: Sequence[Source], looks: Sequence[int]) -> Iterator[tuple[int, InvertedBatch]]:
    """(steps, where the images stand then) at each of the `looks`, which rise, and after all steps. At most a batch."""
    found = [
        observations.observe_image(source, sources.read_source(source), job.generator, job.settings)
        for source in chosen
    ]
    own = [initial_codes.make_input(job.origin, case, job.origin.kept(case.source.name)) for case in found]
    full = own + own[-1:] * (job.batch_size - len(found))
    start = jax.tree.map(lambda *rows: np.concatenate(rows), *full)
    state, target = job.program.begin(start, *job.program.shared)
    steps, seconds = job.settings['steps'], []
    looks = [look for look in looks if 0 < look < steps] + [steps]
    for before, look in zip([0, *looks], looks, strict=False):
        began = time.monotonic()
        state, trace = execution.repeat_step(
            job.program.step, state, target, *job.program.shared, num_steps=look - before
        )
        seconds.append((time.monotonic() - began) / (look - before) / len(found))
        last = job.settings['keep'] == 'last'
        codes, loss = (state.codes, trace[-1]) if last else (state.best_codes, state.best_loss)
        pictures = job.program.finish(codes, target, *job.program.shared)
        arrays = jax.tree.map(lambda leaf: leaf[: len(found)], jax.device_get((codes, *pictures, loss)))
        codes, inverted, result, loss = arrays
        inverted, result = np.clip(inverted, -1, 1), np.clip(result, -1, 1)
        yield look, InvertedBatch(found, codes, inverted, result, loss, float(np.median(seconds[1:] or seconds)))
