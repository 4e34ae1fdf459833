"""Curves of a measure against N or l, with confidence bands, and the tables of their points."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from mgan_jax.analysis import bootstrap
from mgan_jax.analysis.runs import AnalysisRun


class Curve(NamedTuple):
    """A measure of the same B images in K runs of one task.

    against: the field of the runs on the horizontal axis, 'num_codes' or 'layer'. measure: the name of the measure.
    images: names of the B images. values: [K B]. band: each field [K].
    """

    task: str
    against: str
    measure: str
    runs: tuple[AnalysisRun, ...]
    images: tuple[str, ...]
    values: np.ndarray
    band: bootstrap.Band

    @property
    def positions(self) -> list[int]:
        """The K values of N or l."""
        return [getattr(run, self.against) for run in self.runs]


def make_curve(
    rows: Mapping[AnalysisRun, Sequence[dict]], runs: Sequence[AnalysisRun], against: str, measure: str, seed: int
) -> Curve | None:
    """The curve of a measure over runs. rows: for each run a dictionary of measures per image, in the same order.

    An image that lacks the measure in one run is left out of all runs. Returns None if no image is left.
    """
    values = np.array([[row.get(measure, np.nan) for row in rows[run]] for run in runs], np.float64)
    complete = np.all(np.isfinite(values), axis=0)
    if not complete.any():
        return None
    names = [row['image'] for row in rows[runs[0]]]
    images = tuple(name for name, is_complete in zip(names, complete.tolist(), strict=True) if is_complete)
    values = values[:, complete]
    return Curve(runs[0].task, against, measure, tuple(runs), images, values, bootstrap.bootstrap_means(values, seed))


def tabulate_curves(curves: Iterable[Curve]) -> list[dict]:
    """A row for each point of each curve: the mean over the images and its band."""
    return [
        {'task': curve.task, 'against': curve.against, 'layer': run.layer, 'num_codes': run.num_codes}
        | {'measure': curve.measure, 'images': len(curve.images)}
        | {'mean': curve.band.mean[k], 'low': curve.band.low[k], 'high': curve.band.high[k]}
        for curve in curves
        for k, run in enumerate(curve.runs)
    ]


def tabulate_best_layers(curves: Iterable[Curve]) -> list[dict]:
    """A row for each curve: the point with the highest mean.

    best_share: the share of the resamplings of the images in which this point is the best.
    """
    rows = []
    for curve in curves:
        k = int(curve.band.mean.argmax())
        mean, low, high, share = (float(field[k]) for field in curve.band)
        run = curve.runs[k]
        rows.append(
            {'task': curve.task, 'measure': curve.measure, 'layer': run.layer, 'num_codes': run.num_codes}
            | {'images': len(curve.images), 'mean': mean, 'low': low, 'high': high, 'best_share': share}
        )
    return rows
