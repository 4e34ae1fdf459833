"""Inverts images in memory, a batch at a time, and writes no files: for analyses and benchmarks."""

import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from mgan_jax import execution
from mgan_jax.data.observations import ObservedImage
from mgan_jax.data.sources import Source, read_source
from mgan_jax.engine.programs import ProgramInput
from mgan_jax.run import initial_codes
from mgan_jax.run.pipeline import Job


class InvertedBatch(NamedTuple):
    """B images and their inversions, as NumPy arrays.

    observed: the B images. codes: leaves [B ...] of the iterate that the setting `keep` names. inversion, result:
    [B H W C] in [-1, 1], the image of the codes and the restored image. loss: [B]. seconds: of one step of one image,
    the median over the parts of the run; the first part, which compiles, is left out if there are others.
    """

    observed: list[ObservedImage]
    codes: Any
    inversion: np.ndarray
    result: np.ndarray
    loss: np.ndarray
    seconds: float

    @property
    def targets(self) -> np.ndarray:
        """The targets [B H W C]. Raises ValueError if an image has none."""
        if unknown := [image.source.name for image in self.observed if image.target is None]:
            raise ValueError(f"the target of '{unknown[0]}' is not known; images that are whole are wanted here.")
        return np.concatenate([image.target for image in self.observed])


def invert_images(job: Job, sources: Sequence[Source] | None = None) -> InvertedBatch:
    """Inverts `sources` (None: all images of the job) with all steps of the job.

    Every batch has the size of the job, so that one program serves all; copies of the last image fill the last batch.
    Raises ValueError with one sentence for an image that cannot be read.
    """
    sources = job.sources if sources is None else sources
    firsts = range(0, len(sources), job.batch_size)
    batches = [batch for first in firsts for _, batch in invert_batch(job, sources[first : first + job.batch_size], [])]
    observed = [image for batch in batches for image in batch.observed]
    arrays = [batch[1:-1] for batch in batches]  # codes, inversion, result, loss
    codes, inversion, result, loss = jax.tree.map(lambda *rows: np.concatenate(rows), *arrays)
    seconds = float(np.median([batch.seconds for batch in batches]))
    return InvertedBatch(observed, codes, inversion, result, loss, seconds)


def invert_batch(
    job: Job, sources: Sequence[Source], intermediate_steps: Sequence[int]
) -> Iterator[tuple[int, InvertedBatch]]:
    """Inverts at most one batch; yields (number of steps, the images after them).

    intermediate_steps: rising numbers of steps at which to yield, besides the last step. Those past the last step are
    ignored.
    """
    observed = [job.observe(source, read_source(source)) for source in sources]
    state, target = job.program.begin(_fill_batch(job, observed), *job.program.shared)
    last = job.rules.num_steps
    stops = [step for step in intermediate_steps if 0 < step < last] + [last]
    seconds: list[float] = []
    for step, stop in zip([0, *stops], stops, strict=False):
        began = time.monotonic()
        state, losses = execution.repeat_step(
            job.program.step, state, target, *job.program.shared, num_steps=stop - step
        )
        seconds.append((time.monotonic() - began) / (stop - step) / len(observed))
        keeps_last = job.rules.keep == 'last'
        codes, loss = (state.codes, losses[-1]) if keeps_last else (state.best_codes, state.best_loss)
        images = job.program.finish(codes, target, *job.program.shared)
        arrays = jax.tree.map(lambda leaf: leaf[: len(observed)], jax.device_get((codes, *images, loss)))
        codes, inversion, result, loss = arrays
        inversion, result = np.clip(inversion, -1, 1), np.clip(result, -1, 1)
        yield stop, InvertedBatch(observed, codes, inversion, result, loss, float(np.median(seconds[1:] or seconds)))


def _fill_batch(job: Job, observed: Sequence[ObservedImage]) -> ProgramInput:
    """The input of the program: the images, and copies of the last one up to the batch size."""
    initial = job.initial_codes
    rows = [initial_codes.make_input(initial, image, initial.earlier(image.source.name)) for image in observed]
    rows += rows[-1:] * (job.batch_size - len(rows))
    return jax.tree.map(lambda *leaves: np.concatenate(leaves), *rows)
